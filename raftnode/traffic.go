package raftnode

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// traffic leaves out messages that only repeat what another one says. A message
// that carries nothing costs as much as one that does, above all in wake-ups at
// both ends, and at one entry per round raft makes two of them for each that is
// needed. raft expects messages to get lost, so leaving some out is always safe;
// the rules below see to it that nothing has to wait for the loss to be noticed.
type traffic struct {
	// holds says whether anything is held back at all (Config.CommitDelay).
	holds bool

	// acked is the last acknowledgement of entries that went to the storage
	// goroutine, to be sent once they are durable: to whom, in which term, and up
	// to which index.
	acked struct{ to, term, index uint64 }

	// held is what a leader has not told followers yet: for each at most one MsgApp
	// without entries. turn counts how often held has begun to fill.
	held []*raftpb.Message
	turn uint64
	// asked is when members last forwarded requests. Their clients wait for them to
	// hear what is committed.
	asked map[uint64]ticks
}

// superseded removes every MsgApp without entries, which tells a follower nothing
// but the commit index, if another one to the same member follows right behind
// it: a leader that commits an entry usually has the next one ready. The follower
// loses nothing: it hears of the commit with the entry.
func (*traffic) superseded(msgs []*raftpb.Message) []*raftpb.Message {
	kept := msgs[:0]
	for i, m := range msgs {
		if !bare(m) || !overtaken(m, msgs[i+1:]) {
			kept = append(kept, m)
		}
	}
	clear(msgs[len(kept):])
	return kept
}

func bare(m *raftpb.Message) bool {
	return m.GetType() == raftpb.MsgApp && len(m.GetEntries()) == 0
}

// overtaken reports whether a later message says all that m says. The same Index: one
// that goes on from somewhere else may be refused, and then the commit index in it is
// lost as well.
func overtaken(m *raftpb.Message, later []*raftpb.Message) bool {
	for _, l := range later {
		if l.GetType() == raftpb.MsgApp && l.GetTo() == m.GetTo() && l.GetTerm() == m.GetTerm() &&
			l.GetIndex() == m.GetIndex() && l.GetCommit() >= m.GetCommit() {
			return true
		}
	}
	return false
}

// hold keeps back what only tells a follower that entries are committed, for up to
// Config.CommitDelay. A leader with one client commits an entry long before it
// has the next one, and to tell the followers at once is a message for each of
// them, a wake-up there, and the work of sending, in the way of the client's reply
// and of its next request. Nobody waits for what is held: see waitsFor. What is
// held is dropped when another MsgApp says it as well, and sent by release. It
// returns what is to be sent now. followers may be missing if nothing in out is bare.
func (t *traffic) hold(now ticks, followers []follower, out []*raftpb.Message) []*raftpb.Message {
	if !t.holds {
		return out
	}
	var first []*raftpb.Message
	kept := out[:0]
	for _, m := range out {
		switch m.GetType() {
		case raftpb.MsgApp:
			// raft's messages to one member are in order, so a later MsgApp has at
			// least this commit index.
			t.drop(m.GetTo())
			if bare(m) && !t.waitsFor(now, followers, m.GetTo()) {
				if len(t.held) == 0 {
					t.turn++
				}
				t.held = append(t.held, m)
				continue
			}
		case raftpb.MsgHeartbeat:
		default:
			// An answer to a read, or the leadership: the member needs to know. A
			// reader would wait for the commit index to reach its answer's; a successor
			// would be told to stand before it knows what is committed.
			if h := t.drop(m.GetTo()); h != nil {
				first = append(first, h)
			}
		}
		kept = append(kept, m)
	}
	clear(out[len(kept):])
	if first == nil {
		return kept
	}
	return append(first, kept...)
}

// drop takes out what is held for a member, nil if there is nothing.
func (t *traffic) drop(to uint64) *raftpb.Message {
	for i, h := range t.held {
		if h.GetTo() == to {
			t.held = slices.Delete(t.held, i, i+1)
			return h
		}
	}
	return nil
}

// waitsFor reports whether somebody waits for a MsgApp without entries to reach a
// member: the leader, which looks for the end of the member's log with it, or
// clients of the member, which has forwarded requests a moment ago.
func (t *traffic) waitsFor(now ticks, followers []follower, member uint64) bool {
	if at, ok := t.asked[member]; ok && now-at < askedLately {
		return true
	}
	return !slices.ContainsFunc(followers, func(f follower) bool { return f.id == member && f.replicating })
}

// askedLately is for how many ticks a member that has forwarded requests is told
// at once what is committed.
const askedLately = 4

// forwarded notes that a member has forwarded requests.
func (t *traffic) forwarded(now ticks, member uint64) {
	if t.asked == nil {
		t.asked = make(map[uint64]ticks)
	}
	t.asked[member] = now
}

// release returns what is held, to be sent now.
func (t *traffic) release() []*raftpb.Message {
	held := t.held
	t.held = nil
	return held
}

// deposed forgets what only a leader has to say. The next leader tells everybody what
// is committed.
func (t *traffic) deposed() { t.held, t.asked = nil, nil }

// news returns the responses without those that tell the leader again what it has
// been told already. toldCommit says that what they answer moved the commit index
// and brought nothing else: only then may they be left out. The answer to a MsgApp
// that brings no news at all is what a leader waits for that has missed an earlier
// one, since that is how it asks (it does, after each heartbeat).
//
// Were that left out, what the lost acknowledgement was for might never be committed.
func (t *traffic) news(responses []*raftpb.Message, toldCommit bool) []*raftpb.Message {
	kept := responses[:0:0]
	for _, r := range responses {
		if r.GetType() == raftpb.MsgAppResp && !r.GetReject() {
			a := &t.acked
			if a.to != r.GetTo() || a.term != r.GetTerm() {
				a.to, a.term, a.index = r.GetTo(), r.GetTerm(), 0
			}
			if toldCommit && r.GetIndex() <= a.index {
				continue
			}
			a.index = max(a.index, r.GetIndex())
		}
		kept = append(kept, r)
	}
	return kept
}

// unheld returns what of some messages is to be sent now.
func (c *core) unheld(out []*raftpb.Message) []*raftpb.Message {
	out = c.traffic.superseded(out)
	var fs []follower
	if c.isLeader() && slices.ContainsFunc(out, bare) {
		fs = c.followers()
	}
	return c.traffic.hold(c.now, fs, out)
}

// release sends what was held back.
func (c *core) release() {
	if held := c.traffic.release(); len(held) > 0 {
		c.env.send(held)
	}
}
