package raftnode

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
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

// changeAnswer is what one who waits is to be told.
type changeAnswer struct {
	to    func(index uint64, err error)
	index uint64
	err   error
}

func deliverChanges(answers []changeAnswer) {
	for _, a := range answers {
		a.to(a.index, a.err)
	}
}

// waitingIndex waits for this node to apply up to index.
type waitingIndex struct {
	index  uint64
	answer func(index uint64, err error)
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
	done, err := c.changes.check(ch, c.members, c.situation(), c.followers())
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
		if to := bestSuccessor(c.situation(), c.members, c.followers()); to != 0 {
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
	// Show raft's next Ready to changes before anything else happens: an entry that
	// another change made afterwards would be taken for this one's.
	c.ready()
}

// check says whether a change of a membership is allowed. done means that the
// membership already is what the change would make it, so that asking again is
// harmless.
func (cs *changes) check(ch change, members *membership, at situation, followers []follower) (done bool, err error) {
	id := ch.Member.ID
	m, known := members.members[id]
	if u := ch.Member.PeerURL; u != "" && u != m.PeerURL {
		if err := members.checkPeerURL(id, u); err != nil {
			return false, err
		}
	}
	switch ch.Op {
	case commit.AddLearner:
		switch {
		case id == 0 || id >= maxID:
			return false, fmt.Errorf("id %d is not between 1 and %d", id, uint64(maxID-1))
		case members.isRemoved(id):
			// Whoever comes with it now does not know what the one before has voted for
			// and acknowledged.
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
		// A voter that lacks much is one that entries wait for: the change could make
		// the cluster unable to commit (thesis 4.2.1).
		if f := find(followers, id); !cs.caughtUp(f, at.commit) {
			return false, fmt.Errorf("%w: member %d has %d of %d entries", ErrNotCaughtUp, id, f.match, at.commit)
		}
	case commit.Remove:
		switch {
		case members.isRemoved(id):
			return true, nil
		case !known:
			return false, fmt.Errorf("%w: %d", ErrNotMember, id)
		case m.Learner:
			return false, nil
		}
		// Those that are left must be able to commit the very next entry, or the
		// removal cannot even be taken back.
		var left, live int
		for _, v := range members.voters() {
			if v != id {
				left++
				if v == at.self || find(followers, v).live {
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
		case (ch.Member.PeerURL == "" || ch.Member.PeerURL == m.PeerURL) && announces(m, ch.Member):
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

// find is what is known of one member: nothing, if it is none.
func find(followers []follower, id uint64) follower {
	if i := slices.IndexFunc(followers, func(f follower) bool { return f.id == id }); i >= 0 {
		return followers[i]
	}
	return follower{}
}

// caughtUp says whether a learner has what was committed a while ago, and so receives
// entries about as fast as they come.
func (cs *changes) caughtUp(f follower, commit uint64) bool {
	mark := cs.commitMark
	if mark == 0 {
		mark = commit
	}
	return f.live && f.match >= mark
}

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
// place without a word (defect R16 of raftexample). Nobody would ever answer. It is
// called when everything in a Ready has been shown to appended.
func (cs *changes) settle() []changeAnswer {
	p := cs.pending
	if p == nil || p.index != 0 {
		return nil
	}
	cs.pending = nil
	return []changeAnswer{{p.answer, 0, ErrChangePending}}
}

// done answers the change that was just applied. Its random id says that it is this
// one: another leader may have put its own at the same index.
func (cs *changes) done(index, id uint64) []changeAnswer {
	p := cs.pending
	if p == nil || p.ID != id {
		return nil
	}
	cs.pending = nil
	return []changeAnswer{{p.answer, index, nil}}
}

// reached notes that everything up to index is applied.
func (cs *changes) reached(index uint64) (answers []changeAnswer) {
	if p := cs.pending; p != nil && p.index != 0 && p.index <= index {
		// done was not called at that index: another leader's entry is there.
		cs.pending = nil
		answers = append(answers, changeAnswer{p.answer, 0, ErrChangeDropped})
	}
	cs.waiting = slices.DeleteFunc(cs.waiting, func(w waitingIndex) bool {
		if w.index > index {
			return false
		}
		answers = append(answers, changeAnswer{w.answer, w.index, nil})
		return true
	})
	return answers
}

// awaitIndex calls answer once this node has applied the membership up to index.
func (c *core) awaitIndex(index uint64, answer func()) {
	if index <= c.handedOut.index {
		answer()
		return
	}
	c.changes.waiting = append(c.changes.waiting, waitingIndex{index, func(uint64, error) { answer() }})
}

// elected starts the bookkeeping of a new leader.
func (cs *changes) elected() { cs.commitMark = 0 }

// ready returns a learner that has caught up, or 0: one at a time.
func (cs *changes) ready(members *membership, commit uint64, followers []follower) uint64 {
	for _, m := range members.list() {
		if m.Learner && cs.pending == nil && cs.caughtUp(find(followers, m.ID), commit) {
			return m.ID
		}
	}
	return 0
}

// promoteLearner promotes a learner that has caught up, once an election timeout.
func (c *core) promoteLearner() {
	if !c.isLeader() || c.now%c.pace.election != 0 {
		return
	}
	if id := c.changes.ready(c.members, c.hard.GetCommit(), c.followers()); id != 0 {
		c.requestChange(change{Op: commit.Promote, Member: commit.Member{ID: id}}, func(_ uint64, err error) {
			if err != nil {
				c.lg.Info("learner not promoted yet", zap.Uint64("learner", id), zap.Error(err))
			}
		})
	}
	c.changes.commitMark = c.hard.GetCommit()
}
