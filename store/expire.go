package store

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Keys whose deadline has passed are invisible at once, everywhere, without
// anybody doing anything; what is left is to delete them, and only log entries
// delete. The leader proposes that, many keys at a time. Whether a key's
// deadline has passed is decided once more when the entry is applied, against
// the state clock, so a proposal that was made by a leader deposed since, or
// that arrives late, does no harm.

const (
	// expireKeys and expireBytes bound one proposal, so that a million keys that
	// expire together hold up nobody.
	expireKeys  = 1000
	expireBytes = 256 << 10

	// expireMargin (ms): the leader's clock may run a little slower than our
	// estimate of it, and an entry stamped too early would delete nothing.
	expireMargin = 1

	// expirePause is how long to wait after a proposal that failed or deleted
	// nothing, and on a follower whose leader has not deleted yet.
	expirePause = 200 * time.Millisecond
)

// expiry is what the expiry loop sleeps by. It has no lock of its own: the apply loop
// says when the next key is due, and the loop, which only reads the state, takes
// Store.mu for reading, for one database at a time and at most expireKeys keys.
type expiry struct {
	next  atomic.Int64  // earliest deadline of any key, ms, 0 if there is none
	until atomic.Int64  // what the loop sleeps until
	wakeC chan struct{} // has room for one
	off   atomic.Bool   // see Store.ActiveExpire
}

// changed notes that the state is another one. The apply loop calls it under Store.mu.
func (e *expiry) changed(ks *keyspace.Keyspace) { e.next.Store(earliestDeadline(ks)) }

// wake is called by the apply loop behind changed, without Store.mu.
func (e *expiry) wake() {
	if next := e.next.Load(); next != 0 && next < e.until.Load() {
		signal(e.wakeC)
	}
}

// earliestDeadline returns the earliest deadline of any key, 0 if there is none.
func earliestDeadline(ks *keyspace.Keyspace) int64 {
	earliest := int64(0)
	for db := range keyspace.Databases {
		view := ks.View(db, 0)
		if at := view.NextDeadline(); at != 0 && (earliest == 0 || at < earliest) {
			earliest = at
		}
	}
	return earliest
}

// runExpire sleeps until the next deadline, so that an idle cluster is idle.
func (s *Store) runExpire() {
	e, n := &s.expiry, s.node.Load()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var b Batch
	doneC := make(chan struct{}, 1)
	for {
		var wait time.Duration
		next := e.next.Load()
		now := int64(max(s.clock.estimate(), 0)) - expireMargin
		switch {
		case next == 0:
			next, wait = math.MaxInt64, time.Hour
		case next > now:
			wait = time.Duration(min(next-now, time.Hour.Milliseconds())) * time.Millisecond
		case !n.IsLeader(), n.RefusesWrites(), e.off.Load():
			wait = expirePause // nobody sees the keys; that they are still there does no harm
		default:
			if s.proposeExpired(&b, now, doneC) {
				continue
			}
			wait = expirePause
		}
		e.until.Store(next)
		if after := e.next.Load(); after != 0 && after < next {
			continue // it came between the two looks, and its batch did not wake us
		}
		timer.Reset(wait)
		select {
		case <-s.stopC:
			return
		case <-e.wakeC:
		case <-timer.C:
		}
	}
}

// ActiveExpire says whether this node, when it leads, has keys deleted whose deadline has
// passed. It is for tests: without that they stay until a write comes by.
func (s *Store) ActiveExpire(on bool) { s.expiry.off.Store(!on) }

// proposeExpired proposes the deletion of keys that are due, waits for the
// outcome, and reports whether that got us any further.
func (s *Store) proposeExpired(b *Batch, now int64, doneC chan struct{}) bool {
	b.Reset()
	left, bytes := expireKeys, expireBytes
	keys := make([]string, 0, 64)
	for db := range keyspace.Databases {
		keys = keys[:0]
		s.mu.RLock()
		view := s.m.Keyspace().View(db, now)
		view.Due(now, func(key []byte, _ int64) bool {
			if left == 0 || bytes <= 0 {
				return false
			}
			keys = append(keys, string(key))
			left, bytes = left-1, bytes-len(key)
			return true
		})
		s.mu.RUnlock()
		if len(keys) > 0 {
			b.expire(db, keys)
		}
	}
	if !b.HasWrites() {
		return true // deleted meanwhile
	}
	before := s.stats.expiredByLeader.Load()
	s.Submit(b, command.Discard{}, func() { doneC <- struct{}{} })
	<-doneC
	return s.stats.expiredByLeader.Load() != before
}
