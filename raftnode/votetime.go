package raftnode

import "go.etcd.io/raft/v3/raftpb"

// Votes carry what their voter knows of the leader's clock. A new leader goes on from
// its own estimate of that clock, but one that has only just started has none: without
// the votes it would stamp with its own wall clock, and keys would expire early by what
// that is ahead of the others'. Who is elected has the votes of a majority, so where
// any of them has an estimate, it has one too, and before its first stamp, which it
// makes when it is elected.
//
// A leader that hands over (MsgTimeoutNow) tells what its clock shows. An estimate may be
// off by as long as entries take on a machine that has too much to do, and the votes may
// all come from members that have only just started: neither must count where
// somebody knows better.
//
// raft itself reads the Context of no answer to a request for a vote, nor of a MsgTimeoutNow.

// tellTime puts this node's estimate of the leader's clock into the votes, given or
// refused, among messages that are about to wait for the disk, and into a MsgTimeoutNow.
// To be older by that wait is the better mistake: see Config.TellTime.
func (c *core) tellTime(messages ...*raftpb.Message) {
	for _, m := range messages {
		if tellsTime(m) && m.GetTo() != c.id {
			m.Context = c.cfg.TellTime()
		}
	}
}

// hearTime takes in what came with a vote, or from a leader that hands over. What one says
// that does not lead any more is too old.
func (c *core) hearTime(m *raftpb.Message) {
	leads := m.GetType() == raftpb.MsgTimeoutNow
	if !tellsTime(m) || m.GetFrom() == c.id || len(m.GetContext()) == 0 || leads && m.GetTerm() < c.hard.GetTerm() {
		return
	}
	c.cfg.HearTime(m.GetContext(), leads)
}

func tellsTime(m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgVoteResp, raftpb.MsgPreVoteResp, raftpb.MsgTimeoutNow:
		return true
	default:
		return false
	}
}
