package raftnode

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// reads batches linearizable reads: one ReadIndex is in flight at a time, and
// serves everybody who was waiting when it left. Who comes later waits for the
// next one, because its answer may only be used by reads that began before it.
//
// A ReadIndex can get lost (no leader, a full buffer, a new leader). Then it is
// sent again under another context: an answer to an earlier attempt is never
// taken for a later one, not even across a restart (etcd issue 20418).
type reads struct {
	waiting  []*readWaiter
	inflight []*readWaiter
	attempt  []byte // context of the attempt in flight
	sentAt   uint64 // c.now

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

// maxEarly reads of other members wait; they send again what is dropped.
const maxEarly = 64

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

// next sends a ReadIndex if somebody waits, none is in flight and it makes sense.
func (r *reads) next(c *core) {
	if len(r.inflight) > 0 || len(r.waiting) == 0 || c.soft.Lead == 0 {
		return
	}
	if c.isLeader() && r.tooEarly(c) {
		return
	}
	r.inflight, r.waiting = r.waiting, nil
	r.counter++
	r.attempt = binary.LittleEndian.AppendUint64(nil, r.incarnation)
	r.attempt = binary.LittleEndian.AppendUint64(r.attempt, r.counter)
	r.sentAt = c.now
	c.rn.ReadIndex(r.attempt)
}

// again gives up the attempt in flight and sends another one for everybody.
func (r *reads) again(c *core) {
	r.waiting = append(r.inflight, r.waiting...)
	r.inflight, r.attempt = nil, nil
	r.next(c)
}

func (r *reads) answered(c *core, states []raft.ReadState) {
	for _, s := range states {
		if r.attempt == nil || !bytes.Equal(s.RequestCtx, r.attempt) {
			continue
		}
		for _, w := range r.inflight {
			w.indexC <- s.Index
		}
		r.inflight, r.attempt = nil, nil
	}
	r.next(c)
}

func (r *reads) tick(c *core) {
	if len(r.inflight) > 0 && c.now-r.sentAt >= uint64(max(c.cfg.ElectionTicks/2, c.cfg.HeartbeatTicks+1)) {
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
