package raftnode

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// reads batches linearizable reads: maxReadRounds ReadIndex are in flight at a
// time, and each serves everybody who was waiting when it left. Who comes later
// waits for the next one, because its answer may only be used by reads that began
// before it.
//
// A ReadIndex can get lost (no leader, a full buffer, a new leader). Then it is
// sent again under another context: an answer to an earlier attempt is never
// taken for a later one, not even across a restart (etcd issue 20418).
type reads struct {
	waiting  []*readWaiter
	inflight []readRound // the oldest first

	counter     uint64
	incarnation uint64

	// leaderFrom is the index of the first entry of this leader's term. raft
	// postpones reads until it is committed, because only then does the leader
	// know the commit index, but not if it is the only voter: there it would
	// answer, its learners too, with the commit index found on disk, which may lag
	// behind what was acknowledged. (Found by TestRandomSchedules.)
	leaderFrom uint64
	early      []*raftpb.Message // reads of other members that wait for it
}

// readRound is one ReadIndex in flight.
type readRound struct {
	waiters []*readWaiter
	context []byte
	sentAt  ticks
}

// maxEarly reads of other members wait; they send again what is dropped.
const maxEarly = 64

// maxReadRounds ReadIndex are in flight at most. With a second one the node has
// readers to answer while it waits for the next round; with more, each would serve
// fewer.
const maxReadRounds = 2

// readWaiter is one caller of AskIndex. Both functions are called on the raft
// goroutine.
type readWaiter struct {
	left   func()       // its ReadIndex leaves; called again if that is lost
	answer func(uint64) // once
	gone   atomic.Bool  // the caller has given up
}

// AskIndex has answer called with an index such that a state that has applied it reflects
// every write acknowledged, on any node, before left was called: so whoever comes until
// then may share it. It works on every member and costs one round among the voters for
// all concurrent callers. Both are called on the raft goroutine and must not block.
// left may be called more than once; answer is, as soon as there is a leader, unless the node
// stops.
func (n *Node) AskIndex(left func(), answer func(index uint64)) {
	w := &readWaiter{left: left, answer: answer}
	n.inbox.run(func(c *core) { c.readIndex(w) })
}

// ReadIndex is AskIndex for who wants to wait. It fails with commit.ErrNoLeader if ctx ends
// first.
func (n *Node) ReadIndex(ctx context.Context) (uint64, error) {
	indexC := make(chan uint64, 1)
	w := &readWaiter{left: func() {}, answer: func(i uint64) { indexC <- i }}
	n.inbox.run(func(c *core) { c.readIndex(w) })
	select {
	case i := <-indexC:
		return i, nil
	case <-ctx.Done():
		w.gone.Store(true)
		return 0, commit.ErrNoLeader
	case <-n.doneC:
		return 0, commit.ErrStopped
	}
}

func (c *core) readIndex(w *readWaiter) {
	c.reads.waiting = append(c.reads.waiting, w)
	c.nextRead()
}

func (c *core) nextRead() {
	if context := c.reads.next(c.situation()); context != nil {
		c.rn.ReadIndex(context)
	}
}

// next returns the context of a ReadIndex that is to leave now, if somebody waits, few
// enough are in flight and it makes sense; otherwise nil. All who wait at this moment
// share it, and nobody who comes later: its answer may be older than a write that was
// acknowledged before they asked.
func (r *reads) next(at situation) []byte {
	if len(r.inflight) >= maxReadRounds || len(r.waiting) == 0 || at.leader == 0 {
		return nil
	}
	if at.leads() && r.tooEarly(at.commit) {
		return nil
	}
	for _, w := range r.waiting {
		w.left()
	}
	r.counter++
	context := binary.LittleEndian.AppendUint64(nil, r.incarnation)
	context = binary.LittleEndian.AppendUint64(context, r.counter)
	r.inflight = append(r.inflight, readRound{r.waiting, context, at.now})
	r.waiting = nil
	return context
}

// again gives up what is in flight: all its readers wait for the next one. That one is
// later than what they would have got, which they may use as well.
func (r *reads) again() {
	var all []*readWaiter
	for _, round := range r.inflight {
		all = append(all, round.waiters...)
	}
	r.waiting, r.inflight = append(all, r.waiting...), nil
}

// answered gives raft's answers to those who wait for them. One that is not in flight
// any more belongs to an attempt that was given up.
func (r *reads) answered(states []raft.ReadState) {
	for _, s := range states {
		i := slices.IndexFunc(r.inflight, func(round readRound) bool { return bytes.Equal(s.RequestCtx, round.context) })
		if i < 0 {
			continue
		}
		for _, w := range r.inflight[i].waiters {
			w.answer(s.Index)
		}
		r.inflight = slices.Delete(r.inflight, i, i+1)
	}
}

// tick reports whether what is in flight was given up, so that the next is due.
func (r *reads) tick(at situation) (again bool) {
	if len(r.inflight) > 0 && at.now-r.inflight[0].sentAt >= max(at.election/2, at.heartbeat+1) {
		r.again()
		again = true
	}
	if at.now%at.election == 0 { // without a leader nothing else empties the list
		kept := r.waiting[:0]
		for _, w := range r.waiting {
			if !w.gone.Load() {
				kept = append(kept, w)
			}
		}
		clear(r.waiting[len(kept):])
		r.waiting = kept
	}
	return again
}

// elected notes that this node leads from now on. Until it knows where its term
// begins, every read is too early.
func (r *reads) elected() {
	r.leaderFrom = math.MaxUint64
	r.early = nil
}

// tooEarly reports whether this leader does not know yet what is committed.
func (r *reads) tooEarly(commit uint64) bool { return commit < r.leaderFrom }

// hold keeps another member's read until it is not too early any more.
func (r *reads) hold(m *raftpb.Message) {
	if len(r.early) < maxEarly {
		r.early = append(r.early, m)
	}
}

// appended sees every entry that this leader appends, the empty one of its term
// first.
func (r *reads) appended(e *raftpb.Entry) { r.leaderFrom = min(r.leaderFrom, e.GetIndex()) }

// committed sees every new commit index, and returns the held reads of other members
// that are not too early any more. On a node that does not lead they stay, and are
// forgotten when it leads again: their origins ask again.
func (r *reads) committed(at situation) []*raftpb.Message {
	if len(r.early) == 0 || !at.leads() || r.tooEarly(at.commit) {
		return nil
	}
	early := r.early
	r.early = nil
	return early
}
