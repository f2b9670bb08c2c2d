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
	sentAt  uint64 // c.now
}

// maxEarly reads of other members wait; they send again what is dropped.
const maxEarly = 64

// maxReadRounds ReadIndex are in flight at most. With a second one the node has
// readers to answer while it waits for the next round; with more, each would serve
// fewer.
const maxReadRounds = 2

// readWaiter is one caller of ReadIndex.
type readWaiter struct {
	indexC chan uint64 // has room for the answer
	gone   atomic.Bool // the caller has given up
}

// ReadIndex returns an index such that a state that has applied it reflects
// every write acknowledged, on any node, before ReadIndex was called. It works on
// every member, costs one round among the voters for all concurrent callers, and
// fails with commit.ErrNoLeader if ctx ends first.
func (n *Node) ReadIndex(ctx context.Context) (uint64, error) {
	w := &readWaiter{indexC: make(chan uint64, 1)}
	n.inbox.run(func(c *core) { c.readIndex(w) })
	select {
	case i := <-w.indexC:
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
	c.reads.next(c)
}

// next sends a ReadIndex if somebody waits, few enough are in flight and it makes
// sense.
func (r *reads) next(c *core) {
	if len(r.inflight) >= maxReadRounds || len(r.waiting) == 0 || c.soft.Lead == 0 {
		return
	}
	if c.isLeader() && r.tooEarly(c) {
		return
	}
	r.counter++
	context := binary.LittleEndian.AppendUint64(nil, r.incarnation)
	context = binary.LittleEndian.AppendUint64(context, r.counter)
	r.inflight = append(r.inflight, readRound{r.waiting, context, c.now})
	r.waiting = nil
	c.rn.ReadIndex(context)
}

// again gives up what is in flight and sends another one for everybody.
func (r *reads) again(c *core) {
	var all []*readWaiter
	for _, round := range r.inflight {
		all = append(all, round.waiters...)
	}
	r.waiting, r.inflight = append(all, r.waiting...), nil
	r.next(c)
}

func (r *reads) answered(c *core, states []raft.ReadState) {
	for _, s := range states {
		i := slices.IndexFunc(r.inflight, func(round readRound) bool { return bytes.Equal(s.RequestCtx, round.context) })
		if i < 0 {
			continue
		}
		for _, w := range r.inflight[i].waiters {
			w.indexC <- s.Index
		}
		r.inflight = slices.Delete(r.inflight, i, i+1)
	}
	r.next(c)
}

func (r *reads) tick(c *core) {
	if len(r.inflight) > 0 && c.now-r.inflight[0].sentAt >= uint64(max(c.cfg.ElectionTicks/2, c.cfg.HeartbeatTicks+1)) {
		r.again(c)
	}
	if c.now%uint64(c.cfg.ElectionTicks) == 0 { // without a leader nothing else empties the list
		kept := r.waiting[:0]
		for _, w := range r.waiting {
			if !w.gone.Load() {
				kept = append(kept, w)
			}
		}
		clear(r.waiting[len(kept):])
		r.waiting = kept
	}
}

func (r *reads) leaderChanged(c *core) { r.again(c) }

// elected notes that this node leads from now on.
func (r *reads) elected() {
	r.leaderFrom = math.MaxUint64
	r.early = nil
}

func (r *reads) tooEarly(c *core) bool { return c.hard.GetCommit() < r.leaderFrom }

func (r *reads) hold(m *raftpb.Message) {
	if len(r.early) < maxEarly {
		r.early = append(r.early, m)
	}
}

// appended sees every entry that this leader appends, the empty one of its term
// first.
func (r *reads) appended(e *raftpb.Entry) { r.leaderFrom = min(r.leaderFrom, e.GetIndex()) }

// committed sees every new commit index.
func (r *reads) committed(c *core) {
	if len(r.early) > 0 && c.isLeader() && !r.tooEarly(c) {
		early := r.early
		r.early = nil
		for _, m := range early {
			c.step(m)
		}
	}
	r.next(c)
}
