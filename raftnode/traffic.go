package raftnode

import (
	"go.etcd.io/raft/v3/raftpb"
)

// traffic leaves out messages that only repeat what another one says. A message
// that carries nothing costs as much as one that does, above all in wake-ups at
// both ends, and at one entry per round raft makes two of them for each that is
// needed. raft expects messages to get lost, so leaving some out is always safe;
// the rules below see to it that nothing has to wait for the loss to be noticed.
type traffic struct {
	// acked is the last acknowledgement of entries that went to the storage
	// goroutine, to be sent once they are durable: to whom, in which term, and up
	// to which index.
	acked struct{ to, term, index uint64 }
}

// superseded removes every MsgApp without entries, which tells a follower nothing
// but the commit index, if another one to the same member follows right behind
// it: a leader that commits an entry usually has the next one ready.
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

// overtaken reports whether a later message says all that m says.
func overtaken(m *raftpb.Message, later []*raftpb.Message) bool {
	for _, l := range later {
		if l.GetType() == raftpb.MsgApp && l.GetTo() == m.GetTo() && l.GetTerm() == m.GetTerm() &&
			l.GetIndex() == m.GetIndex() && l.GetCommit() >= m.GetCommit() {
			return true
		}
	}
	return false
}

// news returns the responses without those that tell the leader again what it has
// been told already. toldCommit says that what they answer moved the commit index
// and brought nothing else: only then may they be left out. The answer to a MsgApp
// that brings no news at all is what a leader waits for that has missed an earlier
// one, since that is how it asks (it does, after each heartbeat).
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
