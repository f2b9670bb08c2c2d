package store

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

const (
	// maxHold is how long the apply loop keeps readers out at a stretch. It lets
	// them in between two commands, so one long command can still exceed it.
	maxHold = time.Millisecond
	// holdWork is how much work passes between two looks at the time: a command is
	// one unit, and so is every kilobyte of arguments.
	holdWork = 32
)

// applier is the apply loop's own. It runs under Store.mu and needs no other
// protection.
type applier struct {
	call  command.Write
	db    keyspace.DB
	rand  keyspace.Rand
	argv  [][]byte
	read  *reading
	ahead lookahead
	own   *Batch // whose request is being applied, if it is one of this node's

	seed     uint64
	mayBlock bool
	keepFrom int   // see command.Call
	sent     int64 // when the latest of this node's requests in the entry was sent, -1 if there is none
	leading  bool
	started  time.Time // of this hold of the lock
	work     int

	finished []*Batch // answered, to be told once the lock is released
}

func newApplier() *applier {
	a := &applier{read: newReading()}
	a.call.DB = &a.db
	return a
}

// runApply is the only goroutine that changes the state.
func (s *Store) runApply(commitC <-chan *commit.Batch, snapshotterReady <-chan commit.Snapshotter) {
	defer s.wg.Done()
	defer s.stop()
	var from commit.Snapshotter
	select {
	case <-s.stopC:
		return
	case sn, ok := <-snapshotterReady:
		if !ok {
			return // the raft node failed, and says so itself
		}
		from = sn
	}
	if err := s.load(from); err != nil {
		s.fatal(err)
		return
	}
	s.readiness.loaded.Store(true)
	for {
		select {
		case <-s.stopC:
			return
		case c := <-s.captureC:
			c <- s.capture()
		case batch, ok := <-commitC:
			var err error
			switch {
			case !ok:
				return
			case batch == nil:
				err = s.load(from)
			default:
				err = s.apply(batch)
			}
			if err != nil {
				s.fatal(err)
				return
			}
		}
	}
}

// apply applies a batch and answers whoever waits for it.
func (s *Store) apply(batch *commit.Batch) error {
	a := s.applier
	a.leading = s.IsLeader()
	s.lockApply()
	err := s.applyEntries(batch.Entries)
	if err == nil {
		s.nextDeadline.Store(earliestDeadline(s.ks))
	}
	s.unlockApply()
	if err != nil {
		// What was answered before the bad entry was applied is true. The rest is
		// ended by stop.
		a.tell()
		return err
	}
	a.tell()
	s.waits.applied(s.applied.Load())
	s.wakeExpiry()
	if batch.CaptureC != nil {
		c := s.capture()
		batch.CaptureC <- commit.Capture{Index: c.index, Write: s.writer(c)}
	}
	if batch.ApplyDoneC != nil {
		close(batch.ApplyDoneC)
	}
	return nil
}

// tell tells those who asked. It runs without the lock.
func (a *applier) tell() {
	for i, b := range a.finished {
		a.finished[i] = nil
		b.finish()
	}
	a.finished = a.finished[:0]
}

func (s *Store) lockApply() {
	s.mu.Lock()
	s.applier.started = time.Now() //nolint:forbidigo // how long readers wait is no state
	s.applier.work = 0
	s.applier.read.watch.start() // nobody executes while they wait for the lock
}

// yield lets readers in if they have been kept out for long.
func (s *Store) yield(work int) {
	a := s.applier
	a.work += work
	if a.work < holdWork {
		return
	}
	a.work = 0
	if time.Since(a.started) < maxHold {
		return
	}
	s.unlockApply()
	a.tell()
	s.lockApply()
}

func (s *Store) unlockApply() {
	held := int64(time.Since(s.applier.started))
	s.mu.Unlock()
	s.countLookups(s.applier.read)
	if held > s.stats.longestHold.Load() {
		s.stats.longestHold.Store(held)
	}
}

// applyEntries turns a handler's panic into an error: a broken invariant. The
// state may be half changed then, and the node must stop.
func (s *Store) applyEntries(entries []commit.Entry) (err error) {
	index := s.applied.Load()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("apply entry %d: panic: %v\n%s", index, p, debug.Stack())
		}
	}()
	for i := range entries {
		e := &entries[i]
		index = e.Index
		applied := s.applied.Load()
		if e.Index <= applied {
			continue // it is in the snapshot that was loaded, or was sent twice
		}
		if e.Index != applied+1 {
			return fmt.Errorf("apply entry %d: the state is at %d, there is a gap", e.Index, applied)
		}
		data, err := s.whole(e)
		if err == nil && len(data) > 0 {
			err = s.applyEntry(data)
		}
		if err != nil {
			return fmt.Errorf("apply entry %d: %w", e.Index, err)
		}
		s.term = e.Term
		s.applied.Store(e.Index)
	}
	return nil
}

// whole returns what there is to apply when e has come: nothing, if e is a part of a
// large request, until its last one comes. Readers are let in while that is put
// together.
func (s *Store) whole(e *commit.Entry) ([]byte, error) {
	s.applier.keepFrom = 0
	if !commit.IsPart(e.Data) {
		return s.parts.Add(e.Term, e.Data)
	}
	s.unlockApply()
	defer s.lockApply()
	data, err := s.parts.Add(e.Term, e.Data)
	if len(data) > 0 {
		s.applier.keepFrom = len(data) - len(data)/8 // it is in memory of its own
	}
	return data, err
}

func (s *Store) applyEntry(data []byte) error {
	c := cursor{b: data}
	stamp, seed := c.entryHead()
	if c.err != nil {
		return c.err
	}
	s.applier.seed, s.applier.sent = seed, -1
	s.clock.Observe(stamp, s.applier.leading)
	s.now = max(s.now, stamp)
	s.stats.entries.Add(1)
	s.applier.ahead.start(c)
	defer s.applier.ahead.stop()
	for c.more() {
		request := c.bytes()
		if c.err != nil {
			return c.err
		}
		if err := s.applyRequest(request); err != nil {
			return err
		}
	}
	if s.applier.sent >= 0 {
		s.clock.Bracket(stamp, s.applier.sent)
	}
	return nil
}

func (s *Store) applyRequest(request []byte) error {
	c := cursor{b: request}
	h := c.requestHead()
	if c.err != nil {
		return c.err
	}
	own := false
	if h.origin == s.cfg.Member {
		run := s.node.Load().incarnation
		if h.incarnation > run {
			return s.errOldRun(h.incarnation)
		}
		own = h.incarnation == run
	}
	if !s.sessions.admit(h) {
		s.stats.duplicates.Add(1)
		return nil
	}
	s.stats.requests.Add(1)
	if !own {
		return s.applyOps(&c)
	}
	s.inflight.mu.Lock()
	b := s.inflight.take(h.seq)
	s.inflight.mu.Unlock()
	if b == nil {
		return s.applyOps(&c) // given up: the client was told that the outcome is unknown
	}
	s.applier.sent = max(s.applier.sent, b.sent)
	s.applier.own = b
	s.applier.read.watch.start()
	err := s.applyBatch(&c, b)
	s.applier.own = nil
	if err != nil {
		// Nobody can say how much of the reply is written, so b is never finished:
		// a client that sees its connection break knows that it knows nothing.
		return err
	}
	s.applier.finished = append(s.applier.finished, b)
	return nil
}

// errOldRun says that the log knows a later run of this member than this one.
func (s *Store) errOldRun(incarnation uint64) error {
	return fmt.Errorf("the log has run %d of member %d and this is run %d: its data directory was replaced by an older one, or two processes have its id",
		incarnation, s.cfg.Member, s.node.Load().incarnation)
}

// applyOps applies a request that nobody here waits for.
func (s *Store) applyOps(c *cursor) error {
	for c.more() {
		if err := s.applyOp(c, command.Discard{}); err != nil {
			return err
		}
	}
	return c.err
}

// applyBatch applies a request of this node with the answers of everything that
// stands around its writes.
func (s *Store) applyBatch(c *cursor, b *Batch) error {
	var now int64
	if len(b.plan) > 1 { // there may be a read
		now = s.Now()
	}
	for i := 0; i < len(b.plan); i++ {
		st := &b.plan[i]
		var err error
		switch st.kind {
		case stepWrites:
			for n := st.n; n > 0 && err == nil; n-- {
				err = s.applyOp(c, b.reply)
			}
		case stepExec:
			if kind, _ := c.op(); kind != opExec && c.err == nil {
				c.fail("not the request that was sent")
			}
			err = s.applyExec(c, b, b.plan[i+1:i+1+st.n])
			i += st.n
			s.yield(1 + st.n)
		case stepBlock:
			s.applier.mayBlock = true
			err = s.applyOp(c, b.reply)
			s.applier.mayBlock = false
		case stepGreeting:
		default:
			i += s.answerStep(b, i, s.applier.read, now)
			s.yield(1)
		}
		if err != nil {
			return err
		}
	}
	if c.more() {
		c.fail("not the request that was sent")
	}
	return c.err
}

// applyOp applies the next op.
func (s *Store) applyOp(c *cursor, reply command.Reply) error {
	s.applier.ahead.next(s.ks, s.now)
	before := len(c.b)
	kind, db := c.op()
	var err error
	switch {
	case c.err != nil:
		return c.err
	case kind == opExec:
		err = s.applyExec(c, nil, nil)
	case kind == opExpire:
		s.begin()
		s.expire(c, db)
		err = c.err
	default:
		s.begin()
		err = s.write(c, db, reply, kind == opAgain)
	}
	if err == nil {
		s.yield(1 + (before-len(c.b))>>10)
	}
	return err
}

// begin starts the next unit that WATCH can tell from others. Its number, not
// the entry's index, is a key's version: an entry holds requests of many
// clients, and readers are let in between them.
func (s *Store) begin() {
	s.revision++
	s.ks.Begin(s.revision, s.now)
	// Every unit draws from its own sequence, so that how much one command draws
	// is of no consequence for the next.
	s.applier.rand = keyspace.NewRand(s.applier.seed ^ s.revision*0xd1342543de82ef95)
}

// write runs the command that c stands at.
func (s *Store) write(c *cursor, db int, reply command.Reply, again bool) error {
	a := s.applier
	a.argv = c.args(a.argv)
	if c.err != nil {
		return c.err
	}
	spec := s.cfg.Table.Resolve(a.argv)
	if spec == nil || spec.Write == nil || !spec.ArityOK(len(a.argv)) {
		return fmt.Errorf("%w: no write command %.40q with %d arguments: the entry comes from a newer version", errEntry, a.argv[0], len(a.argv))
	}
	a.db = s.ks.DB(db)
	a.call.Space = s.ks
	// MayBlock differs between nodes. That is harmless: a command that finds
	// nothing changes nothing, whatever it replies.
	a.call.Call = command.Call{Args: a.argv, Now: s.now, Reply: reply, Rand: &a.rand, MayBlock: a.mayBlock, Again: again, KeepFrom: a.keepFrom}
	spec.Write(&a.call)
	if a.own != nil {
		s.ran(db, spec, again)
	}
	a.call.Args, a.call.Reply = nil, nil
	a.argv = release(a.argv)
	s.stats.commands.Add(1)
	return nil
}

// ran notes what nobody but the client's own node is to know of a command that
// the applier's call holds.
func (s *Store) ran(db int, spec *command.Spec, again bool) {
	a := s.applier
	if a.mayBlock {
		a.own.blocked = a.call.Blocked()
	}
	if spec.CountLookups && !again {
		a.read.count(&a.db.View)
	}
	a.own.observe(&a.read.watch, db, spec, a.argv)
}

// applyExec applies the transaction that c stands at, behind its head. steps
// are what the client asked for, if b is not nil.
func (s *Store) applyExec(c *cursor, b *Batch, steps []step) error {
	s.begin()
	if b != nil {
		defer b.observeExec(&s.applier.read.watch, s.applier.read.watch.last)
	}
	unchanged := watchedUnchanged(c, s.ks, s.now)
	n := c.count()
	if c.err != nil {
		return c.err
	}
	if !unchanged {
		for ; n > 0; n-- {
			c.db()
			s.applier.argv = c.args(s.applier.argv)
		}
		if b != nil {
			b.reply.NullArray()
		}
		return c.err
	}
	if b == nil {
		for ; n > 0; n-- {
			if err := s.write(c, c.db(), command.Discard{}, false); err != nil {
				return err
			}
		}
		return c.err
	}
	b.reply.Array(len(steps))
	now := s.Now()
	for i := range steps {
		st := &steps[i]
		switch st.kind {
		case stepExecWrite:
			n--
			if err := s.write(c, c.db(), b.reply, false); err != nil {
				return err
			}
		case stepRead:
			s.applier.read.encoded(s.ks, now, st, b)
		case stepLocal:
			st.local(b.reply)
		default:
			c.fail("not the transaction that was sent")
		}
	}
	if n != 0 {
		c.fail("not the transaction that was sent")
	}
	return c.err
}
