package raftnode

import "go.etcd.io/raft/v3/raftpb"

// Votes carry what their voter knows of the leader's clock. A new leader goes on from
// its own estimate of that clock, but one that has only just started has none: without
// the votes it would stamp with its own wall clock, and keys would expire early by what
// that is ahead of the others'. Who is elected has the votes of a majority, so where
// any of them has an estimate, it has one too, and before its first stamp, which it
// makes when it is elected. A member that is told to stand at once (MsgTimeoutNow) needs
// votes like any other.
//
// raft itself reads the Context of no answer to a request for a vote.

// tellTime puts this node's estimate of the leader's clock into the votes, given or
// refused, among messages that are about to wait for the disk. To be older by that
// wait is the better mistake: see Config.TellTime.
func (c *core) tellTime(responses []*raftpb.Message) {
	for _, r := range responses {
		if isVote(r) && r.GetTo() != c.id {
			r.Context = c.cfg.TellTime()
		}
	}
}

// hearTime takes in what came with a vote.
func (c *core) hearTime(m *raftpb.Message) {
	if isVote(m) && m.GetFrom() != c.id && len(m.GetContext()) > 0 {
		c.cfg.HearTime(m.GetContext())
	}
}

func isVote(m *raftpb.Message) bool {
	return m.GetType() == raftpb.MsgVoteResp || m.GetType() == raftpb.MsgPreVoteResp
}
