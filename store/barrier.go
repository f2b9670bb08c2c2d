package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// barrier is linearizable reads that wait until they may be run. It asks the cluster
// for an index (ReadIndex), readsAtOnce times at a time, and all reads that come
// meanwhile share the next one; then they wait in waits until this node has applied
// that. It never looks at the state, and so has no way to the store's lock.
//
// mu guards who waits to be asked for. It is a leaf, and nobody is told under it.
type barrier struct {
	clock   *clock      // for mono, which takes no lock
	waits   *indexWaits // of the store
	timeout micros      // Config.ProposalTimeout

	rounds atomic.Uint64 // see Stats.ReadIndexes
	wakeC  chan struct{} // has room for one

	mu      sync.Mutex
	waiting []confirmation
	started bool
	stopped bool
}

// confirmation is a read that waits.
type confirmation struct {
	done     func(error)
	deadline micros // of clock.mono
}

// readRetry is how long to wait before asking again for an index that was
// refused at once, as it is while there is no leader.
const readRetry = 20 * time.Millisecond

// readsAtOnce is how many goroutines ask for an index. raftnode has as many
// ReadIndex in flight (maxReadRounds).
const readsAtOnce = 2

// Barrier calls done with nil once everything that was committed before the call
// is applied on this node: what is read then is linearizable. done gets an error
// if that takes longer than Config.ProposalTimeout. It is called from another
// goroutine and must not block.
func (s *Store) Barrier(done func(error)) { s.barrier.wait(done) }

func (b *barrier) wait(done func(error)) {
	w := confirmation{done, b.clock.mono() + b.timeout}
	b.mu.Lock()
	runs := b.started && !b.stopped
	if runs {
		b.waiting = append(b.waiting, w)
	}
	b.mu.Unlock()
	if !runs {
		go done(ErrStopped)
		return
	}
	signal(b.wakeC)
}

func (b *barrier) take() []confirmation {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.waiting
	b.waiting = nil
	return w
}

// start lets reads in. run must follow.
func (b *barrier) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.started = true
}

// stop ends who waits, and those beside.
func (b *barrier) stop(those []confirmation) {
	b.mu.Lock()
	b.stopped = true
	those = append(those, b.waiting...)
	b.waiting = nil
	b.mu.Unlock()
	for _, w := range those {
		w.done(ErrStopped)
	}
}

// run asks for one index after the other until ctx ends. Several goroutines run it.
func (b *barrier) run(ctx context.Context, c Consensus) {
	var asking []confirmation // the oldest first
	defer func() { b.stop(asking) }()
	for {
		if len(asking) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-b.wakeC:
			}
		}
		asking = append(asking, b.take()...)
		if len(asking) == 0 {
			continue
		}
		index, err := b.readIndex(ctx, c, asking[0].deadline)
		if err == nil {
			b.confirm(index, asking)
			asking = nil
			continue
		}
		now := b.clock.mono()
		for len(asking) > 0 && asking[0].deadline <= now {
			asking[0].done(ErrReadTimeout)
			asking = asking[1:]
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(readRetry):
		}
	}
}

func (b *barrier) readIndex(ctx context.Context, c Consensus, deadline micros) (uint64, error) {
	left := (deadline - b.clock.mono()).span()
	ctx, cancel := context.WithTimeout(ctx, max(left, 0))
	defer cancel()
	b.rounds.Add(1)
	return c.ReadIndex(ctx)
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
