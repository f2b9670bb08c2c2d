package store

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func barrier1(s *Store) error {
	errC := make(chan error, 1)
	s.Barrier(func(err error) { errC <- err })
	return <-errC
}

func TestBarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{}, nil)
		m := log.start(2, 1, Config{}, nil)
		defer n.stop()
		defer m.stop()
		eventually(t, "ready", m.store.Ready)
		c := client{t: t, s: n.store}

		// A follower that lags shows the write only behind a barrier.
		m.Hold(true)
		c.do("set k v")
		if got := get(m.store, 0, "get k"); got != "nil" {
			t.Errorf("a local read: %s", got)
		}
		var done atomic.Bool
		errC := make(chan error, 1)
		m.store.Barrier(func(err error) { done.Store(true); errC <- err })
		synctest.Wait()
		if done.Load() {
			t.Error("let through before the write was applied")
		}
		m.Hold(false)
		if err := <-errC; err != nil || get(m.store, 0, "get k") != `"v"` {
			t.Errorf("behind the barrier: %v", err)
		}

		// One round serves all who wait.
		before := m.ReadIndexes.Load()
		var served atomic.Int64
		for range 1000 {
			m.store.Barrier(func(err error) {
				if err == nil {
					served.Add(1)
				}
			})
		}
		eventually(t, "all are served", func() bool { return served.Load() == 1000 })
		if rounds := m.ReadIndexes.Load() - before; rounds > 50 {
			t.Errorf("%d rounds for 1000 reads", rounds)
		}
	})
}

func TestBarrierWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{ProposalTimeout: time.Second}, nil)
		defer n.stop()
		eventually(t, "ready", n.store.Ready)

		log.Elect(0)
		started := time.Now()
		if err := barrier1(n.store); !errors.Is(err, ErrReadTimeout) {
			t.Error(err)
		}
		if took := time.Since(started); took < time.Second || took > time.Second+50*time.Millisecond {
			t.Errorf("took %v", took)
		}

		// A leader that comes in time is enough.
		go func() { time.Sleep(500 * time.Millisecond); log.Elect(1) }()
		if err := barrier1(n.store); err != nil {
			t.Error(err)
		}

		// The index is known, but the entries do not come.
		n.Hold(true)
		log.Elect(1)
		started = time.Now()
		if err := barrier1(n.store); !errors.Is(err, ErrReadTimeout) || time.Since(started) > time.Second+50*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(started))
		}
		n.Hold(false)

		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := n.store.WaitApplied(ctx, 1000); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := n.store.WaitApplied(context.Background(), 1); err != nil {
			t.Error(err)
		}
		if n.store.waits.lowest.Load() != 0 {
			t.Error("somebody is left waiting")
		}
	})
}

func TestWaitsEndWithTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{}, nil)
		eventually(t, "ready", n.store.Ready)
		errC := make(chan error, 3)
		go func() { errC <- n.store.WaitApplied(context.Background(), 1000) }()
		log.Elect(0)
		n.store.Barrier(func(err error) { errC <- err })
		synctest.Wait()
		n.stop()
		n.store.Barrier(func(err error) { errC <- err })
		for range 3 {
			if err := <-errC; !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
		}
		if err := n.store.WaitApplied(context.Background(), 1000); !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
		if _, _, err := n.store.Digest(context.Background()); !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
	})
}
