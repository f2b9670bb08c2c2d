package store

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// blockedReads is the commands of this node that wait for something to read (XREAD).
// They take nothing from anybody, so no other node knows of them; the apply loop
// serves them where it serves those that are state, right after the op that touched
// their key.
type blockedReads struct {
	n atomic.Int64 // so that a touch costs nothing while nobody waits

	mu   sync.Mutex
	keys map[dbKey][]*Wait // in the order of arrival
}

type dbKey struct {
	db  int
	key string
}

func (w *Wait) dbKeys() []dbKey {
	var keys []dbKey
	for _, key := range w.spec.Block.Keys(w.argv) {
		if k := (dbKey{w.db, string(key)}); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// blockRead tries the command and has it wait if there is nothing.
func (s *Store) blockRead(w *Wait) {
	r := s.reading()
	defer s.readings.Put(r)
	s.mu.RLock() // nothing can be applied between the attempt and the wait
	r.watch.start()
	next := r.try(s.m.Keyspace(), s.Now(), w, w.reply, nil)
	w.Took = r.watch.lap()
	w.begins(next != nil)
	if w.by.Remember {
		s.tracking.remember(w.by.Tracker, w.spec, w.argv)
	}
	if next != nil {
		w.argv = next
		s.reads.add(s, w)
	}
	s.mu.RUnlock()
	s.countLookups(r)
	if next == nil {
		w.done()
	}
}

func (br *blockedReads) add(s *Store, w *Wait) {
	br.mu.Lock()
	defer br.mu.Unlock()
	if br.keys == nil {
		br.keys = make(map[dbKey][]*Wait)
	}
	for _, k := range w.dbKeys() {
		br.keys[k] = append(br.keys[k], w)
	}
	w.state = waitReading
	br.n.Add(1)
	if w.until != 0 {
		w.timer = time.AfterFunc((w.until - s.clock.mono()).span(), func() { s.endRead(w, "", false) })
	}
}

// take takes a command out, and reports whether it was in: then the caller owes it
// the reply.
func (br *blockedReads) take(w *Wait) bool {
	br.mu.Lock()
	defer br.mu.Unlock()
	if w.state != waitReading {
		return false
	}
	w.state = waitOver
	br.n.Add(-1)
	if w.timer != nil {
		w.timer.Stop()
	}
	for _, k := range w.dbKeys() {
		br.keys[k] = slices.DeleteFunc(br.keys[k], func(o *Wait) bool { return o == w })
		if len(br.keys[k]) == 0 {
			delete(br.keys, k)
		}
	}
	return true
}

// endRead ends a wait without anything, and reports whether there was one.
func (s *Store) endRead(w *Wait, err string, client bool) bool {
	if !s.reads.take(w) {
		return false
	}
	w.err, w.Answered = err, client
	w.end()
	w.done()
	return true
}

// dropRead forgets a command whose client has gone.
func (s *Store) dropRead(w *Wait) { s.reads.take(w) }

// Touched notes what blocked reads may wait for, and births of keys that are
// watched, and tells clients that cache.
func (a *applier) Touched(t keyspace.Touch) {
	a.s.tracking.invalidate(t, &a.caller)
	if t.Change == keyspace.Created {
		a.s.absences.born(a.s.m.Keyspace().Revision(), t.DB, t.Key)
	}
	a.opens = a.opens || a.s.gate.touched(t)
	br := &a.s.reads
	if br.n.Load() == 0 {
		return
	}
	switch {
	case t.Change == keyspace.Signalled, t.Change == keyspace.Created && t.Kind == keyspace.Stream:
		k := dbKey{t.DB, string(t.Key)}
		br.mu.Lock()
		defer br.mu.Unlock()
		if br.keys[k] != nil && !slices.Contains(a.ready, k) {
			a.ready = append(a.ready, k)
		}
	case t.Change == keyspace.Swept:
		br.mu.Lock()
		defer br.mu.Unlock()
		for k := range br.keys {
			if k.db == t.DB && !slices.Contains(a.ready, k) {
				a.ready = append(a.ready, k)
			}
		}
	}
}

// Swapping notes what that means for keys that are watched.
func (a *applier) Swapping(x, y int) { a.s.absences.swapping(a.s.m.Keyspace(), x, y) }

// serveReads serves the reads that wait for keys which are ready. Store.mu is held.
func (a *applier) serveReads() {
	s := a.s
	now := s.Now()
	for _, k := range a.ready {
		s.reads.mu.Lock()
		waits := slices.Clone(s.reads.keys[k])
		s.reads.mu.Unlock()
		for _, w := range waits {
			// Whoever takes it out may write its reply: so it is tried on a reply that
			// is kept first.
			reply := command.NewRecorded(w.reply.RESP3())
			if a.read.try(s.m.Keyspace(), now, w, reply, []byte(k.key)) != nil || !s.reads.take(w) {
				continue
			}
			reply.Replay(w.reply)
			w.Answered = true
			a.over = append(a.over, w)
		}
	}
	clear(a.ready)
	a.ready = a.ready[:0]
}

// retryReads tries all of them: the whole state is another one.
func (s *Store) retryReads() {
	a := &s.applier
	s.reads.mu.Lock()
	for k := range s.reads.keys {
		a.ready = append(a.ready, k)
	}
	s.reads.mu.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	a.serveReads()
}
