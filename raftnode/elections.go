package raftnode

import (
	"maps"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// elections keeps why there had to be a leader, for people. Nothing is decided by it: a
// node knows the reason only as far as it has seen what happened.
type elections struct {
	last  commit.Election
	count map[commit.ElectionReason]uint64
	why   commit.ElectionReason // of the one to come, "" if nothing special is known
	was   uint64                // who led last
}

// because notes what this node knows about the next election.
func (e *elections) because(why commit.ElectionReason) { e.why = why }

// heard looks for messages that say why there is an election.
func (e *elections) heard(m *raftpb.Message) {
	// raft's own word for the request of a candidate to whom a leader has handed over.
	const transfer = "CampaignTransfer"
	switch {
	case m.GetType() == raftpb.MsgTimeoutNow,
		m.GetType() == raftpb.MsgVote && string(m.GetContext()) == transfer:
		e.because(commit.ElectionHandover)
	}
}

// deposed notes that this node does not lead any more. sameTerm says that nobody has
// deposed it: raft's CheckQuorum has, or its own removal.
func (e *elections) deposed(sameTerm, removed bool) {
	switch {
	case removed:
		e.because(commit.ElectionRemoved)
	case sameTerm:
		e.because(commit.ElectionNoQuorum)
	}
}

// elected notes that a member leads, and reports whether that is news.
func (e *elections) elected(leader, term uint64, wasMember bool, now time.Time) bool {
	if term == e.last.Term && leader == e.last.Leader {
		e.why = "" // it was forgotten, and was there all the same
		return false
	}
	switch {
	case e.was == 0:
		e.why = commit.ElectionStart
	case e.why != "":
	case !wasMember:
		e.why = commit.ElectionRemoved
	default:
		e.why = commit.ElectionSilent
	}
	e.last = commit.Election{Term: term, Leader: leader, Was: e.was, Reason: e.why, At: now}
	if e.count == nil {
		e.count = map[commit.ElectionReason]uint64{}
	}
	e.count[e.why]++
	e.was, e.why = leader, ""
	return true
}

// noteElection takes in that raft's leader is another one.
func (c *core) noteElection(was, is raft.SoftState) {
	term := c.rn.BasicStatus().GetTerm() // hard is of the Ready before
	if was.RaftState == raft.StateLeader && is.RaftState != raft.StateLeader {
		_, member := c.members.members[c.id]
		c.elections.deposed(term == c.hard.GetTerm(), !member)
	}
	if is.Lead != 0 {
		_, member := c.members.members[c.elections.was]
		if c.elections.elected(is.Lead, term, member, c.clock()) {
			c.lags.reset()
			c.lg.Info("a leader is elected", zap.Uint64("member", c.id), zap.Uint64("leader", is.Lead), zap.Uint64("was", c.elections.last.Was),
				zap.Uint64("term", term), zap.String("because", c.elections.last.String()), zap.Stringer("role", is.RaftState))
		}
		return
	}
	c.lg.Info("no leader: writes wait until one is elected", zap.Uint64("member", c.id), zap.Uint64("was", was.Lead), zap.Stringer("role", is.RaftState))
}

func (e *elections) counts() map[commit.ElectionReason]uint64 { return maps.Clone(e.count) }
