package machine

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"github.com/tidwall/btree"
	"github.com/zeebo/xxh3"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// outcomes is what has become of requests that clients have given an id of their own
// (ONCE): a client that does not know whether its request was applied may send it
// again, to any node, and is answered what the first attempt was. It is state, and
// bounded: the client says how long an outcome is kept, and when there is no room for
// more, a new id is refused before anything is done. None is ever forgotten early.
//
// Sessions keep a node's requests from being applied twice; this does so for a
// client's, whose attempts are different requests.
type outcomes struct {
	byID     btree.Map[string, *outcome]
	deadline *btree.BTreeG[*outcome]
	size     int // what they count for against maxOutcomes
}

// outcome never changes.
type outcome struct {
	id      string
	until   Millis // of the state clock
	request digest // of what the client has sent
	reply   *command.Recorded
}

const (
	maxOutcomes = 256 << 20 // bytes of all of them
	maxOutcome  = 1 << 20   // of one reply
	outcomeSize = 160       // beside id and reply
)

// MaxKeep is how long an outcome may be kept.
const MaxKeep Millis = 24 * 60 * 60 * 1000

// MaxID is how long an id may be, in bytes.
const MaxID = 128

func newOutcomes() outcomes {
	return outcomes{deadline: btree.NewBTreeGOptions(func(a, b *outcome) bool {
		if c := cmp.Compare(a.until, b.until); c != 0 {
			return c < 0
		}
		return a.id < b.id
	}, btree.Options{NoLocks: true})}
}

func (os *outcomes) clone() outcomes {
	return outcomes{byID: *os.byID.Copy(), deadline: os.deadline.Copy(), size: os.size}
}

func (o *outcome) bytes() int { return len(o.id) + len(o.reply.Bytes()) + outcomeSize }

func (os *outcomes) add(o *outcome) {
	os.byID.Set(o.id, o)
	os.deadline.Set(o)
	os.size += o.bytes()
}

// expire forgets those that need not be kept any more.
func (os *outcomes) expire(now Millis) {
	for {
		o, ok := os.deadline.Min()
		if !ok || o.until > now {
			return
		}
		os.deadline.DeleteAt(0)
		os.byID.Delete(o.id)
		os.size -= o.bytes()
	}
}

// Errors of ONCE.
const (
	errOtherRequest = "ONCE the id was used for another command"
	errOnceFull     = "ONCE too many outcomes are kept: nothing was done"
	errBigOutcome   = "ONCE the command was run before, and its reply was too long to be kept"
)

// once runs the command that c stands at, unless one with its id has an outcome: then
// that is the reply.
func (m *Machine) once(c *cursor, db int, reply command.Reply, asker Asker) error {
	id, keep, resp3 := string(c.bytes()), Millis(c.uvarint()), c.byte() != 0
	request := digest{c.uint64(), c.uint64()}
	if keep <= 0 || keep > MaxKeep || len(id) > MaxID {
		c.fail("an outcome that is kept for ever, or has too long an id")
	}
	f := m.push()
	defer m.pop()
	spec, err := m.read(f, c)
	if err != nil {
		return err
	}
	asker.Runs(db, spec, f.argv)
	f.call.Args = f.argv
	m.ks.Use(&f.db, db) // for Ran, if nothing is run
	before, known := m.outcomes.byID.Get(id)
	switch {
	case known && before.request != request:
		reply.Error(errOtherRequest)
	case known:
		// In the form that whoever asked first has understood: RESP2 or 3.
		before.reply.Replay(reply)
	case m.outcomes.size > maxOutcomes:
		reply.Error(errOnceFull)
	case m.refuses(spec):
		reply.Error(command.ErrOOM)
	default:
		// Recorded, so that what the members keep depends on the log alone and not on who
		// listens: a reply's form is that of the client whose request this is.
		f.reply.Reset(resp3)
		f.call.Reply = &f.reply
		touched := m.touches
		m.call(f, spec, db)
		f.reply.Replay(reply)
		// What came to nothing may be tried again, after NOSCRIPT for example.
		if f.reply.Err() == "" || m.touches != touched {
			m.keepOutcome(id, keep, request, &f.reply)
		}
	}
	asker.Ran(db, spec, &f.call)
	return nil
}

func (m *Machine) keepOutcome(id string, keep Millis, request digest, reply *command.Recorded) {
	kept := command.NewRecorded(reply.RESP3())
	if len(reply.Bytes()) <= maxOutcome {
		reply.Replay(kept)
	} else {
		kept.Error(errBigOutcome)
	}
	m.outcomes.add(&outcome{id: id, until: m.now + keep, request: request, reply: kept})
}

// digest tells requests apart. That of another command is the same about as often as a
// random id of another client. Users are part of it: what one was answered another may
// not be allowed to know.
type digest struct{ hi, lo uint64 }

func digestOf(user uint64, db int, argv [][]byte) digest {
	h := xxh3.New()
	var room [binary.MaxVarintLen64]byte
	_, _ = h.Write(appendUvarint(room[:0], user)) // a hash never fails
	_, _ = h.Write(appendUvarint(room[:0], uint64(db)))
	for _, arg := range argv {
		_, _ = h.Write(appendUvarint(room[:0], uint64(len(arg))))
		_, _ = h.Write(arg)
	}
	sum := h.Sum128()
	return digest{sum.Hi, sum.Lo}
}

func (os *outcomes) encode(e *keyspace.Encoder) {
	e.Uvarint(uint64(os.byID.Len()))
	os.byID.Scan(func(_ string, o *outcome) bool {
		e.String(o.id)
		e.Uvarint(uint64(o.until))
		e.Uvarint(o.request.hi)
		e.Uvarint(o.request.lo)
		e.Uvarint(uint64(flag(o.reply.RESP3())))
		e.Bytes(o.reply.Bytes())
		return true
	})
}

func (m *Machine) decodeOutcomes(d *keyspace.Decoder) error {
	last := ""
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		o := &outcome{id: d.String(), until: Millis(d.Uvarint()), request: digest{d.Uvarint(), d.Uvarint()}}
		resp3 := d.Uvarint() != 0
		reply, err := command.LoadRecorded(d.Bytes(), resp3)
		if d.Err() == nil && m.outcomes.byID.Len() > 0 && o.id <= last {
			err = fmt.Errorf("%q stands behind %q", o.id, last)
		}
		if err != nil {
			return fmt.Errorf("outcome of %q: %w", o.id, err)
		}
		o.reply, last = reply, o.id
		m.outcomes.add(o)
	}
	return nil
}
