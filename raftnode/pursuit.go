package raftnode

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// pursuit is this node's own way to where the others are: what it had in its log when it
// started, and then what a leader has committed and it has not applied. It is shown to
// people, as a task, and nothing is decided by it.
type pursuit struct {
	tasks  *commit.Tasks
	task   *commit.Running
	from   uint64 // applied when it began
	goal   uint64 // it ends there
	leader uint64 // highest commit index that a leader has told
	known  uint64 // the same, of up to a second ago
	member uint64 // who has told it
}

// replay begins with what was committed when the node started.
func (p *pursuit) replay(applied, committed uint64) {
	if committed > applied {
		p.begin(commit.ReplayLog, 0, applied, committed)
	}
}

func (p *pursuit) begin(kind commit.TaskKind, member, applied, goal uint64) {
	p.from, p.goal = applied, goal
	p.task = p.tasks.Begin(kind, member, int64(goal-applied), "entries")
}

// heard notes what a leader says to be committed.
func (p *pursuit) heard(m *raftpb.Message) {
	if m.GetType() == raftpb.MsgApp && m.GetCommit() > p.leader {
		p.leader, p.member = m.GetCommit(), m.GetFrom()
	}
}

// tick looks how far it is. each says that a second has passed since it last was true.
// The goal is where the leader was a second ago: what has been committed since then is
// on its way to anybody.
func (p *pursuit) tick(applied uint64, learner, each bool) {
	if each {
		p.known = p.leader
	}
	p.goal = max(p.goal, p.known)
	switch {
	case p.goal <= applied:
		p.task.End()
		p.task, p.goal = nil, 0
	case p.task == nil && learner:
		p.begin(commit.Join, p.member, applied, p.goal)
	case p.task == nil:
		p.begin(commit.CatchUp, p.member, applied, p.goal)
	default:
		p.task.Set(int64(applied-min(p.from, applied)), int64(p.goal-p.from))
	}
}
