package store

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/machine"
)

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
