package raftnode

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// ticks are raft's clock, as a moment (since the start) and as a duration. One is
// Config.TickInterval.
type ticks uint64

// byteCount is an amount of memory, of log or of disk.
type byteCount uint64

// bytesOf is how much data there is.
func bytesOf(data []byte) byteCount { return byteCount(len(data)) }

// pace is the clock's part of the configuration.
type pace struct{ election, heartbeat ticks }

// situation is where a node stands at one moment: what the parts of a core are told
// instead of being shown the core. All of it is as of the last Ready.
type situation struct {
	pace
	self   uint64
	now    ticks
	leader uint64 // 0: none is known
	role   raft.StateType
	term   uint64
	commit uint64 // index
}

// leads reports whether this node believes to be the leader.
func (s situation) leads() bool { return s.role == raft.StateLeader }

// follower is what a leader knows of another member.
type follower struct {
	id      uint64
	learner bool
	match   uint64 // highest index known to be durable there
	// replicating says that the leader knows where the member's log ends, and sends
	// entries as they come.
	replicating bool
	live        bool     // it has answered within the last election timeout
	disk        shortage // as it has said
}

// situation is the present one.
func (c *core) situation() situation {
	return situation{
		pace: c.pace, self: c.id, now: c.now, leader: c.soft.Lead, role: c.soft.RaftState,
		term: c.hard.GetTerm(), commit: c.hard.GetCommit(),
	}
}

// followers is what raft knows of the other members, in the order of their ids, if
// this node leads. It is valid until it is called again.
func (c *core) followers() []follower {
	c.peers = c.peers[:0]
	c.rn.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		if id != c.id {
			c.peers = append(c.peers, follower{
				id: id, learner: typ == raft.ProgressTypeLearner, match: pr.Match,
				replicating: pr.State == tracker.StateReplicate, live: c.heardFrom(id), disk: c.room.others[id],
			})
		}
	})
	return c.peers
}

// heardFrom reports whether a member answered this leader within the last
// election timeout.
func (c *core) heardFrom(id uint64) bool {
	if id == c.id {
		return true
	}
	at, ok := c.lastHeard[id]
	return ok && c.now-at <= c.pace.election
}

// live are those of some members that heardFrom is true of.
func (c *core) live(ids []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool { return !c.heardFrom(id) })
}
