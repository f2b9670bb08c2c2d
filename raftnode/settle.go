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
//     change before that is committed (core.settling). So whoever has such an entry
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

// membershipSettled notes that an entry that vouches for the present membership is
// committed.
func (c *core) membershipSettled() {
	if c.settled != c.members {
		c.settled = c.members
		c.publish()
	}
}

// unsettled reports whether this leader has applied a removal that it does not know
// to be settled, and nothing on its way will settle it.
func (c *core) unsettled() bool {
	return c.isLeader() && len(c.settled.removed) < len(c.members.removed) &&
		c.proposals.last <= c.handedOut.index && !c.settling()
}

// vouch proposes an entry without requests. REQUIRES: unsettled.
func (c *core) vouch() {
	if err := c.rn.Propose(c.cfg.Seal(nil, nil)); err != nil {
		if !errors.Is(err, raft.ErrProposalDropped) { // else the next leader will
			c.lg.Error("propose", zap.Error(err))
		}
		return
	}
	c.ready()
}

// msgCommitted is how a member without a leader tells others what it knows to be
// committed: the entry at Index, which has the term LogTerm. raft has no such
// message; this type of its own never travels otherwise, and a member that does not
// expect it ignores it.
const msgCommitted = raftpb.MsgUnreachable

// stranded reports whether this member has not heard from a leader for an election
// timeout. (What raft says is not enough: a learner believes in its last leader for
// as long as it does not hear from another one.)
func (c *core) stranded() bool {
	return !c.isLeader() && c.now-c.suspicion.heardAt >= uint64(c.cfg.ElectionTicks)
}

// tellCommitted makes a stranded member tell the others what is committed, once an
// election timeout.
func (c *core) tellCommitted() {
	if !c.stranded() || c.handedOut.index == 0 || (c.now-c.suspicion.heardAt)%uint64(c.cfg.ElectionTicks) != 0 {
		return
	}
	var out []*raftpb.Message
	for _, m := range c.members.list() {
		if m.ID != c.id {
			out = append(out, &raftpb.Message{
				Type: msgCommitted.Enum(), From: new(c.id), To: new(m.ID),
				Index: new(c.handedOut.index), LogTerm: new(c.handedOut.term),
			})
		}
	}
	c.env.send(out)
}

// commitUpTo takes in that the entry at p is committed, if this member has it: an
// index and a term name one entry and everything in front of it, so it does not
// matter who says so, nor when.
//
// raft moves its commit index at the word of a leader only, so this makes up a
// heartbeat of the present term, from nobody: it leaves the member without a leader
// as it was. What the storage goroutine has not finished might replace the entry
// that is seen in the log here; then it has to wait for the next time.
func (c *core) commitUpTo(p position) {
	rs := c.rn.BasicStatus()
	if !c.stranded() || rs.RaftState == raft.StateLeader || p.index <= rs.GetCommit() || c.rn.HasReady() || !c.env.storeIdle() {
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
