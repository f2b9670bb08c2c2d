package raftnode

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// Members may run different programs for a while. What the state machine of each can apply
// is a number, its level, which this package does not interpret:
//
//   - A member tells its leader with the answer to each heartbeat (LogTerm, of which raft
//     makes no use there, and which a release that knows nothing of levels leaves out: it
//     has level 1). So the leader knows the level of the program that runs now, and not of
//     one that ran before, without an entry that an old program could not read.
//   - Which level is in force is for the state machine to say (Config.TellLevel). A node that
//     knows less is not taken in, and is told so.
//   - The origin has the level as its version, so that a program which knows less does not
//     start in that directory. It is written behind the log, which has the last word: the
//     state machine refuses what it does not know.

// firstLevel is that of programs that say nothing.
const firstLevel = 1

// sayLevel writes the own level into a message.
func (c *core) sayLevel(m *raftpb.Message) {
	if m.GetType() == raftpb.MsgHeartbeatResp {
		told, _ := c.cfg.TellLevel()
		m.LogTerm = new(told)
	}
}

// hearLevel takes the level of another member.
func (c *core) hearLevel(m *raftpb.Message) {
	if c.isLeader() {
		c.levels[m.GetFrom()] = max(m.GetLogTerm(), firstLevel)
	}
}

// levelOf is what a member has said, 0 if this leader does not hear of it.
func (c *core) levelOf(id uint64) uint64 {
	if id == c.id {
		told, _ := c.cfg.TellLevel()
		return told
	}
	if !c.heardFrom(id) {
		return 0
	}
	return c.levels[id]
}

// checkLevel refuses a node that wants to become a member and whose program could not
// apply what is in the log.
func (n *Node) checkLevel(id, level uint64) error {
	level = max(level, firstLevel)
	if _, inForce := n.cfg.TellLevel(); level < inForce {
		return tooOld(inForce, id, level)
	}
	return nil
}

func tooOld(inForce, id, level uint64) error {
	return fmt.Errorf("%w: the cluster is at level %d, and the program of member %d knows levels up to %d: install the version that the other members run",
		ErrTooOld, inForce, id, level)
}

// keepEvery is how often a node looks whether its directory needs another level.
const keepEvery = 100 * time.Millisecond

// runLevel writes down what level the directory needs. If that fails, the log tells a
// program that is too old, a little later.
func (n *Node) runLevel() {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		_, inForce := n.cfg.TellLevel()
		if err := n.keepLevel(inForce); err != nil {
			n.cfg.Logger.Warn("the level of the data directory is not written down", zap.Uint64("level", inForce), zap.Error(err))
			return
		}
		if inForce >= n.cfg.Level {
			return
		}
		select {
		case <-ticker.C:
		case <-n.endC:
			return
		}
	}
}

func (n *Node) keepLevel(level uint64) error {
	n.originMu.Lock()
	defer n.originMu.Unlock()
	if n.origin.Version >= level {
		return nil
	}
	was := n.origin.Version
	n.origin.Version = level
	err := n.reserve.spend(func() error { return n.origin.write(&n.cfg) })
	if err != nil {
		n.origin.Version = was
	}
	return err
}
