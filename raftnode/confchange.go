package raftnode

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// changes is the part of membership changes that happens on the raft goroutine.
//
// The leader checks a change against the membership it has applied, and lets
// only one be on its way at a time. So what it checked is what the change will
// be applied to: every accepted change is valid when its turn comes, on all
// members alike.
type changes struct {
	pending *pendingChange
	waiting []waitingIndex

	// last is the index of the newest change in the log, committed or not.
	last uint64

	// commitMark is the commit index some time ago, at most one election timeout,
	// or 0: a learner that has it is caught up (thesis 4.2.1).
	commitMark uint64
}

// pendingChange is a change that this node has proposed as the leader.
type pendingChange struct {
	change
	index  uint64 // 0 until it is in the log
	answer func(index uint64, err error)
}

// waitingIndex waits for this node to apply up to index.
type waitingIndex struct {
	index  uint64
	answer func()
}

// requestChange proposes a change. answer is called at most once, on the raft
// goroutine: with the index of the change once it is applied here, or with an
// error that means that nothing was changed. It is not called while that is
// open.
func (c *core) requestChange(ch change, answer func(index uint64, err error)) {
	if !c.isLeader() {
		answer(0, errNotLeader)
		return
	}
	ch.Member.PeerURL = NormalizePeerURL(ch.Member.PeerURL)
	done, err := c.checkChange(ch)
	if err != nil || done {
		answer(c.handedOut.index, err)
		return
	}
	if c.changes.pending != nil {
		answer(0, ErrChangePending)
		return
	}
	if ch.Op == commit.Remove && ch.Member.ID == c.id {
		// Whoever takes over removes this node: no gap without a leader, and no
		// leader that is not a member.
		if to := c.bestSuccessor(); to != 0 {
			c.transfer(to, func(err error) {
				if err == nil {
					err = errNotLeader // ask the new one
				}
				answer(0, err)
			})
			return
		}
	}
	ch.ID = c.random() | 1 // never 0, which the founding of a cluster uses
	cc := ch.confChange()
	if err := c.rn.ProposeConfChange(cc); err != nil {
		// Dropped: leadership is being transferred.
		answer(0, fmt.Errorf("%w: %w", ErrChangePending, err))
		return
	}
	c.changes.pending = &pendingChange{change: ch, answer: answer}
	// Show raft's next Ready to settle before anything else happens.
	c.ready()
}

// checkChange says whether a change is allowed. done means that the membership
// already is what the change would make it, so that asking again is harmless.
func (c *core) checkChange(ch change) (done bool, err error) {
	id := ch.Member.ID
	m, known := c.members.members[id]
	if u := ch.Member.PeerURL; u != "" && u != m.PeerURL {
		if err := c.members.checkPeerURL(id, u); err != nil {
			return false, err
		}
	}
	switch ch.Op {
	case commit.AddLearner:
		switch {
		case id == 0 || id >= maxID:
			return false, fmt.Errorf("id %d is not between 1 and %d", id, uint64(maxID-1))
		case c.members.isRemoved(id):
			return false, fmt.Errorf("%w: member %d was removed, its id cannot come back", ErrIDUsed, id)
		case known && m.PeerURL == ch.Member.PeerURL && (ch.Member.Instance == 0 || ch.Member.Instance == m.Instance):
			return true, nil
		case known:
			return false, fmt.Errorf("%w: member %d is at %s", ErrIDUsed, id, m.PeerURL)
		case ch.Member.PeerURL == "":
			return false, fmt.Errorf("member %d needs a peer URL", id)
		}
	case commit.Promote:
		switch {
		case !known:
			return false, fmt.Errorf("%w: %d", ErrNotMember, id)
		case !m.Learner:
			return true, nil
		}
		if match := c.matchOf(id); !c.caughtUp(id) {
			return false, fmt.Errorf("%w: member %d has %d of %d entries", ErrNotCaughtUp, id, match, c.hard.GetCommit())
		}
	case commit.Remove:
		switch {
		case c.members.isRemoved(id):
			return true, nil
		case !known:
			return false, fmt.Errorf("%w: %d", ErrNotMember, id)
		case m.Learner:
			return false, nil
		}
		var left, live int
		for _, v := range c.members.voters() {
			if v != id {
				left++
				if c.heardFrom(v) {
					live++
				}
			}
		}
		if left == 0 || live < left/2+1 {
			return false, fmt.Errorf("%w: without member %d only %d of %d voters would be reachable", ErrQuorumLoss, id, live, left)
		}
	case commit.Update:
		switch {
		case !known:
			return false, fmt.Errorf("%w: %d", ErrNotMember, id)
		case ch.Member.Instance != 0 && ch.Member.Instance != m.Instance:
			if !unclaimed(m) {
				return false, fmt.Errorf("%w: member %d (%s) has taken part before; %s", ErrDataLost, id, m.PeerURL, newIDWayOut(id))
			}
			return false, nil
		case (ch.Member.PeerURL == "" || ch.Member.PeerURL == m.PeerURL) &&
			(ch.Member.ClientAddr == "" || ch.Member.ClientAddr == m.ClientAddr):
			return true, nil
		}
	default:
		return false, fmt.Errorf("unknown membership operation %d", ch.Op)
	}
	return false, nil
}

// unclaimed says that a member was added and has not joined yet: it may still be
// anybody's. One that votes has taken part, whether it has announced itself or not.
func unclaimed(m commit.Member) bool { return m.Learner && m.Instance == 0 && m.ClientAddr == "" }

// matchOf is the highest index known to be durable on a member.
func (c *core) matchOf(id uint64) (match uint64) {
	c.rn.WithProgress(func(pid uint64, _ raft.ProgressType, pr tracker.Progress) {
		if pid == id {
			match = pr.Match
		}
	})
	return match
}

func (c *core) caughtUp(id uint64) bool {
	mark := c.changes.commitMark
	if mark == 0 {
		mark = c.hard.GetCommit()
	}
	return c.heardFrom(id) && c.matchOf(id) >= mark
}

// logged sees every entry that goes into the log.
func (cs *changes) logged(e *raftpb.Entry) {
	switch {
	case e.GetType() != raftpb.EntryNormal:
		cs.last = e.GetIndex()
	case e.GetIndex() <= cs.last:
		cs.last = 0 // overwritten
	}
}

// settling reports whether a change in the log is not committed yet. The leader
// proposes no requests meanwhile.
//
// Why: raft applies a change when it is committed, and a member knows what is
// committed later than the leader. If a learner that is being promoted got entries
// behind the change before it knew that, and the leader lost them in a crash, then
// the leader would need the vote of the new voter, which would refuse it for having
// the shorter log, while taking itself for a learner that may not stand. Nobody
// could lead, ever. As it is, entries behind the change travel with a commit index
// that covers it. (Found by TestRandomSchedules.)
func (c *core) settling() bool { return c.changes.last > c.hard.GetCommit() }

// appended sees every entry that this leader appends.
func (cs *changes) appended(e *raftpb.Entry) {
	if cs.pending == nil || e.GetType() != raftpb.EntryConfChange {
		return
	}
	// raft's own copy of the entry: its Context is the one proposed.
	cc := &raftpb.ConfChange{}
	if err := unmarshalConfChange(e, cc); err != nil {
		return // applying it will say so
	}
	if ch, err := decodeChange(cc.GetContext()); err == nil && ch.ID == cs.pending.ID {
		cs.pending.index = e.GetIndex()
	}
}

// settle finds out what raft made of a proposal: while another change may be on
// its way, an earlier leader's for instance, raft puts an empty entry in its
// place without a word (defect R16 of raftexample).
func (cs *changes) settle() {
	if p := cs.pending; p != nil && p.index == 0 {
		cs.pending = nil
		p.answer(0, ErrChangePending)
	}
}

// done answers the change that was just applied.
func (cs *changes) done(index, id uint64) {
	if p := cs.pending; p != nil && p.ID == id {
		cs.pending = nil
		p.answer(index, nil)
	}
}

// reached notes that everything up to index is applied.
func (cs *changes) reached(index uint64) {
	if p := cs.pending; p != nil && p.index != 0 && p.index <= index {
		// done was not called at that index: another leader's entry is there.
		cs.pending = nil
		p.answer(0, ErrChangeDropped)
	}
	kept := cs.waiting[:0]
	for _, w := range cs.waiting {
		if w.index <= index {
			w.answer()
		} else {
			kept = append(kept, w)
		}
	}
	cs.waiting = kept
}

// awaitIndex calls answer once this node has applied the membership up to index.
func (c *core) awaitIndex(index uint64, answer func()) {
	if index <= c.handedOut.index {
		answer()
		return
	}
	c.changes.waiting = append(c.changes.waiting, waitingIndex{index, answer})
}

// elected starts the bookkeeping of a new leader.
func (cs *changes) elected() { cs.commitMark = 0 }

// tick promotes a learner that has caught up, one at a time.
func (cs *changes) tick(c *core) {
	if !c.isLeader() || c.now%uint64(c.cfg.ElectionTicks) != 0 {
		return
	}
	for _, m := range c.members.list() {
		if m.Learner && cs.pending == nil && c.caughtUp(m.ID) {
			id := m.ID
			c.requestChange(change{Op: commit.Promote, Member: commit.Member{ID: id}}, func(_ uint64, err error) {
				if err != nil {
					c.lg.Info("learner not promoted yet", zap.Uint64("learner", id), zap.Error(err))
				}
			})
			break
		}
	}
	cs.commitMark = c.hard.GetCommit()
}
