package store

import (
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/machine"
)

// Batch is what one connection's pipeline asks for between two waits: writes,
// and whatever stands behind them and must be answered in its place. The zero
// value is ready, and a Batch is meant to be used again and again.
//
// The writes are encoded into the request as they come. What this node has to
// do beside them when the request is applied (run a read, answer a PING) is the
// plan, which never leaves the node.
type Batch struct {
	request machine.Request
	plan    []step
	args    []byte // arguments of the plan's reads
	ops     int    // commands, as the client counts them

	// Observer, if not nil, hears of every command of the batch that has been run on
	// this node. It stays when the batch is reset.
	Observer Observer

	run     run // what Observer has not been told of yet
	writes  bool
	wait    *Wait // what a stepBlock is for
	blocked bool  // it has ended without a reply
	failure Error // of the last Submit

	tracker  *Tracker    // of the client
	remember bool        // whether what is added reads for its cache
	noTouch  bool        // whether what is added is read and not used
	policy   *acl.Policy // of its user, nil: may do everything
	scriptAs uint64      // whose the request's scripts are as of its last op, see machine.Request.As
	refusals []acl.Refusal
	inside   func(db int, spec *command.Spec, argv [][]byte) // see By.Inside

	// While submitted the batch is also its own entry in the registry of
	// requests in flight, so that a write needs no allocation for one.
	flight
}

// Observer is told of commands that have been run. It is called under the store's lock, so
// it must be quick and must not call the store.
type Observer interface {
	// Failed is called once for each command, right after its reply, and reports whether
	// that is an error.
	Failed() bool

	// Ran is told of a command that has been run n times, of which some failed, and how
	// long that took on this node: the time for which it held the state, not what its
	// client waited. After the commands of a transaction, or instead of them if a watched
	// key had changed, it is told of the whole with a nil spec. argv is that of the first,
	// and valid until Ran returns. What came to nothing (see Err) it is not told of.
	Ran(db int, spec *command.Spec, argv [][]byte, n, failed int, took time.Duration)

	// Exact reports whether each command is to be timed by itself. Looking at the clock
	// costs a twentieth of a small write, so otherwise those that follow another of their
	// kind and cannot take long are timed together.
	Exact() bool
}

// maxRun quick writes take some ten microseconds: if they have taken milliseconds,
// something was in the way of one of them.
const maxRun = 64

// run is writes of one kind that are timed together.
type run struct {
	next      bool // the write that runs now is one
	n, failed int
	db        int
	spec      *command.Spec
	argv      [][]byte // of the first; not to be used once the entry has been applied
}

// observe tells the observer of a command that has run since the watch's last
// lap.
func (b *Batch) observe(w *stopwatch, db int, spec *command.Spec, argv [][]byte) {
	if b.Observer != nil {
		b.Observer.Ran(db, spec, argv, 1, b.failed(), w.lap())
	}
}

// failed is how many of the one command that has run last have failed.
func (b *Batch) failed() int {
	if b.Observer.Failed() {
		return 1
	}
	return 0
}

// beforeWrite is called before a write runs. What is not of the run that it would
// follow has its time to itself.
func (b *Batch) beforeWrite(w *stopwatch, db int, spec *command.Spec, argv [][]byte) {
	if b.Observer == nil {
		return
	}
	r := &b.run
	next := quick(spec, argv) && !b.Observer.Exact()
	if !next || r.n == maxRun || r.spec != spec || r.db != db {
		b.endRun(w)
	}
	r.next = next
}

// observeWrite is observe for a write, behind beforeWrite.
func (b *Batch) observeWrite(w *stopwatch, db int, spec *command.Spec, argv [][]byte) {
	r := &b.run
	if b.Observer == nil || !r.next {
		b.observe(w, db, spec, argv)
		return
	}
	if r.n == 0 {
		r.db, r.spec, r.argv = db, spec, append(r.argv, argv...)
	}
	r.n++
	r.failed += b.failed()
}

// endRun ends a run: whatever comes next is not of it.
func (b *Batch) endRun(w *stopwatch) {
	r := &b.run
	if r.n == 0 {
		return
	}
	b.Observer.Ran(r.db, r.spec, r.argv, r.n, r.failed, w.lap())
	clear(r.argv)
	*r = run{argv: r.argv[:0]}
}

// quick reports whether the command takes as long whatever it finds.
func quick(spec *command.Spec, argv [][]byte) bool {
	const few, small = 16, 4 << 10
	if len(argv) > few || spec.Flags&command.Fast == 0 && spec.Complexity != "O(1)" {
		return false
	}
	size := 0
	for _, arg := range argv {
		size += len(arg)
	}
	return size <= small
}

// observeExec tells the observer of a transaction that began at started.
func (b *Batch) observeExec(w *stopwatch, started time.Duration) {
	if b.Observer != nil {
		b.endRun(w)
		w.start()
		b.Observer.Ran(0, nil, nil, 1, 0, w.last-started)
	}
}

// answerFailed answers a write that came to nothing.
func (b *Batch) answerFailed() {
	b.reply.Error(string(b.err))
	if b.Observer != nil {
		b.Observer.Failed()
	}
}

// Err says why none of the batch's writes has been applied, or that nobody knows
// whether they have been (ErrUnknown); "" if all have. It is for who submitted the
// batch, once that is done.
func (b *Batch) Err() Error { return b.failure }

// flight is a submitted batch's state, guarded by outbox.mu except for what
// never changes in flight.
type flight struct {
	seq      uint64
	size     int    // what it counts for against Config.MaxPendingBytes
	sent     micros // for the first time; this and the next two are times of clock.mono
	resent   micros // for the last time
	deadline micros
	backoff  micros
	proposal *commit.Proposal
	lent     bool // the proposal's data is the batch's request
	reply    command.Reply
	done     func()
	err      Error // set when it is given up
}

// step is one part of a plan.
type step struct {
	kind  stepKind
	db    int
	n     int // writes: how many; exec: how many steps follow that are its commands
	spec  *command.Spec
	args  int               // reads: where in Batch.args
	watch []machine.Watched // execReads
	local func(command.Reply)

	remember bool        // the keys that it reads become the tracker's
	noTouch  bool        // reads: as By.NoTouch
	policy   *acl.Policy // reads: as Batch.policy
}

type stepKind uint8

const (
	stepWrites    stepKind = iota // the next n ops of the request
	stepExec                      // the next op of the request, and the n steps that follow
	stepExecWrite                 // within a stepExec: its next command
	stepExecRead                  // a transaction without a write: the n steps that follow
	stepRead
	stepLocal
	stepBlock    // the next op of the request, which may end without a reply
	stepGreeting // of a request without contents: fails like a write
)

// Limits that keep a Batch that was big once from holding its memory forever.
const (
	keepRequest = 8 << 10
	keepArgs    = 4 << 10
	keepPlan    = 64
)

// Reset empties the batch. It must not be in flight.
func (b *Batch) Reset() {
	b.request.Reset(keepRequest)
	if cap(b.args) > keepArgs {
		b.args = nil
	}
	if cap(b.plan) > keepPlan {
		b.plan = nil
	}
	clear(b.plan)
	b.args, b.plan = b.args[:0], b.plan[:0]
	b.ops, b.writes, b.wait, b.blocked = 0, false, nil, false
	b.tracker, b.remember, b.noTouch, b.policy, b.scriptAs = nil, false, false, nil, 0
	b.refusals, b.inside = nil, nil
}

// Expect says that commands of about n bytes in all are coming, so that room for
// them is made at once. The caller has received that much: it is no promise.
func (b *Batch) Expect(n int) {
	b.request.Begin(n)
}

// Len returns the number of commands in the batch; a transaction is one.
func (b *Batch) Len() int { return b.ops }

// Bytes returns how much the batch holds.
func (b *Batch) Bytes() int { return b.request.Len() + len(b.args) }

// HasWrites reports whether anything in the batch has to go through the log.
func (b *Batch) HasWrites() bool { return b.writes }

// By says who runs the commands that are added from here on, all of which are one
// client's.
func (b *Batch) By(by By) {
	b.tracker, b.remember, b.noTouch, b.policy = by.Tracker, by.Remember, by.NoTouch, by.Policy
	if by.Inside != nil {
		b.inside = by.Inside
	}
}

// as has the request's next scripts run on behalf of the client's user.
func (b *Batch) as() {
	user := uint64(0)
	if b.policy != nil {
		user = b.policy.User.ID
	}
	if b.scriptAs != user {
		b.request.As(user)
		b.scriptAs = user
	}
}

// Refusals returns what the batch's scripts were not let do on this node. It is for who
// submitted the batch, once that is done.
func (b *Batch) Refusals() []acl.Refusal { return b.refusals }

// refused notes a refusal. A script may go on and try again, for ever.
func (b *Batch) refused(why acl.Refusal) { b.refusals = addRefusal(b.refusals, why) }

func addRefusal(all []acl.Refusal, why acl.Refusal) []acl.Refusal {
	if len(all) == maxRefusals {
		return all
	}
	return append(all, why)
}

// maxRefusals is how many calls of scripts that were refused are remembered at once.
const maxRefusals = 128

// Write adds a command that writes. argv is copied. It is looked up again, by
// name, where it is applied.
func (b *Batch) Write(db int, spec *command.Spec, argv [][]byte) {
	if spec != nil && spec.Runs != 0 {
		b.as()
	}
	b.request.Write(db, argv)
	b.ops++
	b.planWrite(spec)
}

// planWrite is addWrite for a client's command.
func (b *Batch) planWrite(spec *command.Spec) {
	if b.remember && spec.Read != nil {
		b.writes = true
		b.plan = append(b.plan, step{kind: stepWrites, n: 1, remember: true})
		return
	}
	b.addWrite()
}

// Attempt is what a client says of a request that it may send again.
type Attempt struct {
	ID   []byte
	Keep int64 // ms for which the outcome is kept
}

// The most that an Attempt may have.
const (
	MaxAttemptID = machine.MaxID
	MaxKeep      = int64(machine.MaxKeep)
)

// Once adds a command that writes, to be run once: see machine.Request.Once.
func (b *Batch) Once(db int, spec *command.Spec, argv, sent [][]byte, a Attempt, resp3 bool) {
	if spec.Runs != 0 {
		b.as()
	}
	user := uint64(0)
	if b.policy != nil {
		user = b.policy.User.ID
	}
	b.request.Once(db, argv, sent, machine.Attempt{ID: a.ID, Keep: machine.Millis(a.Keep), User: user, RESP3: resp3})
	b.ops++
	b.planWrite(spec)
}

// addWrite plans one more op of the request. Runs of them are one step.
func (b *Batch) addWrite() {
	b.writes = true
	if last := len(b.plan) - 1; last >= 0 && b.plan[last].kind == stepWrites && !b.plan[last].remember {
		b.plan[last].n++
		return
	}
	b.plan = append(b.plan, step{kind: stepWrites, n: 1})
}

// block makes the batch the request that enters a client among those that wait, if
// its command finds nothing. timeout is in ms, 0 for ever.
func (b *Batch) block(w *Wait, timeout int64) {
	b.request.Block(w.db, w.argv, w.reply.RESP3(), timeout)
	b.writes = true
	b.plan = append(b.plan, step{kind: stepBlock})
	b.wait = w
	b.ops++
}

// settle tells the state machine about clients of this node that wait.
func (b *Batch) settle(all []machine.Settlement) {
	b.request.Settle(all)
	b.addWrite()
}

// announce says how many clients of this node subscribe to what.
func (b *Batch) announce(upTo uint64, all []machine.Announcement) {
	b.request.Announce(upTo, all)
	b.addWrite()
}

// changeUsers asks for a change of the users.
func (b *Batch) changeUsers(change acl.Change) {
	b.request.Users(change)
	b.addWrite()
}

// giveUp ends the clients of another member's run.
func (b *Batch) giveUp(origin, incarnation uint64) {
	b.request.GiveUp(origin, incarnation)
	b.addWrite()
}

// Read adds a command that reads and that stands behind a write: it runs on
// this node between its neighbours, and does not go into the log. argv is
// copied.
func (b *Batch) Read(db int, spec *command.Spec, argv [][]byte) {
	b.addRead(db, spec, argv, b.remember, b.noTouch)
	b.ops++
}

func (b *Batch) addRead(db int, spec *command.Spec, argv [][]byte, remember, noTouch bool) {
	b.plan = append(b.plan, step{kind: stepRead, db: db, spec: spec, args: len(b.args), remember: remember, noTouch: noTouch, policy: b.policy})
	b.args = machine.AppendArgs(b.args, argv)
}

// Local adds something that is answered without data, in its place.
func (b *Batch) Local(answer func(command.Reply)) {
	b.plan = append(b.plan, step{kind: stepLocal, local: answer})
	b.ops++
}

// Queued is one command of a transaction: a read, a write, or something that is
// answered without data (Local is set).
type Queued struct {
	DB    int
	Spec  *command.Spec
	Argv  [][]byte
	Local func(command.Reply)

	Remember bool // as By.Remember
	NoTouch  bool // as By.NoTouch
}

// Exec adds a transaction. All its commands run with nothing in between, or,
// if a watched key has changed, none does. The reply is an array of their
// replies or the null array. The marks should be fresh (Reader.Unchanged): one
// that is old may be taken for changed. Keys and arguments are copied.
func (b *Batch) Exec(watched []Watched, cmds []Queued) {
	writes, scripts := 0, false
	for i := range cmds {
		if cmds[i].Local == nil && cmds[i].Spec.IsWrite() {
			writes++
			scripts = scripts || cmds[i].Spec.Runs != 0
		}
	}
	if scripts {
		b.as()
	}
	if writes > 0 {
		b.request.Exec(marks(watched), writes)
		b.writes = true
		b.plan = append(b.plan, step{kind: stepExec, n: len(cmds)})
	} else {
		// Nothing to replicate: what it reads is this node's state, as for any read.
		b.plan = append(b.plan, step{kind: stepExecRead, n: len(cmds), watch: marks(watched)})
	}
	for i := range cmds {
		switch q := &cmds[i]; {
		case q.Local != nil:
			b.plan = append(b.plan, step{kind: stepLocal, local: q.Local})
		case q.Spec.IsWrite():
			b.request.ExecWrite(q.DB, q.Argv)
			b.plan = append(b.plan, step{kind: stepExecWrite, remember: q.Remember && q.Spec.Read != nil})
		default:
			b.addRead(q.DB, q.Spec, q.Argv, q.Remember, q.NoTouch)
		}
	}
	b.ops++
}

// marks returns what goes into the log, or stays when the client lets go of it.
func marks(watched []Watched) []machine.Watched {
	if len(watched) == 0 {
		return nil
	}
	own := make([]machine.Watched, len(watched))
	for i := range watched {
		own[i] = watched[i].Watched
	}
	return own
}

// expire asks for those of the keys to be deleted whose deadline has passed.
func (b *Batch) expire(db int, keys []string) {
	b.request.Expire(db, keys)
	b.addWrite()
}

// greet makes the batch a request without contents, which is answered like a
// write.
func (b *Batch) greet() {
	b.request.Begin(0)
	b.writes = true
	b.plan = append(b.plan, step{kind: stepGreeting})
}

// Submit proposes the batch's writes. It never blocks.
//
// The replies of all commands are written to reply in order, then done is called
// exactly once, from another goroutine; it must not block. Until then neither b
// nor reply may be touched. If it comes to no applied entry, each command that
// needed one is answered with one of this package's errors, and the others as
// ever.
func (s *Store) Submit(b *Batch, reply command.Reply, done func()) {
	b.reply, b.done, b.err = reply, done, ""
	if b.writes {
		if s.gate.held.Load() > 0 {
			s.openGate()
		}
		err := s.outbox.propose(b)
		if err == "" {
			return // it may have been answered by now
		}
		b.err = err
	}
	go s.answerUnapplied(b)
}

// answerUnapplied answers what did not become part of an applied entry: b.err for
// each command that needed one, and the others from the state as it is.
func (s *Store) answerUnapplied(b *Batch) {
	s.mu.RLock()
	s.answerWithout(b)
	s.mu.RUnlock()
	b.finish()
}

// finish hands the batch back to its connection, which may use it again at once.
func (b *Batch) finish() {
	done := b.done
	b.failure = b.err
	if b.lent && (b.err != "" || b.proposal.Shared()) {
		b.request.Release() // somebody may still be reading it
	}
	b.flight = flight{}
	done()
}
