package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// The log's format. It is read by every later version of the program, so a
// change needs a new version byte and a reader for the old one.
//
//	entry    version(1, not 0) now(uvarint, ms) seed(8) { len(uvarint) request }
//	request  version(1) origin incarnation seq floor (uvarints) { op }
//	op       head(1): kind in the low two bits, database above
//	  write    argc { len arg }
//	  again    the same, for a blocking command that has waited
//	  exec     watches { db len key version } commands { db argc { len arg } }
//	  expire   keys { len key }
//
// The leader seals entries; a request is encoded once, by the node that a client
// spoke to, and never looked into on the way.
const (
	entryVersion   = 1
	requestVersion = 1
)

// Kinds of op.
const (
	opWrite  = 0 // one command
	opExec   = 1 // a transaction: commands that all run, or none if a watched key has changed
	opExpire = 2 // the leader's: delete those of the keys whose deadline has passed
	opAgain  = 3 // one command, with command.Call.Again
)

const opKinds = 0b11

var errEntry = errors.New("log entry cannot be decoded")

// requestHead identifies a request. See session for what the fields do.
type requestHead struct {
	origin      uint64 // member that the client spoke to
	incarnation uint64 // which run of that member's process
	seq         uint64 // counts that run's requests from 1
	floor       uint64 // every request of that run below it has its outcome
}

// maxSeq keeps sums of request numbers from overflowing.
const maxSeq = 1 << 62

// maxRequestHead is the most that appendRequestHead appends.
const maxRequestHead = 1 + 4*binary.MaxVarintLen64

func appendRequestHead(b []byte, h requestHead) []byte {
	b = append(b, requestVersion)
	b = appendUvarint(b, h.origin)
	b = appendUvarint(b, h.incarnation)
	b = appendUvarint(b, h.seq)
	return appendUvarint(b, h.floor)
}

func opHead(kind, db int) byte { return byte(kind | db<<2) }

func appendArgs(b []byte, argv [][]byte) []byte {
	b = appendUvarint(b, uint64(len(argv)))
	for _, arg := range argv {
		b = appendBytes(b, arg)
	}
	return b
}

func appendBytes(b, s []byte) []byte {
	b = appendUvarint(b, uint64(len(s)))
	return command.Append(b, s)
}

func appendUvarint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

func uvarintLen(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

// sealEntry builds one log entry of requests, in dst's memory if there is room.
func sealEntry(dst []byte, now int64, seed uint64, requests [][]byte) []byte {
	size := 1 + binary.MaxVarintLen64 + 8
	for _, r := range requests {
		size += uvarintLen(uint64(len(r))) + len(r)
	}
	if cap(dst) < size {
		dst = make([]byte, 0, size)
	}
	b := appendEntryHead(dst[:0], now, seed)
	for _, r := range requests {
		b = appendBytes(b, r)
	}
	return b
}

func appendEntryHead(b []byte, now int64, seed uint64) []byte {
	b = append(b, entryVersion)
	b = appendUvarint(b, uint64(now))
	return binary.LittleEndian.AppendUint64(b, seed)
}

// cursor takes an encoding apart without copying it. Its error is sticky: after
// the first one every method answers a zero value.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", errEntry, what)
	}
	c.b = nil
}

func (c *cursor) more() bool { return len(c.b) > 0 }

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.fail("too short")
		return 0
	}
	x := c.b[0]
	c.b = c.b[1:]
	return x
}

func (c *cursor) uint64() uint64 {
	if len(c.b) < 8 {
		c.fail("too short")
		return 0
	}
	n := binary.LittleEndian.Uint64(c.b)
	c.b = c.b[8:]
	return n
}

func (c *cursor) uvarint() uint64 {
	if len(c.b) > 0 && c.b[0] < 0x80 {
		n := c.b[0]
		c.b = c.b[1:]
		return uint64(n)
	}
	n, size := binary.Uvarint(c.b)
	if size <= 0 {
		c.fail("not a number")
		return 0
	}
	c.b = c.b[size:]
	return n
}

func (c *cursor) bytes() []byte {
	n := c.uvarint()
	if n > uint64(len(c.b)) {
		c.fail("length beyond the end")
		return nil
	}
	s := c.b[:n:n]
	c.b = c.b[n:]
	return s
}

// count reads how many items follow. Each takes at least a byte, so that a
// corrupt count can neither allocate much nor spin.
func (c *cursor) count() int {
	n := c.uvarint()
	if n > uint64(len(c.b)) {
		c.fail("count beyond the end")
		return 0
	}
	return int(n)
}

func (c *cursor) db() int { return c.checkDB(int(c.byte())) }

func (c *cursor) checkDB(db int) int {
	if db >= keyspace.Databases {
		c.fail("no such database")
		return 0
	}
	return db
}

// args reads a command into argv, whose array it reuses.
func (c *cursor) args(argv [][]byte) [][]byte {
	argv = argv[:0]
	for n := c.count(); n > 0; n-- {
		argv = append(argv, c.bytes())
	}
	if len(argv) == 0 {
		c.fail("empty command")
	}
	return argv
}

// op reads the head of the next op.
func (c *cursor) op() (kind, db int) {
	head := int(c.byte())
	return head & opKinds, c.checkDB(head >> 2)
}

// entryHead reads what stands before an entry's requests.
func (c *cursor) entryHead() (now int64, seed uint64) {
	if v := c.byte(); v != entryVersion && c.err == nil {
		c.fail(fmt.Sprintf("entry version %d, this program knows %d", v, entryVersion))
	}
	now = int64(c.uvarint())
	seed = c.uint64()
	if now < 0 {
		c.fail("time out of range")
	}
	return now, seed
}

func (c *cursor) requestHead() (h requestHead) {
	if v := c.byte(); v != requestVersion && c.err == nil {
		c.fail(fmt.Sprintf("request version %d, this program knows %d", v, requestVersion))
	}
	h.origin = c.uvarint()
	h.incarnation = c.uvarint()
	h.seq = c.uvarint()
	h.floor = c.uvarint()
	if c.err == nil && (h.seq == 0 || h.seq > maxSeq || h.floor > h.seq) {
		c.fail("request number out of range")
	}
	return h
}
