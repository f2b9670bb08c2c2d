package machine

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/raftredis/raftredis/store/keyspace"
)

// The log's format. It is read by every later version of the program, so a
// change needs a new version byte and a reader for the old one.
//
//	entry    version(1, not 0) now(uvarint, ms) seed(8) { len(uvarint) request }
//	request  version(1) origin incarnation seq floor (uvarints) { op }
//	op       head(1): kind in the low four bits, database above
//	  write    argc { len arg }
//	  exec     watches { db len key version } commands { db argc { len arg } }
//	  expire   keys { len key }
//	  block    resp3(1) timeout(ms) argc { len arg }; the last op of its request
//	  settle   clients { seq kind(1) }
//	  give up  origin incarnation
//	  announce upTo names { topic(1) len name clients }
//	  users    argc { len arg }: see acl.Change
//	  as       id of a user, 0 for one who may do everything
//	  evict    target keys { len key }
//	  reads    keys { len key times }
//	  once     len id keep(ms) resp3(1) digest(16) argc { len arg }
//
// The leader seals entries; a request is encoded once, by the node that a client
// spoke to, and never looked into on the way.
const (
	entryVersion   = 1
	requestVersion = 2
)

// Kinds of op.
const (
	opWrite    = iota // one command
	opExec            // a transaction: commands that all run, or none if a watched key has changed
	opExpire          // the leader's: delete those of the keys whose deadline has passed
	opBlock           // one command that waits if it finds nothing
	opSettle          // what becomes of clients of the origin that wait or are served
	opGiveUp          // the leader's: end the clients of a member that it does not hear of
	opAnnounce        // how many clients of the origin subscribe to what
	opUsers           // a change of the users
	opAs              // on whose behalf the request's scripts run from here on
	opOnce            // one command, unless one with its id has been run
	opEvict           // the leader's: delete those of the keys for which there is no room
	opReads           // keys that clients of the origin have read: not state, but what the next leader goes by
	opKinds           // how many kinds there are
)

const (
	dbShift  = 4
	kindMask = 1<<dbShift - 1
)

// ErrEntry says that a log entry cannot be decoded: it is damaged, or comes from a
// newer version of the program. The node must stop.
var ErrEntry = errors.New("log entry cannot be decoded")

// Seal builds one log entry of requests, in dst's memory if there is room. now and
// seed are all that a state machine may know of the world.
func Seal(dst []byte, now Millis, seed uint64, requests [][]byte) []byte {
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

func appendEntryHead(b []byte, now Millis, seed uint64) []byte {
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
		c.err = fmt.Errorf("%w: %s", ErrEntry, what)
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

// skipArgs passes over a command.
func (c *cursor) skipArgs() {
	n := c.count()
	if n == 0 {
		c.fail("empty command")
	}
	for ; n > 0; n-- {
		c.bytes()
	}
}

// op reads the head of the next op.
func (c *cursor) op() (kind, db int) {
	head := int(c.byte())
	if kind = head & kindMask; kind >= opKinds {
		c.fail(fmt.Sprintf("operation %d, this program knows %d", kind, opKinds))
	}
	return kind, c.checkDB(head >> dbShift)
}

// entryHead reads what stands before an entry's requests.
func (c *cursor) entryHead() (now Millis, seed uint64) {
	if v := c.byte(); v != entryVersion && c.err == nil {
		c.fail(fmt.Sprintf("entry version %d, this program knows %d", v, entryVersion))
	}
	now = Millis(c.uvarint())
	seed = c.uint64()
	if now < 0 {
		c.fail("time out of range")
	}
	return now, seed
}

func (c *cursor) head() (h Head) {
	if v := c.byte(); v != requestVersion && c.err == nil {
		c.fail(fmt.Sprintf("request version %d, this program knows %d", v, requestVersion))
	}
	h.Origin = c.uvarint()
	h.Incarnation = c.uvarint()
	h.Seq = c.uvarint()
	h.Floor = c.uvarint()
	if c.err == nil && (h.Seq == 0 || h.Seq > maxSeq || h.Floor > h.Seq) {
		c.fail("request number out of range")
	}
	return h
}

// SealLarge appends the beginning of an entry with one request of size bytes, which
// the raft node puts behind it. Otherwise it is like Seal.
func SealLarge(dst []byte, now Millis, seed uint64, size int) []byte {
	return appendUvarint(appendEntryHead(dst, now, seed), uint64(size))
}
