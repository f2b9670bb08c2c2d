package main

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// onceKeep is how long an attempt may be repeated: longer than any fault lasts, and than
// the state clock jumps when all who knew the time have been killed.
const onceKeep = "86400000"

// ledger is what the workers have added to counters with ONCE. They repeat each request,
// at any node, until they have its outcome, so nothing is left unknown.
type ledger struct {
	mu      sync.Mutex
	done    map[string]int64 // counter -> requests with an outcome
	begun   map[string]int64 // and those that were interrupted by the end of the run
	repeats int
}

// repeats adds to a counter and repeats what has no outcome. Each outcome is the
// counter's value then, so no two may be equal: that would be one request done twice, or
// two done as one.
func (w *worker) repeats() {
	w.mode = "READONLY"
	l := &w.t.ledger
	key := fmt.Sprintf("once:%d", w.id)
	last := int64(0)
	for i := 0; !w.t.stopped(); i++ {
		args := []string{"ONCE", fmt.Sprintf("%d.%d", w.id, i), onceKeep, "INCR", key}
		l.mu.Lock()
		l.begun[key]++
		l.mu.Unlock()
		for attempt := 0; !w.t.stopped(); {
			if !w.connect() {
				continue
			}
			w.conn.Timeout = clientTimeout
			if w.rng.IntN(4) == 0 { // an impatient client, which does not wait for the answer
				w.conn.Timeout = time.Duration(1+w.rng.IntN(30)) * time.Millisecond
			}
			reply, o := w.do(args...)
			attempt++
			if w.conn != nil {
				w.conn.Timeout = clientTimeout
			}
			if o == notApplied || o == unknown {
				w.hangUp()
				continue
			}
			n, ok := reply.(int64)
			if !ok || n != last+1 {
				w.t.fail("%v answered %v after %d, at attempt %d", args, reply, last, attempt)
			}
			last = n
			l.mu.Lock()
			l.done[key]++
			if attempt > 1 {
				l.repeats++
			}
			l.mu.Unlock()
			break
		}
		w.rest(time.Duration(w.rng.IntN(20)) * time.Millisecond)
	}
	w.hangUp()
}

// checkOnce compares the counters with the ledger when the cluster has healed.
func (t *torture) checkOnce() {
	l := &t.ledger
	done := int64(0)
	for key, n := range l.done {
		reply, err := cluster.Ask(t.nodes()[0].Addr, "GET", key)
		got, ok := number(reply)
		// The last request of a worker may be one that it did not live to see done.
		if err != nil || !ok || got < n || got > l.begun[key] {
			t.fail("%s is %v (%v): %d requests were done, and %d begun", key, reply, err, n, l.begun[key])
		}
		done += n
	}
	t.log("once: %d requests done, %d of them after having been repeated", done, l.repeats)
}

// locks is what the holders of one lock have seen.
type locks struct {
	mu      sync.Mutex
	granted int
	highest int64 // token that a client has been given
	stale   int   // writes that were kept from the resource
}

// fencedWrite is a resource that takes no lower token than it has seen. It answers what
// it had seen before, or nil.
const fencedWrite = `local seen = tonumber(redis.call('HGET', KEYS[1], 'token') or 0)
if seen > tonumber(ARGV[1]) then return false end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return seen`

// unlock gives a lock back if it is still held.
const unlock = `return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0`

// holds takes a lock, writes what it protects, often too late, and lets go.
func (w *worker) holds() {
	w.mode = "READONLY"
	l := &w.t.locks
	for i := 0; !w.t.stopped(); i++ {
		if !w.connect() {
			continue
		}
		me := fmt.Sprintf("%d.%d", w.id, i)
		ttl := 20 + w.rng.IntN(200)
		l.mu.Lock()
		before := l.highest
		l.mu.Unlock()
		reply, o := w.do("ACQUIRE", "lock", me, strconv.Itoa(ttl))
		token, got := reply.(int64)
		if o != applied || !got {
			w.rest(time.Duration(w.rng.IntN(20)) * time.Millisecond)
			continue
		}
		l.mu.Lock()
		l.granted++
		l.highest = max(l.highest, token)
		l.mu.Unlock()
		if token <= before {
			w.t.fail("the lock was granted with token %d, after somebody had been given %d", token, before)
		}
		w.rest(time.Duration(w.rng.IntN(2*ttl)) * time.Millisecond) // longer than it may, sometimes
		if !w.connect() {
			continue
		}
		switch seen, _ := w.do("EVAL", fencedWrite, "1", "fenced", strconv.FormatInt(token, 10)); seen := seen.(type) {
		case int64:
			if seen > token {
				w.t.fail("a write with token %d was let in behind %d", token, seen)
			}
		case cluster.Nil:
			l.mu.Lock()
			l.stale++
			l.mu.Unlock()
		}
		if w.conn != nil {
			w.do("EVAL", unlock, "1", "lock", me)
		}
	}
	w.hangUp()
}
