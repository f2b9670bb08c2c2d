package store

import (
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/machine"
)

// Wait is one blocking command of a client of this node, from Block to its reply.
//
// A write that finds nothing becomes state: its client is entered on all members,
// and served by the machine. This node has to say what becomes of it, with a
// Settlement: it claims what was taken for a client that is still there, and only
// then passes the reply on; so nothing is given to a client that the others have
// given up meanwhile, and nothing is lost with one that has gone. A read waits on
// this node alone.
type Wait struct {
	// Waits, if not nil, is called when the command has been run once and its client
	// has begun to wait, with how long that took. It is called under the store's lock,
	// from any goroutine.
	Waits func(took time.Duration)

	// What became of the command, when done is called.
	Blocked  bool          // its client had to wait
	Answered bool          // and somebody has ended that: it was served, or unblocked
	Took     time.Duration // running it for the first time
	Err      Error         // why it came to nothing, or that nobody knows

	db    int
	spec  *command.Spec
	argv  [][]byte
	reply command.Reply
	done  func()
	by    By
	until micros // when its time is up, by clock.mono; 0: never
	batch Batch  // of the request that enters it

	// Guarded by room.mu, or blockedReads.mu for a read.
	state waitState
	seq   uint64 // of that request
	asked bool   // it is to end without being served: its time is up, or CLIENT UNBLOCK
	err   string // the reply then; empty: a null array
	gone  bool   // so is the client
	timer *time.Timer
}

type waitState uint8

const (
	waitOver     waitState = iota // the zero Wait, or one that has its reply
	waitEntering                  // its request is on its way
	waitWaiting                   // it is entered
	waitServed                    // something was taken for it and has to be claimed
	waitReading                   // a read
)

// waitSlack is how long after a client's time this node asks for its wait to be ended,
// if it asked for more than a second. As a rule some entry has moved the state clock by
// then, which ends it for nothing: where there are many such clients, the gate sees to
// that. Who asked for less is in more of a hurry.
const (
	waitSlack      = gatherFor + 10*time.Millisecond
	shortWaitSlack = 10 * time.Millisecond
)

// Block runs a command that may have to wait: command.Block.Timeout says that it
// asks for that. argv must stay as it is. The reply is written to reply, then done is
// called exactly once, from any goroutine, unless Leave was called before. Until then
// w may be given to Unblock and Leave only, and reply not be touched.
func (s *Store) Block(w *Wait, by By, db int, spec *command.Spec, argv [][]byte, reply command.Reply, done func()) {
	*w = Wait{Waits: w.Waits, db: db, spec: spec, argv: argv, reply: reply, done: done, by: by}
	// The client's time begins here, not when its request is applied: should it have to
	// be entered once more, it waits for what is left.
	if ms, _, _ := spec.Block.Timeout(argv); ms > 0 {
		w.until = s.clock.mono() + microsOf(time.Duration(min(ms, maxTimer.Milliseconds()))*time.Millisecond)
	}
	if spec.Read != nil {
		s.blockRead(w)
		return
	}
	s.enter(w)
}

// maxTimer keeps a timeout within what a timer can be set to.
const maxTimer = 200 * 365 * 24 * time.Hour

// left returns how long a client may still wait, in ms: 0 for ever, else at least 1.
func (w *Wait) left(now micros) int64 {
	if w.until == 0 {
		return 0
	}
	return max(int64((w.until-now+999)/1000), 1)
}

// enter proposes the command, at once or soon.
func (s *Store) enter(w *Wait) {
	s.room.mu.Lock()
	w.state = waitEntering
	s.room.mu.Unlock()
	if !s.holdBack(w) {
		s.proposeWait(w)
	}
}

// proposeWait proposes the command. The reply is recorded and not written at once: the
// client may go while the request is on its way, and then the reply is what says
// what has to be put back.
func (s *Store) proposeWait(w *Wait) {
	s.room.mu.Lock()
	gone := w.gone
	s.room.mu.Unlock()
	if gone { // it was held back, and nobody waits for the outcome
		return
	}
	w.batch.Reset()
	w.batch.Observer = (*waitObserver)(w)
	w.batch.By(w.by)
	w.batch.block(w, w.left(s.clock.mono()))
	reply := command.NewRecorded(w.reply.RESP3())
	s.Submit(&w.batch, reply, func() {
		if w.batch.blocked {
			return // and who is blocked is in the room
		}
		// There was something at once, or the request has failed. It was an ordinary
		// write, so nothing has to be claimed; but if the client has gone, its element
		// is out of the list and in nobody's hands: answer puts it back.
		s.room.mu.Lock()
		w.state, w.Err = waitOver, w.batch.Err()
		s.room.answer(w, reply)
		s.room.mu.Unlock()
		s.room.flush(s)
		w.done()
	})
}

// waitObserver is the observer of a Wait's batch.
type waitObserver Wait

// Failed answers nothing that is used: the front sees the reply.
func (w *waitObserver) Failed() bool { return false }

// Exact is true: it is one command.
func (w *waitObserver) Exact() bool { return true }

// Ran notes how long it took. A client that is entered once more has been told of already.
func (w *waitObserver) Ran(_ int, _ *command.Spec, _ [][]byte, _, _ int, took time.Duration) {
	if !w.Blocked {
		w.Took = took
		(*Wait)(w).begins(w.batch.blocked)
	}
}

// begins notes whether the client has begun to wait.
func (w *Wait) begins(blocked bool) {
	w.Blocked = blocked
	if blocked && w.Waits != nil {
		w.Waits(w.Took)
	}
}

// Unblock ends a wait, with an error or, if that is empty, as if its time were up.
// It reports whether the client was waiting; it may all the same be served before
// this is in the log.
func (s *Store) Unblock(w *Wait, err string) bool {
	if w.spec.Read != nil {
		return s.endRead(w, err, true)
	}
	ok := s.room.ask(w, err, true)
	s.room.flush(s)
	return ok
}

// Leave says that the client has gone: what was or will be taken for it is put back.
func (s *Store) Leave(w *Wait) {
	if w.spec.Read != nil {
		s.dropRead(w)
		return
	}
	s.room.leave(w)
	s.room.flush(s)
}

// Blocked returns how many clients of this node are entered and wait, as far as it
// knows: those that are served, or on their way in or out, do not count.
func (s *Store) Blocked() int {
	n := int(s.reads.n.Load())
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	for _, w := range s.room.waits {
		if w.state == waitWaiting && !w.asked {
			n++
		}
	}
	return n
}

// room is the clients of this node that are entered, and what is to be said about
// them.
type room struct {
	mu      sync.Mutex
	waits   map[uint64]*Wait // by Wait.seq
	said    []machine.Settlement
	undo    []undo
	rounds  int // requests with settlements that are on their way
	stopped bool
}

// undo is a command that puts something back.
type undo struct {
	db   int
	argv [][]byte
}

// settleAtOnce is how many requests with settlements are under way at a time. What
// comes meanwhile shares the next one.
const settleAtOnce = 2

// entered notes that a client waits. The apply loop calls it.
func (r *room) entered(s *Store, w *Wait, seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waits == nil {
		r.waits = make(map[uint64]*Wait)
	}
	w.seq, w.state = seq, waitWaiting
	r.waits[seq] = w
	switch {
	case w.gone:
		// It went before it had a number that could be returned: leave has left that
		// to this moment.
		r.say(seq, machine.Return)
	case w.until != 0 && !r.stopped:
		slack, left := waitSlack, (w.until - s.clock.mono()).span()
		if left < gatherFrom.span() {
			slack = shortWaitSlack
		}
		w.timer = time.AfterFunc(max(left, 0)+slack, func() {
			r.ask(w, "", false)
			r.flush(s)
		})
	}
}

// say queues a settlement. mu is held.
func (r *room) say(seq uint64, what machine.What) {
	r.said = append(r.said, machine.Settlement{Seq: seq, What: what})
}

// settle queues a settlement for a client that the room does not know.
func (r *room) settle(seq uint64, what machine.What) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.say(seq, what)
}

// ask asks for a wait to end, and reports whether there was one.
// client says that a client has asked for that (CLIENT UNBLOCK).
func (r *room) ask(w *Wait, err string, client bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.state != waitWaiting || w.asked || w.gone {
		return false
	}
	// Not over yet: a push that is in front of this in the log serves the client all
	// the same. Whoever were told now "nothing came" would lose that element.
	w.asked, w.err, w.Answered = true, err, client
	r.say(w.seq, machine.Cancel)
	return true
}

func (r *room) leave(w *Wait) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.gone {
		return
	}
	// It stays in the room until the log has said what became of it: something may
	// have been taken for it that this node has not applied yet.
	w.gone = true
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.state == waitWaiting || w.state == waitServed {
		// A claim that is on its way already cannot be taken back: see claimed.
		for i := range r.said {
			if c := &r.said[i]; c.Seq == w.seq && c.What == machine.Claim {
				c.What = machine.Return
				return
			}
		}
		r.say(w.seq, machine.Return)
	}
}

// tracker returns that of a client who waits, nil if there is none.
func (r *room) tracker(seq uint64) *Tracker {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.waits[seq]; w != nil {
		return w.by.Tracker
	}
	return nil
}

// served claims what was taken for a client, or returns it. The apply loop calls it.
// The client is not answered yet, though the reply is known: the leader may have given
// this node up in an entry that is not applied here, and the element may be another
// client's by then. Once the claim is applied, nobody else can get it.
//
// A client that the room does not know is one of this run all the same: it was given
// up here, or this node has restored a snapshot. Saying nothing would keep what was
// taken from everybody until the run ends.
func (r *room) served(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.waits[seq]
	if w == nil || w.gone {
		r.say(seq, machine.Return)
		return
	}
	w.state = waitServed
	r.say(seq, machine.Claim)
}

// claimed writes the reply of a client. It returns nil if the client has gone since.
// The apply loop calls it.
func (r *room) claimed(seq uint64, reply *command.Recorded) *Wait {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.take(seq)
	if w == nil || !r.answer(w, reply) {
		return nil
	}
	return w
}

// answer passes a reply on, or has what was taken put back by a command of its own
// if the client has gone: the machine has nothing of it any more that a Settlement
// could return. mu is held.
func (r *room) answer(w *Wait, reply *command.Recorded) bool {
	if !w.gone {
		reply.Replay(w.reply)
		w.Answered = true
		return true
	}
	if w.spec.Block.Undo != nil {
		if argv := w.spec.Block.Undo(w.argv, reply); argv != nil {
			r.undo = append(r.undo, undo{w.db, argv})
		}
	}
	return false
}

// take takes a client out of the room, which owes it the reply. mu is held.
func (r *room) take(seq uint64) *Wait {
	w := r.waits[seq]
	if w == nil {
		return nil
	}
	delete(r.waits, seq)
	w.state = waitOver
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	return w
}

// ended ends the wait of a client that was not served. It returns the client if it
// has its reply now, or, as again, if it has to be entered once more. The apply loop
// calls it.
func (r *room) ended(seq uint64, why machine.Ended, now micros) (over, again *Wait) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.take(seq)
	switch {
	case w == nil || w.gone:
		return nil, nil
	case why == machine.GivenUp && !w.asked && (w.until == 0 || w.until > now):
		// The others took this node for dead, and it was only cut off. Its client knows
		// nothing of that and waits on, at the end of the line. What was taken for it is
		// back in its key: served or not, it has had nothing.
		return nil, w
	default:
		w.end()
		return w, nil
	}
}

// end writes the reply of a wait that ends without anything.
func (w *Wait) end() {
	if w.err != "" {
		w.reply.Error(w.err)
	} else {
		w.reply.NullArray()
	}
}

// flush proposes what is to be said, unless enough of that is on its way. Settlements
// gather while others are under way, so a thousand clients whose time is up at once
// cost a few requests, not a thousand.
func (r *room) flush(s *Store) {
	r.mu.Lock()
	if r.stopped || r.rounds >= settleAtOnce || len(r.said)+len(r.undo) == 0 {
		r.mu.Unlock()
		return
	}
	r.rounds++
	said, back := r.said, r.undo
	r.said, r.undo = nil, nil
	r.mu.Unlock()
	b := &Batch{}
	if len(said) > 0 {
		b.settle(said)
	}
	for _, u := range back {
		b.Write(u.db, nil, u.argv)
	}
	reply := &command.Recorded{}
	s.Submit(b, reply, func() { r.settled(s, said, back, reply.Err()) })
}

// settled goes on when what was said is in the log, or is not.
func (r *room) settled(s *Store, said []machine.Settlement, back []undo, failed string) {
	r.mu.Lock()
	r.rounds--
	var over []*Wait
	switch Error(failed) {
	case "":
	case ErrNoLeader, ErrNotTaken, ErrStopped, ErrBusy, ErrUnknown:
		for i := range said {
			// A client whose time is up does not wait for a leader as well. Should it
			// turn out to have been served, that is put back.
			if w := r.waits[said[i].Seq]; w != nil && w.asked && !w.gone && said[i].What == machine.Cancel {
				w.end()
				w.gone = true
				said[i].What = machine.Return
				over = append(over, w)
			}
		}
		// To say it twice does no harm: what is settled already is found no more. In front
		// of what came since, because the first that is said of a client counts.
		r.said = append(said, r.said...)
		// A command that puts something back is no Settlement: twice would be two
		// elements where there was one.
		if Error(failed) != ErrUnknown { // else it may be there already
			r.undo = append(back, r.undo...)
		} else if len(back) > 0 {
			s.logger.Warn("cannot tell whether what was taken for clients that are gone is back", zap.Int("commands", len(back)))
		}
	default: // of a command: the key is of another type by now
		s.logger.Warn("cannot put back what was taken for a client that is gone", zap.String("error", failed))
		failed = ""
	}
	r.mu.Unlock()
	for _, w := range over {
		w.done()
	}
	if failed != "" {
		time.AfterFunc(retryEvery, func() { r.flush(s) })
		return
	}
	r.flush(s)
}

// stop ends all timers. Clients that wait are not answered: their connections are
// closed.
func (r *room) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	for _, w := range r.waits {
		if w.timer != nil {
			w.timer.Stop()
		}
	}
}

// own reports whether a client is one of this run of this node.
func (a *applier) own(id machine.WaitID) bool {
	return id.Origin == a.s.cfg.Member && id.Incarnation == a.s.node.Load().incarnation
}

// Serving says whose doing it is what is touched: of somebody who caches, if a client of
// this node is served who does.
func (a *applier) Serving(id machine.WaitID, on bool) {
	a.caller.serving, a.caller.served = on, nil
	if on && a.own(id) {
		a.caller.served = a.s.room.tracker(id.Seq)
	}
}

// Served claims what was taken for a client of this node.
func (a *applier) Served(id machine.WaitID) {
	if a.own(id) {
		a.s.room.served(id.Seq)
	}
}

// Claimed answers a client of this node.
func (a *applier) Claimed(id machine.WaitID, reply *command.Recorded) {
	if !a.own(id) {
		return
	}
	if w := a.s.room.claimed(id.Seq, reply); w != nil {
		a.over = append(a.over, w)
	}
}

// Ended answers a client of this node, or has it entered once more.
func (a *applier) Ended(id machine.WaitID, why machine.Ended) {
	if !a.own(id) {
		return
	}
	over, again := a.s.room.ended(id.Seq, why, a.s.clock.mono())
	if over != nil {
		a.over = append(a.over, over)
	}
	if again != nil {
		a.reenter = append(a.reenter, again)
	}
}

// reconcile is called when a snapshot was loaded in place of entries: what was said
// about clients in those was missed. It compares whom the room knows with whom the
// state knows, and takes each difference for what can have led to it. It runs on the
// apply loop, so neither changes meanwhile but for clients that go.
func (s *Store) reconcile() {
	r, a := &s.room, &s.applier
	there := make(map[uint64]bool) // served?
	if s.m.RunOf(s.cfg.Member) == s.node.Load().incarnation {
		s.m.ClientsOf(s.cfg.Member, func(seq uint64, served bool) { there[seq] = served })
	}
	var lost []uint64
	r.mu.Lock()
	for seq, served := range there {
		switch w := r.waits[seq]; {
		case w == nil:
			// It was entered in an entry that was missed, so nobody here has heard of it,
			// and what was taken for it would reach no client.
			r.say(seq, machine.Return)
		case served && w.state == waitWaiting:
			w.state = waitServed
			if w.gone {
				r.say(seq, machine.Return)
			} else {
				r.say(seq, machine.Claim)
			}
		}
	}
	for seq, w := range r.waits {
		if _, ok := there[seq]; ok {
			continue
		}
		if w.state == waitServed && !w.gone {
			// Claimed, most likely: taken for this client, with a reply that is lost.
			w.asked, w.err = true, string(ErrUnknown)
		}
		lost = append(lost, seq)
	}
	r.mu.Unlock()
	run := s.node.Load().incarnation
	for _, seq := range lost {
		a.Ended(machine.WaitID{Origin: s.cfg.Member, Incarnation: run, Seq: seq}, machine.GivenUp)
	}
	s.retryReads()
}

const (
	// giveUpEvery is how often the leader looks whether members with clients that
	// wait are still there, and giveUpAfter how long it has to find them away.
	giveUpEvery = time.Second
	giveUpAfter = 5
)

// runGiveUp has the clients of members that are away ended, while this node leads:
// what comes would be taken for them and reach nobody.
func (s *Store) runGiveUp() {
	ticker := time.NewTicker(giveUpEvery)
	defer ticker.Stop()
	away := make(map[uint64]int) // how often a member was found away
	for {
		select {
		case <-s.stopC:
			return
		case <-ticker.C:
			s.lookAfter(away)
		}
	}
}

func (s *Store) lookAfter(away map[uint64]int) {
	n := s.node.Load()
	if !n.IsLeader() {
		clear(away)
		return
	}
	// Not this member's own: it is here.
	s.mu.RLock()
	clients := slices.DeleteFunc(append(s.m.Clients(), s.m.Listening()...), func(c machine.Clients) bool { return c.Origin == s.cfg.Member })
	s.mu.RUnlock()
	if len(clients) == 0 {
		clear(away)
		return
	}
	st := n.Status()
	member := make(map[uint64]bool)
	for _, m := range st.Members {
		member[m.ID] = true
	}
	var b Batch
	seen := make(map[uint64]bool)
	for _, c := range clients {
		if seen[c.Origin] { // one that has clients that wait and clients that listen
			continue
		}
		seen[c.Origin] = true
		switch {
		case st.Progress[c.Origin].RecentActive:
			delete(away, c.Origin)
			continue
		case member[c.Origin]:
			// Several looks, not one: giving up costs every client there its place in
			// the line, and a pause of a second is no death. A member that was removed
			// gets no such grace, since it cannot come back.
			if away[c.Origin]++; away[c.Origin] < giveUpAfter {
				continue
			}
		}
		delete(away, c.Origin)
		s.logger.Info("giving up the clients of a member that is away", zap.Uint64("member", c.Origin), zap.Int("clients", c.N))
		b.giveUp(c.Origin, c.Incarnation)
	}
	if b.HasWrites() {
		doneC := make(chan struct{})
		s.Submit(&b, command.Discard{}, func() { close(doneC) })
		<-doneC // if it failed, the next look sees the clients again
	}
}
