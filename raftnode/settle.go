package raftnode

import (
	"errors"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// A membership change takes effect on each member when that member learns that it is
// committed, and whoever learns it later, or forgets it in a crash, counts on
// another majority meanwhile. That is safe, because raft lets the majorities of one
// change overlap, but it can leave a cluster without anybody who may lead: a member
// that was removed and has gone is asked for its vote, or one that was promoted does
// not know that it may stand. Three things here prevent that:
//
//   - An entry behind a change vouches for it: the leader proposes nothing behind a
//     change before that is committed (settlement.settling). So whoever has such an entry
//     knows that the change is committed, even if a crash took the commit index
//     (settledIndex).
//   - A change is settled when an entry that vouches for it is committed: then it is
//     on the disks of a majority, each of which knows of the change for good. If
//     nobody writes, the leader proposes an entry without requests (vouch). A removed
//     member is told to go only when its removal is settled; until then it votes.
//   - A member without a leader tells all others what it knows to be committed
//     (tellCommitted). It may be one without a vote, or whose vote does not suffice.
//
// (TestRandomSchedules found each case; one story is in settle_learner_knows.txt.)

// vouches reports whether an entry says that every membership change in front of it
// is committed. An empty one does not: a new leader appends it at once. A change
// does, because raft refuses a second one while the first is not applied.
func vouches(e *raftpb.Entry) bool {
	return e.GetType() != raftpb.EntryNormal || len(e.GetData()) > 0
}

// settledIndex returns the index of the last membership change among entries that is
// known to be committed because of what follows it, or 0.
func settledIndex(entries []*raftpb.Entry) (settled uint64) {
	var last uint64
	for _, e := range entries {
		if vouches(e) {
			settled = last
		}
		if e.GetType() != raftpb.EntryNormal {
			last = e.GetIndex()
		}
	}
	return settled
}

// settlement is what a member knows of changes that cannot be forgotten any more.
type settlement struct {
	// members are as of the last change that is known to be settled. Only who is
	// removed in there may be told so.
	members *membership
	// last is the index of the newest change in the log, committed or not; 0 if there
	// is none.
	last uint64
}

// logged sees every entry that goes into the log.
func (s *settlement) logged(e *raftpb.Entry) {
	switch {
	case e.GetType() != raftpb.EntryNormal:
		s.last = e.GetIndex()
	case e.GetIndex() <= s.last:
		// Overwritten. One in front of it may be in the log all the same, but that is
		// committed: raft lets only one be on its way.
		s.last = 0
	}
}

// settling reports whether a change in the log is not committed yet. The leader
// proposes no requests meanwhile.
//
// Why: raft applies a change when it is committed, and a member knows what is
// committed later than the leader. If a learner that is being promoted got entries
// behind the change before it knew that, and the leader lost them in a crash, then
// the leader would need the vote of the new voter, which would refuse it for having
// the shorter log, while taking itself for a learner that may not stand. Nobody
// could lead, ever. As it is, entries behind the change travel with a commit index
// that covers it. (Found by TestRandomSchedules.)
func (s *settlement) settling(commit uint64) bool { return s.last > commit }

// settled notes that an entry that vouches for a membership, the present one, is
// committed. It reports whether that is news.
func (s *settlement) settled(members *membership) bool {
	news := s.members != members
	s.members = members
	return news
}

// owes reports whether a leader has applied a removal that it does not know to be
// settled, and nothing on its way will settle it: what it has proposed last, at
// proposed, is applied. The others wait as well, but a removed member waits with its
// process.
func (s *settlement) owes(at situation, members *membership, proposed, applied uint64) bool {
	return at.leads() && len(s.members.removed) < len(members.removed) && proposed <= applied && !s.settling(at.commit)
}

// unsettled reports whether this node has to vouch.
func (c *core) unsettled() bool {
	return c.settlement.owes(c.situation(), c.members, c.proposals.last, c.handedOut.index)
}

// vouch proposes an entry without requests. REQUIRES: unsettled.
func (c *core) vouch() {
	if err := c.rn.Propose(c.cfg.Seal(nil, nil)); err != nil {
		if !errors.Is(err, raft.ErrProposalDropped) { // else the next leader will
			c.lg.Error("propose", zap.Error(err))
		}
		return
	}
	c.ready() // or it would be proposed once more: proposals.last comes from there
}

// msgCommitted is how a member without a leader tells others what it knows to be
// committed: the entry at Index, which has the term LogTerm. raft has no such
// message; this type of its own never travels otherwise, and a member that does not
// expect it ignores it.
const msgCommitted = raftpb.MsgUnreachable

// tellCommitted makes a stranded member tell the others what is committed, once an
// election timeout.
func (c *core) tellCommitted() {
	at := c.situation()
	if !c.suspicion.stranded(at) || c.handedOut.index == 0 || (at.now-c.suspicion.heardAt)%at.election != 0 {
		return
	}
	c.env.send(whatIsCommitted(at.self, c.members, c.handedOut))
}

// whatIsCommitted is what a member tells all others: that the entry at p is committed.
// Its own commit index may be further, but what it has handed out it has, so the pair
// of index and term is one entry for certain.
func whatIsCommitted(self uint64, members *membership, p position) []*raftpb.Message {
	var out []*raftpb.Message
	for _, m := range members.list() {
		if m.ID != self {
			out = append(out, &raftpb.Message{
				Type: msgCommitted.Enum(), From: new(self), To: new(m.ID),
				Index: new(p.index), LogTerm: new(p.term),
			})
		}
	}
	return out
}

// commitUpTo takes in that the entry at p is committed, if this member has it: an
// index and a term name one entry and everything in front of it, so it does not
// matter who says so, nor when (log matching, thesis 3.5).
//
// raft moves its commit index at the word of a leader only, so this makes up a
// heartbeat of the present term, from nobody: it leaves the member without a leader
// as it was. What the storage goroutine has not finished might replace the entry
// that is seen in the log here; then it has to wait for the next time.
func (c *core) commitUpTo(p position) {
	rs := c.rn.BasicStatus()
	switch {
	case !c.suspicion.stranded(c.situation()), rs.RaftState == raft.StateLeader:
		return // the leader says what is committed
	case p.index <= rs.GetCommit():
		return
	case c.rn.HasReady(), !c.env.storeIdle():
		return
	}
	if term, err := c.storage.Term(p.index); err != nil || term != p.term {
		return // it lacks the entry
	}
	c.lg.Info("another member knows what is committed", zap.Uint64("member", c.id), zap.Uint64("index", p.index))
	if err := c.rn.Step(&raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), To: new(c.id), Term: new(rs.GetTerm()), Commit: new(p.index)}); err != nil {
		c.lg.Error("commit index not taken over", zap.Error(err))
	}
}
