package raftnode

import (
	"context"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// transfers are the hand-overs of leadership that somebody waits for.
type transfers struct{ waiting []waitingTransfer }

type waitingTransfer struct {
	to       uint64
	again    uint64 // c.now when it is tried once more
	deadline uint64 // c.now
	answer   func(error)
}

// Transfer hands leadership over to another voter, and returns once this node
// knows it as the leader. With id 0 the leader picks the member with the longest
// log, and a follower asks for itself. It works on every member.
func (n *Node) Transfer(ctx context.Context, id uint64) error {
	errC := make(chan error, 1)
	n.inbox.run(func(c *core) { c.transfer(id, func(err error) { errC <- err }) })
	select {
	case err := <-errC:
		return err
	case <-ctx.Done():
		return fmt.Errorf("transfer leadership: %w: %w", commit.ErrUnknown, ctx.Err())
	case <-n.doneC:
		return commit.ErrStopped
	}
}

// transfer starts a hand-over. answer is called exactly once, on the raft
// goroutine.
func (c *core) transfer(to uint64, answer func(error)) {
	if c.soft.Lead == 0 {
		answer(commit.ErrNoLeader)
		return
	}
	if to == 0 {
		if to = c.bestSuccessor(); to == 0 {
			answer(ErrNoSuccessor)
			return
		}
	}
	m, ok := c.members.members[to]
	switch {
	case !ok:
		answer(fmt.Errorf("%w: %d", ErrNotMember, to))
		return
	case m.Learner:
		answer(fmt.Errorf("%w: member %d is a learner", ErrNoSuccessor, to))
		return
	case to == c.soft.Lead:
		answer(nil)
		return
	}
	c.lg.Info("transferring leadership", zap.Uint64("member", c.id), zap.Uint64("from", c.soft.Lead), zap.Uint64("to", to))
	// raft gives up after one election timeout, and takes proposals again. It has
	// told the successor once, which may not have heard, or had a membership change
	// to apply first: so there is a second attempt.
	timeout := uint64(c.cfg.ElectionTicks)
	c.transfers.waiting = append(c.transfers.waiting,
		waitingTransfer{to, c.now + timeout + 1, c.now + 2*timeout, answer})
	c.rn.TransferLeader(to)
}

// bestSuccessor is the voter with the longest log that answers, and with space on its
// disk if there is one; on a follower
// it is the follower, if that may vote.
func (c *core) bestSuccessor() uint64 {
	if !c.isLeader() {
		if m, ok := c.members.members[c.id]; ok && !m.Learner {
			return c.id
		}
		return 0
	}
	var best, match uint64
	roomy := false // whether best has space on its disk
	c.rn.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		if id == c.id || typ == raft.ProgressTypeLearner || !c.heardFrom(id) {
			return
		}
		space := c.room.others[id] == enough
		if best == 0 || space && !roomy || space == roomy && pr.Match > match {
			best, match, roomy = id, pr.Match, space
		}
	})
	return best
}

// settle answers those whose wish came true.
func (t *transfers) settle(c *core) {
	t.answer(func(w waitingTransfer) (bool, error) { return c.soft.Lead == w.to, nil })
}

func (t *transfers) tick(c *core) {
	for _, w := range t.waiting {
		if c.now == w.again && c.soft.Lead != 0 {
			c.rn.TransferLeader(w.to)
		}
	}
	t.answer(func(w waitingTransfer) (bool, error) {
		return c.now > w.deadline, fmt.Errorf("%w: member %d did not take over, %d leads", ErrNoSuccessor, w.to, c.soft.Lead)
	})
}

func (t *transfers) answer(outcome func(waitingTransfer) (bool, error)) {
	kept := t.waiting[:0]
	for _, w := range t.waiting {
		if done, err := outcome(w); done {
			w.answer(err)
		} else {
			kept = append(kept, w)
		}
	}
	t.waiting = kept
}
