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
	heardAt uint64 // c.now when the leader was last heard of
	standAt uint64 // not 0: when to stand for election
}

// heard notes a message that only a leader sends.
func (s *suspicion) heard(c *core, m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		s.heardAt = c.now
	}
}

// tick forgets a leader that has missed three heartbeats and cannot be reached, and
// stands for election a little later, so that the others have forgotten it, too.
// The voters do so one after another, in the order of their ids: two at the same
// time would split the vote and fall back to election timeouts.
func (s *suspicion) tick(c *core) {
	lead := c.soft.Lead
	if c.soft.RaftState != raft.StateFollower || lead == c.id {
		s.standAt = 0
		return
	}
	if lead == 0 {
		if s.standAt != 0 && c.now >= s.standAt {
			s.standAt = 0
			if err := c.rn.Campaign(); err != nil {
				c.lg.Warn("campaign", zap.Error(err))
			}
		}
		return
	}
	s.standAt = 0
	if c.now-s.heardAt < 3*uint64(c.cfg.HeartbeatTicks) || c.env.reachable(lead) {
		return
	}
	c.lg.Info("leader does not answer and nobody listens there", zap.Uint64("member", c.id), zap.Uint64("leader", lead))
	if err := c.rn.ForgetLeader(); err != nil {
		c.lg.Warn("forget leader", zap.Error(err))
		return
	}
	voters := slices.DeleteFunc(c.members.voters(), func(id uint64) bool { return id == lead })
	if rank := slices.Index(voters, c.id); rank >= 0 {
		s.standAt = c.now + 1 + 2*uint64(rank)
	}
}
