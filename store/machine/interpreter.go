package machine

import (
	"fmt"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// frame is what running one command needs and a handler must get by pointer.
// Frames are used again, so that a command allocates nothing.
type frame struct {
	call command.Write
	read command.Read // of a command of a script that only reads

	reply command.Recorded // of one that writes
	db    keyspace.DB
	argv  [][]byte
}

// op applies the op that c stands at.
func (m *Machine) op(c *cursor, asker Asker) error {
	m.ahead.next(m.ks, int64(m.now))
	before := len(c.b)
	kind, db := c.op()
	if c.err != nil {
		return c.err
	}
	var err error
	work := 1
	m.host.OOM, m.host.InExec = false, kind == opExec
	switch kind {
	case opWrite, opExec, opBlock, opOnce:
		m.host.OOM = m.makeRoom()
	}
	switch kind {
	case opExec:
		work, err = m.exec(c, asker)
	case opAs:
		return m.as(c) // no unit: it changes nothing
	default:
		// Before the unit begins: what the asker reads belongs to the one before.
		reply := asker.Command()
		m.begin()
		switch kind {
		case opWrite:
			err = m.write(c, db, reply, asker)
		case opOnce:
			err = m.once(c, db, reply, asker)
		case opExpire:
			err = m.expire(c, db)
		case opBlock:
			err = m.block(c, db, reply, asker)
		case opSettle:
			err = m.settle(c)
		case opGiveUp:
			err = m.giveUp(c)
		case opAnnounce:
			err = m.announce(c)
		case opUsers:
			err = m.changeUsers(c, reply)
		case opReads:
			err = m.reads(c, db)
		case opEvict:
			err = m.evict(c, db)
		}
	}
	if err == nil {
		// Before anything else can look: in Redis, too, who waits gets a pushed element
		// before the next command runs, and after a transaction as a whole.
		m.serve()
		m.obs.Pause(work + (before-len(c.b))>>10)
	}
	return err
}

// begin starts the next unit that WATCH can tell from others. Its number, not
// the entry's index, is a key's version: an entry holds requests of many
// clients, and readers are let in between them.
func (m *Machine) begin() {
	m.revision++
	m.ks.Begin(m.revision, int64(m.now))
	// Every unit draws from its own sequence, so that how much one command draws
	// is of no consequence for the next.
	m.rand = keyspace.NewRand(m.seed ^ m.revision*0xd1342543de82ef95)
}

// write runs the command that c stands at.
func (m *Machine) write(c *cursor, db int, reply command.Reply, asker Asker) error {
	f := m.push()
	defer m.pop()
	spec, err := m.read(f, c)
	if err != nil {
		return err
	}
	asker.Runs(db, spec, f.argv)
	f.call.Args, f.call.Reply, f.call.KeepFrom = f.argv, reply, m.keep // the rest is as pop left it
	m.callIfRoom(f, spec, db)
	asker.Ran(db, spec, &f.call)
	return nil
}

// block runs the command that c stands at, and has its client wait if there is
// nothing for it.
func (m *Machine) block(c *cursor, db int, reply command.Reply, asker Asker) error {
	resp3, timeout := c.byte() != 0, c.uvarint()
	f := m.push()
	defer m.pop()
	spec, err := m.read(f, c)
	if err != nil {
		return err
	}
	if c.more() || spec.Block == nil {
		c.fail("a command that blocks must be able to, and be the last of its request")
		return c.err
	}
	asker.Runs(db, spec, f.argv)
	f.call.Call = command.Call{Args: f.argv, Reply: reply, MayBlock: true}
	m.callIfRoom(f, spec, db)
	if f.call.Blocked() {
		m.enter(f, spec, db, resp3, timeout)
		asker.Blocked()
	}
	asker.Ran(db, spec, &f.call)
	return nil
}

// Exec runs a write command inside the one that is being run. It is part of the same unit, and of the
// same sequence of chance.
func (m *Machine) Exec(db int, argv [][]byte, reply command.Reply) error {
	f := m.push()
	defer m.pop()
	spec, err := m.resolve(argv)
	if err != nil {
		return err
	}
	f.call.Call = command.Call{Args: argv, Reply: reply}
	m.call(f, spec, db)
	return nil
}

// execFor runs a command of the script that is being run, like Exec. It may be one that
// reads, and has been checked.
func (m *Machine) execFor(spec *command.Spec, db int, argv [][]byte, reply command.Reply) error {
	f := m.push()
	defer m.pop()
	if spec.Write != nil {
		// Replying may end the script, when it has used up its memory. That must not
		// happen in the middle of a write.
		f.reply.Reset(reply.RESP3())
		f.call.Call = command.Call{Args: argv, Reply: &f.reply, InScript: true}
		m.call(f, spec, db)
		f.reply.Replay(reply)
	} else {
		f.call.Call = command.Call{Args: argv, Reply: reply, InScript: true}
		m.ks.Use(&f.db, db)
		m.prepare(&f.call.Call, db)
		f.read = command.Read{Call: f.call.Call, DB: &f.db.View}
		spec.Read(&f.read)
		f.read.Call = command.Call{}
		tellMissed(f)
		m.obs.Executed()
	}
	m.asker.RanInside(m.frames[m.depth-2].call.Args, db, spec, argv, &f.db.View)
	return nil
}

// read reads the command that c stands at into f.
func (m *Machine) read(f *frame, c *cursor) (*command.Spec, error) {
	f.argv = c.args(f.argv)
	if c.err != nil {
		return nil, c.err
	}
	return m.resolve(f.argv)
}

func (m *Machine) resolve(argv [][]byte) (*command.Spec, error) {
	spec := m.table.Resolve(argv)
	// The origin has checked all of this. Here it is the only guard against members of
	// different versions coming to different states: better to stop.
	if spec == nil || spec.Write == nil || !spec.ArityOK(len(argv)) {
		return nil, fmt.Errorf("%w: no write command %.40q with %d arguments: the entry comes from a newer version", ErrEntry, argv[0], len(argv))
	}
	return spec, nil
}

// callIfRoom is call for a command that may be refused for lack of memory.
func (m *Machine) callIfRoom(f *frame, spec *command.Spec, db int) {
	if !m.refuses(spec) {
		m.call(f, spec, db)
		return
	}
	m.ks.Use(&f.db, db) // for Ran
	f.call.Reply.Error(command.ErrOOM)
}

// call runs the handler on the call in f.
func (m *Machine) call(f *frame, spec *command.Spec, db int) {
	m.ks.Use(&f.db, db)
	call := &f.call
	call.Space = m.ks
	m.prepare(&call.Call, db)
	call.Publish = m.publish
	if spec.Script {
		m.obs.Script(true)
		defer m.obs.Script(false)
	}
	if m.ks.Events()&keyspace.EventMiss != 0 && spec.CountLookups {
		m.writeMissing(f, spec)
	} else {
		spec.Write(call)
	}
	m.obs.Executed()
}

// prepare puts into a call what all of them get.
func (m *Machine) prepare(call *command.Call, db int) {
	call.Now, call.Rand, call.Selected, call.Host = int64(m.now), &m.rand, db, &m.host
}

func (m *Machine) push() *frame {
	if m.depth == len(m.frames) {
		f := &frame{}
		f.call.DB = &f.db
		m.frames = append(m.frames, f)
	}
	m.depth++
	return m.frames[m.depth-1]
}

// pop lets go of what a command held: its arguments are part of something big,
// its reply is a connection's.
func (m *Machine) pop() {
	m.depth--
	f := m.frames[m.depth]
	f.call.Call = command.Call{}
	f.argv = ReleaseArgs(f.argv)
}

// ReleaseArgs empties argv for the next command, so that neither its arguments,
// which are part of something big, nor an unusual number of them stays in memory.
func ReleaseArgs(argv [][]byte) [][]byte {
	if cap(argv) > keepArgv {
		return nil
	}
	clear(argv)
	return argv[:0]
}

const keepArgv = 1 << 10

// exec applies the transaction that c stands at, and returns how many commands
// that were.
func (m *Machine) exec(c *cursor, asker Asker) (work int, err error) {
	run := true
	for n := c.count(); n > 0; n-- {
		w := Watched{DB: c.db(), Key: c.bytes(), Mark: keyspace.Mark(c.uvarint())}
		// All are read even if one has changed: what stands behind them has to be found.
		run = run && c.err == nil && m.unchanged(&w, int64(m.now))
	}
	n := c.count()
	if c.err != nil {
		return 0, c.err
	}
	// Before it begins, as in Redis: then none of its commands is refused.
	if m.refusesAny(*c, n) {
		asker.RefuseExec("EXECABORT Transaction discarded because of: " + command.ErrOOM)
		run = false
	} else {
		asker.Exec(run)
	}
	m.begin()
	for i := n; i > 0; i-- {
		db := c.db()
		if !run {
			c.skipArgs() // the next op begins behind them
			continue
		}
		if err := m.write(c, db, asker.Command(), asker); err != nil {
			return 0, err
		}
	}
	if c.err == nil && run {
		asker.EndExec()
	}
	return 1 + n, c.err
}

// Unchanged reports whether all keys are as WATCH saw them. now is the time in ms
// that they are looked at as of.
func (m *Machine) Unchanged(watched []Watched, now int64) bool {
	for i := range watched {
		if !m.unchanged(&watched[i], now) {
			return false
		}
	}
	return true
}

func (m *Machine) unchanged(w *Watched, now int64) bool {
	return m.ks.Unchanged(w.DB, w.Key, w.Mark, now)
}

// expire deletes those of the keys that c stands at whose deadline has passed.
func (m *Machine) expire(c *cursor, db int) error {
	d := m.ks.DB(db)
	before := m.ks.Stats().Expired
	for n := c.count(); n > 0; n-- {
		key := c.bytes()
		// The leader found these by its estimate of the clock. What counts is the state
		// clock, and what a write in front of this has made of the key: it may have been
		// given a new deadline, or none.
		if _, alive := d.Expire(key); !alive {
			d.Delete(key) // what is expired is deleted, what is gone stays so
		}
	}
	m.obs.Expired(m.ks.Stats().Expired - before)
	return c.err
}
