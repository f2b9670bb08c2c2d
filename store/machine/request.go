package machine

import (
	"encoding/binary"
	"math/bits"

	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Head identifies a request. See session for what the fields do.
type Head struct {
	Origin      uint64 // member that the client spoke to
	Incarnation uint64 // which run of that member's process
	Seq         uint64 // counts that run's requests from 1
	Floor       uint64 // every request of that run below it has its outcome
}

// maxSeq keeps sums of request numbers from overflowing.
const maxSeq = 1 << 62

// maxHead is the most that Head.append appends.
const maxHead = 1 + 4*binary.MaxVarintLen64

func (h Head) append(b []byte) []byte {
	b = append(b, requestVersion)
	b = appendUvarint(b, h.Origin)
	b = appendUvarint(b, h.Incarnation)
	b = appendUvarint(b, h.Seq)
	return appendUvarint(b, h.Floor)
}

// Watched is a key as WATCH saw it.
type Watched struct {
	DB   int
	Key  []byte
	Mark keyspace.Mark
}

// Request encodes the ops of one request as they come. The zero value is ready.
// Everything is copied.
type Request struct {
	b []byte // room for the head, then the ops
}

// Reset empties the request. It keeps its memory unless that is more than keep
// bytes.
func (r *Request) Reset(keep int) {
	if cap(r.b) > keep {
		r.b = nil
	}
	r.b = r.b[:0]
}

// Begin makes room for the head, and for n bytes of ops if the request is still
// empty. The other methods call it themselves.
func (r *Request) Begin(n int) {
	if len(r.b) > 0 {
		return
	}
	if cap(r.b) < n {
		r.b = make([]byte, 0, n+maxHead)
	}
	r.b = append(r.b, make([]byte, maxHead)...)
}

// Empty reports whether nothing has been added, not even by Begin.
func (r *Request) Empty() bool { return len(r.b) == 0 }

// Len is the size in bytes, with the most that the head can take.
func (r *Request) Len() int { return len(r.b) }

func (r *Request) op(kind, db int) {
	r.Begin(0)
	r.b = append(r.b, opHead(kind, db))
}

// Write adds a command that writes. It is looked up again, by name, where it is
// applied.
func (r *Request) Write(db int, argv [][]byte) {
	r.op(opWrite, db)
	r.b = AppendArgs(r.b, argv)
}

// Attempt is what is known of a command that its client may send again.
type Attempt struct {
	ID    []byte // at most MaxID bytes
	Keep  Millis // for how long the outcome is: more than 0, at most MaxKeep
	User  uint64 // acl.User.ID, 0 for one who may do everything
	RESP3 bool   // what the client speaks
}

// Once adds a command that writes, which is not run if one with the same id has been,
// by whatever node it came: its reply is that one's then. sent is what the client has
// sent, by which two requests with one id are told apart (and by their user): argv may be
// that, or what a script is called by.
func (r *Request) Once(db int, argv, sent [][]byte, a Attempt) {
	r.op(opOnce, db)
	r.b = appendBytes(r.b, a.ID)
	r.b = appendUvarint(r.b, uint64(a.Keep))
	r.b = append(r.b, flag(a.RESP3))
	d := digestOf(a.User, db, sent)
	r.b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(r.b, d.hi), d.lo)
	r.b = AppendArgs(r.b, argv)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Block adds a command that waits if it finds nothing: up to timeout ms, 0 for
// ever. It must be the last op of the request. resp3 says what the client speaks.
func (r *Request) Block(db int, argv [][]byte, resp3 bool, timeout int64) {
	r.op(opBlock, db)
	r.b = append(r.b, flag(resp3))
	r.b = appendUvarint(r.b, uint64(timeout))
	r.b = AppendArgs(r.b, argv)
}

// Settlement is what a member says about a client of its own, which it knows by
// the number of the request that ended with its Block.
type Settlement struct {
	Seq uint64
	What
}

// What becomes of a client.
type What byte

// The kinds of Settlement.
const (
	Claim  What = iota // it is there to be given what it was served
	Cancel             // it waits no longer, but takes what it was served
	Return             // it has gone: what it was served is put back
	whats
)

// Settle adds settlements.
func (r *Request) Settle(all []Settlement) {
	r.op(opSettle, 0)
	r.b = appendUvarint(r.b, uint64(len(all)))
	for _, s := range all {
		r.b = append(appendUvarint(r.b, s.Seq), byte(s.What))
	}
}

// GiveUp ends all clients of a member's run.
func (r *Request) GiveUp(origin, incarnation uint64) {
	r.op(opGiveUp, 0)
	r.b = appendUvarint(r.b, origin)
	r.b = appendUvarint(r.b, incarnation)
}

// Announce says how many clients of the member subscribe to names, now that it has
// changed. upTo is higher in each: see Observer.Announced.
func (r *Request) Announce(upTo uint64, all []Announcement) {
	r.op(opAnnounce, 0)
	r.b = appendUvarint(r.b, upTo)
	r.b = appendUvarint(r.b, uint64(len(all)))
	for _, a := range all {
		r.b = append(r.b, byte(a.Topic))
		r.b = appendUvarint(r.b, uint64(len(a.Name)))
		r.b = append(r.b, a.Name...)
		r.b = appendUvarint(r.b, a.Clients)
	}
}

// Users changes the users.
func (r *Request) Users(change acl.Change) {
	r.op(opUsers, 0)
	r.b = AppendArgs(r.b, change.Args())
}

// As says on whose behalf the scripts run that follow in the request: the user with
// that acl.User.ID, or 0 for one who may do everything, as at the beginning.
func (r *Request) As(user uint64) {
	r.op(opAs, 0)
	r.b = appendUvarint(r.b, user)
}

// Exec begins a transaction, of so many commands that write: as many calls of
// ExecWrite have to follow.
func (r *Request) Exec(watched []Watched, writes int) {
	r.op(opExec, 0)
	r.b = appendUvarint(r.b, uint64(len(watched)))
	for i := range watched {
		r.b = append(r.b, byte(watched[i].DB))
		r.b = appendBytes(r.b, watched[i].Key)
		r.b = appendUvarint(r.b, uint64(watched[i].Mark))
	}
	r.b = appendUvarint(r.b, uint64(writes))
}

// ExecWrite adds a command to the transaction.
func (r *Request) ExecWrite(db int, argv [][]byte) {
	r.b = append(r.b, byte(db))
	r.b = AppendArgs(r.b, argv)
}

// Expire asks for those of the keys to be deleted whose deadline has passed.
func (r *Request) Expire(db int, keys []string) {
	r.op(opExpire, db)
	r.b = appendUvarint(r.b, uint64(len(keys)))
	for _, key := range keys {
		r.b = appendUvarint(r.b, uint64(len(key)))
		r.b = append(r.b, key...)
	}
}

// Evict asks for those of the keys to be deleted, in order, that the policy lets go, for
// as long as more than target bytes are used.
func (r *Request) Evict(db int, target int64, keys []string) {
	r.op(opEvict, db)
	r.b = appendUvarint(r.b, uint64(target))
	r.b = appendUvarint(r.b, uint64(len(keys)))
	for _, key := range keys {
		r.b = appendUvarint(r.b, uint64(len(key)))
		r.b = append(r.b, key...)
	}
}

// KeyRead is a key that was read on this node, and about how often.
type KeyRead struct {
	Key   string
	Times uint64
}

// Reads tells the others of keys that were read on this node.
func (r *Request) Reads(db int, keys []KeyRead) {
	r.op(opReads, db)
	r.b = appendUvarint(r.b, uint64(len(keys)))
	for _, k := range keys {
		r.b = appendUvarint(r.b, uint64(len(k.Key)))
		r.b = append(r.b, k.Key...)
		r.b = appendUvarint(r.b, k.Times)
	}
}

// Seal puts the head right before the ops and returns the whole request, which is
// a part of r's own memory.
func (r *Request) Seal(h Head) []byte {
	r.Begin(0)
	var room [maxHead]byte
	head := h.append(room[:0])
	start := maxHead - len(head)
	copy(r.b[start:], head)
	return r.b[start:]
}

// Release gives the memory up to whoever holds what Seal returned.
func (r *Request) Release() { r.b = nil }

func opHead(kind, db int) byte { return byte(kind | db<<dbShift) }

// AppendArgs appends a command's arguments; Args reads them back.
func AppendArgs(b []byte, argv [][]byte) []byte {
	b = appendUvarint(b, uint64(len(argv)))
	for _, arg := range argv {
		b = appendBytes(b, arg)
	}
	return b
}

// Args reads what AppendArgs wrote at the beginning of b into argv, whose array it
// reuses. The arguments are parts of b.
func Args(b []byte, argv [][]byte) [][]byte {
	c := cursor{b: b}
	return c.args(argv)
}

func appendBytes(b, s []byte) []byte {
	b = appendUvarint(b, uint64(len(s)))
	return command.Append(b, s)
}

func appendUvarint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

func uvarintLen(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }
