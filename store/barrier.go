package store

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// barrier collects linearizable reads. readsAtOnce ReadIndex are under way at a
// time; all reads that come meanwhile share the next one.
type barrier struct {
	mu      sync.Mutex
	waiting []confirmation
	stopped bool
	wakeC   chan struct{}
}

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
func (s *Store) Barrier(done func(error)) {
	w := confirmation{done, s.clock.mono() + s.timeout}
	s.barrier.mu.Lock()
	stopped := s.barrier.stopped || s.node.Load() == nil
	if !stopped {
		s.barrier.waiting = append(s.barrier.waiting, w)
	}
	s.barrier.mu.Unlock()
	if stopped {
		go done(ErrStopped)
		return
	}
	signal(s.barrier.wakeC)
}

func (b *barrier) take() []confirmation {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.waiting
	b.waiting = nil
	return w
}

// runBarrier asks for one index after the other. Several goroutines run it.
func (s *Store) runBarrier() {
	defer s.wg.Done()
	var asking []confirmation // the oldest first
	defer func() {
		s.barrier.mu.Lock()
		s.barrier.stopped = true
		asking = append(asking, s.barrier.waiting...)
		s.barrier.waiting = nil
		s.barrier.mu.Unlock()
		for _, w := range asking {
			w.done(ErrStopped)
		}
	}()
	for {
		if len(asking) == 0 {
			select {
			case <-s.stopC:
				return
			case <-s.barrier.wakeC:
			}
		}
		asking = append(asking, s.barrier.take()...)
		if len(asking) == 0 {
			continue
		}
		index, err := s.readIndex(asking[0].deadline)
		if err == nil {
			s.confirm(index, asking)
			asking = nil
			continue
		}
		now := s.clock.mono()
		for len(asking) > 0 && asking[0].deadline <= now {
			asking[0].done(ErrReadTimeout)
			asking = asking[1:]
		}
		select {
		case <-s.stopC:
			return
		case <-time.After(readRetry):
		}
	}
}

func (s *Store) readIndex(deadline micros) (uint64, error) {
	left := (deadline - s.clock.mono()).span()
	ctx, cancel := context.WithTimeout(s.ctx, max(left, 0))
	defer cancel()
	s.stats.readIndexes.Add(1)
	return s.node.Load().ReadIndex(ctx)
}

// confirm lets reads go once index is applied.
func (s *Store) confirm(index uint64, reads []confirmation) {
	w := &indexWait{index: index, done: func(err error) {
		for i := range reads {
			reads[i].done(err)
		}
	}}
	if !s.waits.add(w, &s.applied) {
		return
	}
	left := (reads[0].deadline - s.clock.mono()).span()
	timer := time.AfterFunc(left, func() {
		if s.waits.remove(w) {
			w.done(ErrReadTimeout)
		}
	})
	s.waits.setTimer(w, timer)
}

// AppliedIndex is the index of the last entry that is part of this node's state.
func (s *Store) AppliedIndex() uint64 { return s.applied.Load() }

// WaitApplied waits until the entry at index is applied on this node.
func (s *Store) WaitApplied(ctx context.Context, index uint64) error {
	doneC := make(chan error, 1)
	w := &indexWait{index: index, done: func(err error) { doneC <- err }}
	s.waits.add(w, &s.applied)
	select {
	case err := <-doneC:
		return err
	case <-ctx.Done():
		s.waits.remove(w)
		return ctx.Err()
	}
}

// indexWaits is who waits for an index to be applied.
type indexWaits struct {
	lowest atomic.Uint64 // of all waits, 0 if there is none: the apply loop looks here first

	mu      sync.Mutex
	waits   []*indexWait // by index
	stopped bool
}

type indexWait struct {
	index uint64
	done  func(error)
	timer *time.Timer // guarded by indexWaits.mu
	over  bool        // likewise
}

// add registers w. If its index is applied already, or the store is stopped, it
// calls done instead and answers false.
func (iw *indexWaits) add(w *indexWait, applied *atomic.Uint64) bool {
	iw.mu.Lock()
	if iw.stopped {
		iw.mu.Unlock()
		w.done(ErrStopped)
		return false
	}
	at, _ := slices.BinarySearchFunc(iw.waits, w.index+1, func(o *indexWait, index uint64) int {
		if o.index < index {
			return -1
		}
		return 1
	})
	iw.waits = slices.Insert(iw.waits, at, w)
	iw.lowest.Store(iw.waits[0].index)
	// After lowest is visible, so that either we see the index or the apply loop
	// sees w.
	if applied.Load() < w.index {
		iw.mu.Unlock()
		return true
	}
	iw.drop(w)
	iw.mu.Unlock()
	w.done(nil)
	return false
}

// drop takes w out and reports whether it was in. mu is held.
func (iw *indexWaits) drop(w *indexWait) bool {
	i := slices.Index(iw.waits, w)
	if i < 0 {
		return false
	}
	iw.waits = slices.Delete(iw.waits, i, i+1)
	w.over = true
	iw.setLowest()
	return true
}

func (iw *indexWaits) setLowest() {
	if len(iw.waits) == 0 {
		iw.lowest.Store(0)
	} else {
		iw.lowest.Store(iw.waits[0].index)
	}
}

// remove takes w out and reports whether its done has not been called.
func (iw *indexWaits) remove(w *indexWait) bool {
	iw.mu.Lock()
	defer iw.mu.Unlock()
	return iw.drop(w)
}

// setTimer has t stopped when w is done.
func (iw *indexWaits) setTimer(w *indexWait, t *time.Timer) {
	iw.mu.Lock()
	defer iw.mu.Unlock()
	if w.over {
		t.Stop()
		return
	}
	w.timer = t
}

// applied ends the waits up to index.
func (iw *indexWaits) applied(index uint64) {
	lowest := iw.lowest.Load()
	if lowest == 0 || lowest > index {
		return
	}
	iw.end(func(w *indexWait) bool { return w.index <= index }, nil)
}

func (iw *indexWaits) stop() {
	iw.mu.Lock()
	iw.stopped = true
	iw.mu.Unlock()
	iw.end(func(*indexWait) bool { return true }, ErrStopped)
}

func (iw *indexWaits) end(which func(*indexWait) bool, err error) {
	iw.mu.Lock()
	n := 0
	for n < len(iw.waits) && which(iw.waits[n]) {
		n++
	}
	over := slices.Clone(iw.waits[:n])
	iw.waits = slices.Delete(iw.waits, 0, n)
	for _, w := range over {
		w.over = true
		if w.timer != nil {
			w.timer.Stop()
		}
	}
	iw.setLowest()
	iw.mu.Unlock()
	for _, w := range over {
		w.done(err)
	}
}
