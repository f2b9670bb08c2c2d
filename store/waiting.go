package store

import (
	"time"

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
