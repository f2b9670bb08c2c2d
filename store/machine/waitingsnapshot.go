package machine

import (
	"math"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// frozenWaiting is waiting as it was at one index.
type frozenWaiting struct {
	entered, taken uint64
	waiters        []*waiter
	served         []*served
}

func (ws *waiting) freeze() (f frozenWaiting) {
	f.entered, f.taken = ws.entered, ws.taken
	for w := ws.line; w != nil; w = w.next {
		f.waiters = append(f.waiters, w)
	}
	for s := ws.served; s != nil; s = s.next {
		f.served = append(f.served, s)
	}
	return f
}

func (f *frozenWaiting) encode(e *keyspace.Encoder) {
	e.Uvarint(f.entered)
	e.Uvarint(f.taken)
	e.Uvarint(uint64(len(f.waiters)))
	for _, w := range f.waiters {
		encodeClient(e, w.id, w.db, w.resp3, w.argv)
		e.Uvarint(w.number)
		e.Uvarint(uint64(w.deadline))
	}
	e.Uvarint(uint64(len(f.served)))
	for _, s := range f.served {
		encodeClient(e, s.id, s.db, s.reply.RESP3(), s.argv)
		e.Uvarint(s.number)
		e.Bytes(s.reply.Bytes())
	}
}

func encodeClient(e *keyspace.Encoder, id WaitID, db int, resp3 bool, argv [][]byte) {
	e.Uvarint(id.Origin)
	e.Uvarint(id.Seq)
	e.Byte(byte(db))
	b := byte(0)
	if resp3 {
		b = 1
	}
	e.Byte(b)
	e.Uvarint(uint64(len(argv)))
	for _, a := range argv {
		e.Bytes(a)
	}
}

// decodeWaiting needs the sessions. It checks what the rest of the machine takes for
// granted, above all the order and that every command can wait: a bad snapshot has to
// end here, with an error, and not as a panic or a wrong order later.
func (m *Machine) decodeWaiting(d *keyspace.Decoder) error {
	ws := &m.waiting
	ws.entered, ws.taken = d.Uvarint(), d.Uvarint()
	last := uint64(0)
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		w := &waiter{}
		w.id, w.db, w.resp3, w.spec, w.argv = m.decodeClient(d)
		w.number = d.Uvarint()
		w.deadline = Millis(d.Uvarint())
		if d.Err() == nil && (w.number <= last || w.number > ws.entered || w.deadline < 0) {
			d.Fail("clients that wait are out of order")
		}
		if d.Err() == nil {
			ws.enter(w)
		}
		last = w.number
	}
	taken := uint64(0)
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		s := &served{}
		var resp3 bool
		s.id, s.db, resp3, s.spec, s.argv = m.decodeClient(d)
		if s.number = d.Uvarint(); s.number <= taken || s.number > ws.taken {
			d.Fail("what was taken for clients is out of order")
		}
		taken = s.number
		reply, err := command.LoadRecorded(d.Bytes(), resp3)
		if err != nil {
			d.Fail(err.Error())
		}
		s.reply = reply
		if d.Err() == nil {
			ws.keep(s)
		}
	}
	return nil
}

func (m *Machine) decodeClient(d *keyspace.Decoder) (id WaitID, db int, resp3 bool, spec *command.Spec, argv [][]byte) {
	id.Origin = d.Uvarint()
	id.Seq = d.Uvarint()
	id.Incarnation = m.RunOf(id.Origin)
	db, resp3 = int(d.Byte()), d.Byte() != 0
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		argv = append(argv, d.Bytes())
	}
	if d.Err() != nil {
		return id, db, resp3, nil, argv
	}
	if len(argv) > 0 {
		spec = m.table.Resolve(argv)
	}
	w, s := m.waiting.find(id.Origin, id.Seq)
	switch {
	case spec == nil || spec.Write == nil || spec.Block == nil || !spec.ArityOK(len(argv)) || !m.waits(spec, argv):
		d.Fail("a client waits with a command that cannot")
	case db >= keyspace.Databases || m.sessions[id.Origin] == nil || id.Seq > math.MaxInt64 || w != nil || s != nil:
		d.Fail("a client that cannot be")
	}
	return id, db, resp3, spec, argv
}

// waits reports whether the arguments ask to wait, and name keys to wait for.
func (m *Machine) waits(spec *command.Spec, argv [][]byte) bool {
	_, ok, _ := spec.Block.Timeout(argv)
	if !ok {
		return false
	}
	refs, err := command.Keys(spec, argv)
	return err == nil && len(refs) > 0
}
