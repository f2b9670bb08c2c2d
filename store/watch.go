package store

import (
	"sync"
	"sync/atomic"

	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/machine"
)

// Watched is a key as WATCH saw it: see Reader.Watch. It must be given back with
// Store.Unwatch.
type Watched struct {
	machine.Watched

	absence *absence // of a key that was not there
}

// Watch notes how a key is now, for a transaction that is to run only if nothing
// changes it. The key is copied.
func (r *Reader) Watch(db int, key []byte) Watched {
	w := Watched{Watched: machine.Watched{DB: db, Key: append([]byte(nil), key...), Mark: r.s.m.Keyspace().Mark(db, key, r.now)}}
	if !w.Mark.Present() {
		w.absence = r.s.absences.add(db, string(key))
	}
	return w
}

// Unchanged reports whether none of the keys has changed so far, and moves their
// marks up to now if so: what happens to them on this node it sees at any
// distance, and what happens between now and the transaction's place in the log
// all nodes see alike (keyspace.Keyspace.Unchanged).
func (r *Reader) Unchanged(watched []Watched) bool {
	for i := range watched {
		w := &watched[i]
		switch {
		case w.absence == nil:
			if !r.s.m.Keyspace().Unchanged(w.DB, w.Key, w.Mark, r.now) {
				return false
			}
		case w.absence.touched > w.Mark.Revision():
			return false
		}
		m := r.s.m.Keyspace().Mark(w.DB, w.Key, r.now)
		if m.Present() != w.Mark.Present() {
			return false
		}
		w.Mark = m
	}
	return true
}

// Unwatch says that the marks are of no use any more.
func (s *Store) Unwatch(watched []Watched) {
	for i := range watched {
		if w := &watched[i]; w.absence != nil {
			s.absences.drop(w.absence)
			w.absence = nil
		}
	}
}

// absences are the keys that clients of this node watch and that were not there.
// It is what lets a client hold a watch on such a key for as long as it likes,
// however many keys come and go meanwhile: the keyspace's journal is short.
//
// The apply loop writes to it under Store.mu, and whoever reads it has the read
// lock, so that only the map needs a lock of its own: readers add to it.
type absences struct {
	watching atomic.Int64 // so that a birth costs nothing while nobody watches

	mu   sync.Mutex
	keys map[dbKey]*absence
}

// absence is one such key.
type absence struct {
	dbKey
	watches int    // guarded by absences.mu
	touched uint64 // the revision at which it was last made or brought by SWAPDB
}

func (a *absences) add(db int, key string) *absence {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys == nil {
		a.keys = make(map[dbKey]*absence)
	}
	k := dbKey{db, key}
	w := a.keys[k]
	if w == nil {
		w = &absence{dbKey: k}
		a.keys[k] = w
		a.watching.Add(1)
	}
	w.watches++
	return w
}

func (a *absences) drop(w *absence) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w.watches--; w.watches == 0 {
		delete(a.keys, w.dbKey)
		a.watching.Add(-1)
	}
}

// born notes that a key was made at a revision.
func (a *absences) born(revision uint64, db int, key []byte) {
	if a.watching.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.keys[dbKey{db, string(key)}]; w != nil {
		w.touched = revision
	}
}

// swapping notes that two databases are about to be exchanged. As in Redis a key
// past its deadline is none.
func (a *absences) swapping(ks *keyspace.Keyspace, x, y int) {
	if a.watching.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	there := map[int]keyspace.DB{x: ks.DB(y), y: ks.DB(x)}
	for k, w := range a.keys {
		if other, ok := there[k.db]; ok && other.Exists([]byte(k.key)) {
			w.touched = ks.Revision()
		}
	}
}

// replaced notes that the state at a revision was replaced by that in ks, which is
// later: what happened in between has to be seen from it.
func (a *absences) replaced(revision uint64, ks *keyspace.Keyspace, now int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, w := range a.keys {
		if !ks.Unchanged(k.db, []byte(k.key), keyspace.Mark(2*revision), now) {
			w.touched = ks.Revision()
		}
	}
}
