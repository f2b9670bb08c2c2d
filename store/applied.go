package store

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// AppliedIndex is the index of the last entry that is part of this node's state.
func (s *Store) AppliedIndex() uint64 { return s.waits.index.Load() }

// WaitApplied waits until the entry at index is applied on this node.
func (s *Store) WaitApplied(ctx context.Context, index uint64) error {
	doneC := make(chan error, 1)
	w := &indexWait{index: index, done: func(err error) { doneC <- err }}
	s.waits.add(w)
	select {
	case err := <-doneC:
		return err
	case <-ctx.Done():
		s.waits.remove(w)
		return ctx.Err()
	}
}

// indexWaits is the applied index of this node and who waits for it to get
// somewhere. The apply loop moves it, under Store.mu and without; mu, which guards the
// waits, is a leaf and is not held while somebody is told.
type indexWaits struct {
	index  atomic.Uint64 // of the last entry that is part of the state
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
func (iw *indexWaits) add(w *indexWait) bool {
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
	if iw.index.Load() < w.index {
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

// tell ends the waits up to the applied index.
func (iw *indexWaits) tell() {
	index := iw.index.Load()
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
