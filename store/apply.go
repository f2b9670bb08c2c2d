package store

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/machine"
)

const (
	// maxHold is how long the apply loop keeps readers out at a stretch. It lets
	// them in between two commands, so one long command can still exceed it.
	maxHold = time.Millisecond
	// holdWork is how much work passes between two looks at the time: a command is
	// one unit, and so is every kilobyte of arguments.
	holdWork = 32
)

// runApply is the only goroutine that changes the state. It is also the only one
// that replaces or captures it: all three happen between two batches, so a snapshot
// is the state at one index, and never the middle of an entry.
func (s *Store) runApply(commitC <-chan *commit.Batch, snapshotterReady <-chan commit.Snapshotter) {
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
	// Before anything is received: commitC goes on where this snapshot ends, and the
	// machine refuses a gap.
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
		case look := <-s.lookC:
			look()
		case batch, ok := <-commitC:
			var err error
			switch {
			case !ok:
				return
			case batch == nil:
				// This node was so far behind that the leader has sent a snapshot: there
				// are no entries in between, here or on the way.
				err = s.load(from)
			default:
				err = s.apply(batch)
			}
			if err != nil {
				// Skipping what cannot be applied would make this node differ from the
				// others for good, without a word.
				s.fatal(err)
				return
			}
		}
	}
}

// between has look look at the state, and not change it, on the goroutine that changes it, between two batches or in a pause of a long one. It
// needs no lock for that. Whoever holds one for reading may lose the processor, to another
// process, and then nothing is applied until he has it again. It answers false if the store
// has stopped instead.
func (s *Store) between(look func(*keyspace.Keyspace)) bool {
	doneC := make(chan struct{})
	select {
	case s.lookC <- func() {
		look(s.m.Keyspace())
		close(doneC)
	}:
		<-doneC
		return true
	case <-s.stopC:
		return false
	}
}

// apply applies a batch and answers whoever waits for it. The batch is committed and
// durable on this node already: nothing here can undo it, so a reply that is written
// now is one that the cluster keeps.
func (s *Store) apply(batch *commit.Batch) error {
	began := time.Now() //nolint:forbidigo // how long it takes is no state
	a := &s.applier
	a.leading = s.node.Load().IsLeader()
	a.lock()
	err := s.applyEntries(batch.Entries)
	if err == nil {
		s.expiry.changed(s.m.Keyspace())
		s.pressure.changed(s.m.Keyspace(), s.clock.mono())
		s.told.changed(s.m.Keyspace(), s.pressure.used.Load())
	}
	a.unlock()
	// If there is an error, what was answered before the bad entry was applied is
	// true all the same. The rest is ended by stop.
	a.tell()
	if err != nil {
		return err
	}
	// Behind unlock: who waits for this index wants to read.
	s.waits.tell()
	s.expiry.wake()
	s.pressure.wake()
	s.stats.applies.Observe(time.Since(began))
	if batch.CaptureC != nil {
		// Here, before the next batch: the raft node has asked for the state at the
		// end of this one, and will throw away the log up to there.
		p := s.capture()
		batch.CaptureC <- commit.Capture{Index: p.Index, Write: s.writer(p), Release: p.Release}
	}
	if batch.ApplyDoneC != nil {
		// Last: it tells raft that all of this is applied, which is what the log in
		// memory may then be cut by.
		close(batch.ApplyDoneC)
	}
	return nil
}

// applyEntries turns a panic into an error: a broken invariant, of a handler or of
// a plan. The state may be half changed then, and the node must stop.
func (s *Store) applyEntries(entries []commit.Entry) (err error) {
	index := s.m.Index()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("apply entry %d: panic: %v\n%s", index, p, debug.Stack())
		}
	}()
	for i := range entries {
		e := &entries[i]
		index = e.Index
		if err := s.m.Apply(e.Index, e.Term, e.Data); err != nil {
			return err
		}
		// Only what is applied as a whole counts: who reads at this index must see all
		// of the entry.
		s.levelChanged()
		s.waits.index.Store(s.m.Index())
		s.applier.endEntry()
	}
	return nil
}

// applier is what this node makes of the log that it applies: it answers the
// requests that are its own, lets readers in, and counts. It belongs to the apply
// loop, which is the only one that takes Store.mu for writing: here (lock, unlock), to
// freeze the state (capture) and to put another one in its place (load). All its
// methods run with the lock held but tell, tellSubscribers, and those that say so.
type applier struct {
	s *Store

	leading bool
	stamp   machine.Millis // of the entry being applied
	sent    micros         // when the latest of this node's requests in the entry was sent, -1 if there is none

	started time.Duration // of read.watch: when this hold of the lock began
	work    int
	fresh   bool // nothing has been executed since read.watch was looked at

	asker    asker
	orphan   orphan
	read     *reading
	finished []*Batch // answered, to be told once the lock is released
	over     []*Wait  // likewise
	newUsers bool     // whoever wants to know is to be told
	reenter  []*Wait  // to be entered once more
	opens    bool     // something has come for a client that the gate holds
	heard    []heard  // messages, and what concerns them
	silenced bool     // the others have forgotten the subscriptions of this node
	ready    []dbKey  // keys that blocked reads wait for and that the op has touched
	caller   caller
}

var _ machine.Observer = (*applier)(nil)

func (a *applier) lock() {
	a.s.mu.Lock()
	a.read.watch.start() // nobody executes while they wait for the lock
	a.started, a.work = a.read.watch.last, 0
	a.fresh = true
}

func (a *applier) unlock() {
	if b := a.asker.b; b != nil {
		b.endRun(&a.read.watch) // its time does not go on without the lock
	}
	a.s.tracking.broadcast()
	held := int64(a.read.watch.elapsed() - a.started)
	a.s.mu.Unlock()
	a.s.countLookups(a.read)
	if held > a.s.stats.longestHold.Load() {
		a.s.stats.longestHold.Store(held)
	}
}

// tell tells those who asked. It runs without the lock.
func (a *applier) tell() {
	a.tellSubscribers()
	if a.newUsers {
		a.newUsers = false
		if told := a.s.onUsers.Load(); told != nil {
			(*told)()
		}
	}
	for i, b := range a.finished {
		a.finished[i] = nil
		b.finish()
	}
	a.finished = a.finished[:0]
	for i, w := range a.over {
		a.over[i] = nil
		w.done()
	}
	a.over = a.over[:0]
	for i, w := range a.reenter {
		a.reenter[i] = nil
		a.s.enter(w)
	}
	a.reenter = a.reenter[:0]
	if a.opens {
		a.opens = false
		a.s.openGate()
	}
	a.s.room.flush(a.s)
}

// Pause serves blocked reads, and lets readers in if they have been kept out for
// long.
func (a *applier) Pause(work int) {
	if len(a.ready) > 0 {
		a.serveReads()
	}
	a.work += work
	if a.work < holdWork {
		return
	}
	a.work = 0
	if a.read.watch.elapsed()-a.started < maxHold {
		return
	}
	// Readers come in between two ops of an entry. That shows nobody half a command or
	// half a transaction, which are one op, and what is told here has been applied: a
	// crash does not take it back.
	a.unlock()
	a.tell()
	select { // batches may follow each other so closely that there is no time between them
	case look := <-a.s.lookC:
		look()
	default:
	}
	a.lock()
}

// Aside has f put a large request together while readers are let in.
func (a *applier) Aside(f func()) {
	a.unlock()
	defer a.lock()
	f()
}

// share has f read while other readers are let in. They find what is between two
// ops, as in Pause.
func (a *applier) share(f func()) {
	a.unlock()
	defer a.lock()
	a.s.mu.RLock()
	defer a.s.mu.RUnlock()
	a.read.watch.start()
	f()
}

// Entry takes in the stamp of an entry.
func (a *applier) Entry(stamp machine.Millis) {
	a.stamp, a.sent = stamp, -1
	a.s.clock.Observe(stamp, a.leading)
	a.s.stats.entries.Add(1)
}

func (a *applier) endEntry() {
	if a.sent >= 0 {
		a.s.clock.Bracket(a.stamp, a.sent)
		a.sent = -1
	}
}

// Request finds out who waits for the request.
func (a *applier) Request(h machine.Head, fresh bool) (machine.Asker, error) {
	s := a.s
	a.caller.tracker = nil
	own := false
	if h.Origin == s.cfg.Member {
		run := s.node.Load().incarnation
		if h.Incarnation > run {
			// Requests of an earlier run than the latest are refused for good, so none of
			// this node's writes could come true; and if it is a second process with this
			// id, two would answer for one.
			return nil, s.errOldRun(h.Incarnation)
		}
		own = h.Incarnation == run
	}
	if !fresh {
		// It was sent twice because nobody could tell what had become of it (a change
		// of leaders). Its client was answered when the first was applied, or told that
		// the outcome is unknown when the request was given up.
		s.stats.duplicates.Add(1)
		return nil, nil
	}
	s.stats.requests.Add(1)
	if !own {
		a.fresh = false
		return machine.Nobody{}, nil
	}
	s.hearing.Store(true)
	s.outbox.applied(h.Floor)
	// Taking it ends its retries, and makes this goroutine the only one that may write
	// the reply: a timeout at the same moment finds nothing any more.
	b := s.outbox.take(h.Seq)
	if b == nil { // given up: the client was told that the outcome is unknown
		a.orphan, a.fresh = orphan{a: a, seq: h.Seq}, false
		return &a.orphan, nil
	}
	s.stats.own.Add(1)
	a.sent = max(a.sent, b.sent) // the latest gives the narrowest bracket for the clock
	a.asker.begin(a, b)
	return &a.asker, nil
}

// errOldRun says that the log knows a later run of this member than this one.
func (s *Store) errOldRun(incarnation uint64) error {
	return fmt.Errorf("the log has run %d of member %d and this is run %d: its data directory was replaced by an older one, or two processes have its id",
		incarnation, s.cfg.Member, s.node.Load().incarnation)
}

// orphan is the asker of a request of this node that nobody waits for any more.
type orphan struct {
	machine.Nobody
	a   *applier
	seq uint64
}

// Blocked returns what the client that is gone will be served.
func (o *orphan) Blocked() { o.a.s.room.settle(o.seq, machine.Return) }

// Executed counts, and tells clients that cache of commands about all keys.
func (a *applier) Executed() {
	a.s.stats.commands.Add(1)
	a.s.tracking.ran(&a.caller)
}

// UsersChanged makes the users those that everybody asks for.
func (a *applier) UsersChanged(users *acl.Users) {
	a.s.users.Store(users)
	a.newUsers = true
}

// Script notes whether a script is being run, which nobody can stop.
func (a *applier) Script(running bool) {
	a.s.scripts.applying.Store(running)
	a.s.scripts.changes.Store(a.s.m.Library().Changes())
}

// Expired counts.
func (a *applier) Expired(n uint64) { a.s.stats.expiredByLeader.Add(n) }

// asker answers a batch of this node: it walks the batch's plan while the machine
// walks the request's ops, and runs what stands between the writes in its place.
// A batch is finished only when all of it is answered: if applying fails in the
// middle, nobody can say how much of the reply is true, and a client that sees its
// connection break knows that it knows nothing.
type asker struct {
	a    *applier
	b    *Batch
	next int           // step of the plan
	left int           // writes that are left of the step before it
	end  int           // step behind the transaction that is being run
	exec time.Duration // when that began
	now  int64         // that reads are as of

	remember bool // the keys of the command that is being run: it reads, and had to write
}

var _ machine.Asker = (*asker)(nil)

func (k *asker) begin(a *applier, b *Batch) {
	*k = asker{a: a, b: b}
	if !a.fresh {
		a.read.watch.start()
		a.fresh = true
	}
	a.caller.tracker = b.tracker
	if len(b.plan) > 1 { // there may be a read
		k.now = a.s.Now()
	}
}

// advance answers the steps in front of the next one that has an op, and returns
// that, nil if there is none.
func (k *asker) advance() *step {
	for k.next < len(k.b.plan) {
		st := &k.b.plan[k.next]
		switch st.kind {
		case stepWrites, stepExec, stepExecWrite, stepBlock:
			k.next++
			return st
		case stepGreeting:
			k.next++
		default:
			k.answer(k.next >= k.end) // a transaction is for nobody to see in between
		}
	}
	return nil
}

// answer answers the next step, which has no op. whole says that the state is one
// that others may see: then a read that may take long does not keep them out. It
// sees the same state either way: nobody else changes it.
func (k *asker) answer(whole bool) {
	st := &k.b.plan[k.next]
	if whole && (st.kind == stepExecRead || st.kind == stepRead && st.spec.Flags&command.Fast == 0) {
		k.a.share(func() { k.answer(false) })
		return
	}
	k.next += 1 + k.a.s.answerStep(k.b, k.next, k.a.read, k.now)
	k.a.work++
}

// between is called between two ops: for what belongs behind the reply of the one
// before.
func (k *asker) between() {
	if k.next >= k.end { // not into the reply of a transaction
		k.a.caller.flush(k.b.reply)
	}
}

// Command takes the next write of the plan.
func (k *asker) Command() command.Reply {
	k.between()
	if k.left > 0 {
		k.left--
		return k.b.reply
	}
	st := k.advance()
	switch {
	case st == nil || st.kind == stepExec:
		// The plan and the request were made of the same calls. If they differ, every
		// reply from here on would be that of another command.
		panic("store: not the request that was sent")
	case st.kind == stepWrites:
		k.left = st.n - 1
	}
	k.remember = st.remember
	return k.b.reply
}

// Runs ends the run of small writes that the command is not part of.
func (k *asker) Runs(db int, spec *command.Spec, argv [][]byte) {
	k.b.beforeWrite(&k.a.read.watch, db, spec, argv)
}

// Ran notes what nobody but the client's own node is to know of a command.
func (k *asker) Ran(db int, spec *command.Spec, w *command.Write) {
	if spec.CountLookups {
		k.a.read.count(&w.DB.View)
	}
	k.b.observeWrite(&k.a.read.watch, db, spec, w.Args)
	if k.remember && !spec.Script {
		k.a.s.tracking.remember(k.b.tracker, spec, w.Args)
	}
}

// Called counts.
func (k *asker) Called(c command.Called, n int64) { k.a.s.called(c, n) }

// RanInside counts lookups, and notes the keys of a script that reads. As in Redis these are
// the keys that it was given, whichever it reads: they are what its client knows of.
func (k *asker) RanInside(script [][]byte, db int, spec *command.Spec, argv [][]byte, view *keyspace.View) {
	if k.b.inside != nil {
		k.b.inside(db, spec, argv)
	}
	if spec.Write == nil || spec.CountLookups {
		k.a.read.count(view)
	}
	if k.remember && spec.AllFlags()&command.Readonly != 0 {
		k.a.s.tracking.remember(k.b.tracker, k.a.s.cfg.Table.Resolve(script), script)
	}
}

// Refused notes what a script was not let do.
func (k *asker) Refused(why acl.Refusal) { k.b.refused(why) }

// Blocked notes that the client waits. From here on that is state, and its reply comes
// from the room, not with this batch.
func (k *asker) Blocked() {
	k.b.blocked = true
	k.a.s.room.entered(k.a.s, k.b.wait, k.b.seq)
}

// Exec takes the next transaction of the plan.
func (k *asker) Exec(run bool) {
	st := k.transaction()
	if run {
		k.exec = k.a.read.watch.last
		k.b.reply.Array(st.n)
		k.end = k.next + st.n
		return
	}
	k.b.reply.NullArray()
	k.passOver(st)
}

// RefuseExec passes over the next transaction of the plan.
func (k *asker) RefuseExec(line string) {
	st := k.transaction()
	k.b.reply.Error(line)
	k.passOver(st)
}

func (k *asker) transaction() *step {
	k.between()
	st := k.advance()
	k.b.endRun(&k.a.read.watch)
	if k.left > 0 || st == nil || st.kind != stepExec {
		panic("store: not the request that was sent")
	}
	return st
}

func (k *asker) passOver(st *step) {
	k.next += st.n
	k.b.observeExec(&k.a.read.watch, k.a.read.watch.last)
}

// EndExec answers what stands behind the last write of the transaction.
func (k *asker) EndExec() {
	for k.next < k.end {
		k.answer(false)
	}
	k.b.observeExec(&k.a.read.watch, k.exec)
}

// End answers what stands behind the last write.
func (k *asker) End() {
	k.between()
	if k.left > 0 || k.advance() != nil {
		panic("store: not the request that was sent")
	}
	k.a.fresh = k.b.run.n > 0 // else clients that wait have been served since
	k.b.endRun(&k.a.read.watch)
	k.a.caller.tracker = nil
	// Told by tell, once the lock is released: that may run whatever comes next on the
	// connection.
	k.a.finished = append(k.a.finished, k.b)
	k.b = nil
}
