package raftnode

import (
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// transfers are the hand-overs of leadership that somebody waits for.
type transfers struct{ waiting []waitingTransfer }

type waitingTransfer struct {
	to       uint64
	again    ticks // when it is tried once more
	deadline ticks
	answer   func(error)
}

// transferAnswer is what one who waits is to be told.
type transferAnswer struct {
	to  func(error)
	err error
}

func deliverTransfers(answers []transferAnswer) {
	for _, a := range answers {
		a.to(a.err)
	}
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
	at := c.situation()
	to, err := successor(at, c.members, c.followers(), to)
	if err != nil || to == at.leader {
		answer(err)
		return
	}
	c.lg.Info("transferring leadership", zap.Uint64("member", c.id), zap.Uint64("from", at.leader), zap.Uint64("to", to))
	c.transfers.begin(at, to, answer)
	c.transferLeader(to)
}

// transferLeader has raft hand leadership over. From here on this node does not say that
// it leads, until it is over: the successor may do before this one hears of it.
func (c *core) transferLeader(to uint64) {
	c.rn.TransferLeader(to)
	c.tellReign()
}

// successor says who is to lead when somebody asks for it: to, or the best if to is 0.
// raft would ignore a wish for a learner or a stranger without a word, and whoever
// asked would wait for nothing.
func successor(at situation, members *membership, followers []follower, to uint64) (uint64, error) {
	if at.leader == 0 {
		return 0, commit.ErrNoLeader
	}
	if to == 0 {
		if to = bestSuccessor(at, members, followers); to == 0 {
			return 0, ErrNoSuccessor
		}
	}
	m, ok := members.members[to]
	switch {
	case !ok:
		return 0, fmt.Errorf("%w: %d", ErrNotMember, to)
	case m.Learner:
		return 0, fmt.Errorf("%w: member %d is a learner", ErrNoSuccessor, to)
	}
	return to, nil
}

// bestSuccessor is the voter with the longest log that answers, and with space on its
// disk if there is one; on a follower it is the follower, if that may vote. 0: nobody.
func bestSuccessor(at situation, members *membership, followers []follower) uint64 {
	if !at.leads() {
		if m, ok := members.members[at.self]; ok && !m.Learner {
			return at.self
		}
		return 0
	}
	var best follower
	roomy := false // whether best has space on its disk
	for _, f := range followers {
		if f.learner || !f.live {
			continue
		}
		// The longest log: the leader takes no requests until its successor has all
		// that it has.
		if space := f.disk == enough; best.id == 0 || space && !roomy || space == roomy && f.match > best.match {
			best, roomy = f, space
		}
	}
	return best.id
}

// begin notes that somebody waits for a hand-over. raft gives up after one election
// timeout, and takes proposals again. It has told the successor once, which may not
// have heard, or had a membership change to apply first: so there is a second attempt.
func (t *transfers) begin(at situation, to uint64, answer func(error)) {
	t.waiting = append(t.waiting, waitingTransfer{to, at.now + at.election + 1, at.now + 2*at.election, answer})
}

// settled answers those whose wish came true.
func (t *transfers) settled(leader uint64) []transferAnswer {
	return t.answered(func(w waitingTransfer) (bool, error) { return leader == w.to, nil })
}

// tick returns to whom leadership is to be handed once more, and the answers to those
// who have waited in vain.
func (t *transfers) tick(at situation) (again []uint64, done []transferAnswer) {
	for _, w := range t.waiting {
		if at.now == w.again && at.leader != 0 {
			again = append(again, w.to)
		}
	}
	return again, t.answered(func(w waitingTransfer) (bool, error) {
		return at.now > w.deadline, fmt.Errorf("%w: member %d did not take over, %d leads", ErrNoSuccessor, w.to, at.leader)
	})
}

func (t *transfers) answered(outcome func(waitingTransfer) (bool, error)) (answers []transferAnswer) {
	t.waiting = slices.DeleteFunc(t.waiting, func(w waitingTransfer) bool {
		done, err := outcome(w)
		if done {
			answers = append(answers, transferAnswer{w.answer, err})
		}
		return done
	})
	return answers
}
