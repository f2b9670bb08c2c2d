package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// barrier is linearizable reads that wait until they may be run. It asks the cluster
// for an index (AskIndex), and all reads that come until the question leaves share it;
// then they wait in waits until this node has applied that. No goroutine is on this way:
// the raft node calls back. It never looks at the state, and so has no way to the store's
// lock.
//
// mu guards all of it. It is a leaf, and nobody is told under it.
type barrier struct {
	clock   *clock      // for mono, which takes no lock
	waits   *indexWaits // of the store
	timeout micros      // Config.ProposalTimeout

	rounds atomic.Uint64 // see Stats.ReadIndexes

	mu      sync.Mutex
	node    Consensus // nil before start
	open    *question // that has not left yet, nil if there is none
	asked   map[*question]struct{}
	stopped bool
}

// question is reads that wait for one index, the oldest first. barrier.mu guards it.
type question struct {
	reads []confirmation
	timer *time.Timer // for the first of them
}

// confirmation is a read that waits.
type confirmation struct {
	done     func(error)
	deadline micros // of clock.mono
}

// Barrier calls done with nil once everything that was committed before the call
// is applied on this node: what is read then is linearizable. done gets an error
// if that takes longer than Config.ProposalTimeout. It is called from another
// goroutine, be it the raft node's, and must not block.
func (s *Store) Barrier(done func(error)) { s.barrier.wait(done) }

func (b *barrier) wait(done func(error)) {
	w := confirmation{done, b.clock.mono() + b.timeout}
	b.mu.Lock()
	if b.node == nil || b.stopped {
		b.mu.Unlock()
		go done(ErrStopped)
		return
	}
	q, ask := b.open, b.open == nil
	if ask {
		q = &question{}
		b.open, b.asked[q] = q, struct{}{}
	}
	q.reads = append(q.reads, w)
	if len(q.reads) == 1 {
		b.arm(q, b.timeout)
	}
	b.mu.Unlock()
	if ask {
		b.node.AskIndex(func() { b.left(q) }, func(index uint64) { b.answered(q, index) })
	}
}

// arm has the first of a question's reads end in time. mu is held.
func (b *barrier) arm(q *question, in micros) {
	q.timer = time.AfterFunc(max(in, 0).span(), func() { b.expire(q) })
}

// left keeps later reads out of a question: the answer may be older than what they have to
// see. They ask the next one.
func (b *barrier) left(q *question) {
	b.rounds.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == q {
		b.open = nil
	}
}

// end takes a question out, and returns who waits for it.
func (b *barrier) end(q *question) []confirmation {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.asked[q]; !ok {
		return nil // stopped
	}
	delete(b.asked, q)
	if b.open == q {
		b.open = nil
	}
	q.timer.Stop()
	return q.reads
}

// answered lets a question's reads go once index is applied.
func (b *barrier) answered(q *question, index uint64) {
	if reads := b.end(q); len(reads) > 0 {
		b.confirm(index, reads)
	}
}

// expire ends the reads whose time is up. The question stays: the raft node answers it
// when there is a leader, and until it leaves others may join.
func (b *barrier) expire(q *question) {
	b.mu.Lock()
	if _, ok := b.asked[q]; !ok {
		b.mu.Unlock()
		return
	}
	now := b.clock.mono()
	n := 0
	for n < len(q.reads) && q.reads[n].deadline <= now {
		n++
	}
	over := q.reads[:n:n]
	if q.reads = q.reads[n:]; len(q.reads) > 0 {
		b.arm(q, q.reads[0].deadline-now)
	}
	b.mu.Unlock()
	for _, r := range over {
		r.done(ErrReadTimeout)
	}
}

// start lets reads in.
func (b *barrier) start(node Consensus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.node, b.asked = node, make(map[*question]struct{})
}

// stop ends all who wait for an index.
func (b *barrier) stop() {
	b.mu.Lock()
	b.stopped = true
	all := b.asked
	b.open, b.asked = nil, nil
	for q := range all {
		q.timer.Stop()
	}
	b.mu.Unlock()
	for q := range all {
		for _, r := range q.reads {
			r.done(ErrStopped)
		}
	}
}

// confirm lets reads go once index is applied.
func (b *barrier) confirm(index uint64, reads []confirmation) {
	w := &indexWait{index: index, done: func(err error) {
		for i := range reads {
			reads[i].done(err)
		}
	}}
	if !b.waits.add(w) {
		return
	}
	left := (reads[0].deadline - b.clock.mono()).span()
	timer := time.AfterFunc(left, func() {
		if b.waits.remove(w) {
			w.done(ErrReadTimeout)
		}
	})
	b.waits.setTimer(w, timer)
}
