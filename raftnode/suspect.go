package raftnode

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// suspicion is how a follower notices sooner than by an election timeout that the
// leader's process has died: its connections break and nobody listens any more. A
// leader that is slow, paused or cut off does not look like that, and gets the
// whole election timeout.
//
// A wrong suspicion does no harm. It only makes this member ask (PreVote) whether
// the others would vote for it, and those who still hear from the leader do not
// answer.
type suspicion struct {
	heardAt ticks // when the leader was last heard of
	standAt ticks // not 0: when to stand for election
}

// doubt is what a suspicion asks for.
type doubt uint8

const (
	none     doubt = iota
	isSilent       // forget the leader, if its process is gone
	isOver         // stand for election
)

// heard notes a message that only a leader sends.
func (s *suspicion) heard(now ticks, m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		s.heardAt = now
	}
}

// leaderChanged gives a new leader, or none, the whole time to be heard of.
func (s *suspicion) leaderChanged(now ticks) { s.heardAt = now }

// tick doubts a leader that has missed three heartbeats. One is lost easily, and so
// are two with a pause of this process in between.
func (s *suspicion) tick(at situation) doubt {
	if at.role != raft.StateFollower || at.leader == at.self {
		s.standAt = 0
		return none
	}
	if at.leader == 0 {
		if s.standAt != 0 && at.now >= s.standAt {
			s.standAt = 0
			return isOver
		}
		return none
	}
	s.standAt = 0
	if at.now-s.heardAt < 3*at.heartbeat {
		return none
	}
	return isSilent
}

// forgotten notes that the leader, who leads still in this situation, was forgotten.
// This member stands for election a little later, so that the others have forgotten
// it, too: they would not answer before. The voters do so one after another, in the
// order of their ids: two at the same time would split the vote and fall back to
// election timeouts. A learner does not stand.
func (s *suspicion) forgotten(at situation, voters []uint64) {
	left := slices.DeleteFunc(slices.Clone(voters), func(id uint64) bool { return id == at.leader })
	if rank := slices.Index(left, at.self); rank >= 0 {
		s.standAt = at.now + 1 + 2*ticks(rank)
	}
}

// stranded reports whether this member has not heard from a leader for an election
// timeout. (What raft says is not enough: a learner believes in its last leader for
// as long as it does not hear from another one.)
func (s *suspicion) stranded(at situation) bool {
	return !at.leads() && at.now-s.heardAt >= at.election
}

// suspect looks for a leader that is gone.
func (c *core) suspect() {
	at := c.situation()
	switch c.suspicion.tick(at) {
	case isOver:
		c.campaign()
	case isSilent:
		if c.env.reachable(at.leader) {
			return
		}
		c.lg.Info("leader does not answer and nobody listens there", zap.Uint64("member", c.id), zap.Uint64("leader", at.leader))
		if err := c.rn.ForgetLeader(); err != nil {
			c.lg.Warn("forget leader", zap.Error(err))
			return
		}
		c.suspicion.forgotten(at, c.members.voters())
	}
}
