package store

import (
	"sync"
	"sync/atomic"
)

// notify tells who asked when a key was touched by an applied entry.
type notify struct {
	watching atomic.Int64 // so that a touch costs nothing while nobody watches

	mu   sync.Mutex
	keys map[dbKey]map[*watcher]struct{}
}

type dbKey struct {
	db  int
	key string
}

type watcher struct {
	wake func()
	keys []dbKey
}

// Notify calls wake whenever one of the keys of database db is touched by an
// applied entry, and when the whole state was replaced by a snapshot, until
// cancel is called. wake runs under the store's lock, inside the change: it must
// not block, must not call the store and must not rely on what it could read.
// It may still be called once while cancel runs, not after.
func (s *Store) Notify(db int, keys [][]byte, wake func()) (cancel func()) {
	w := &watcher{wake: wake, keys: make([]dbKey, len(keys))}
	for i, key := range keys {
		w.keys[i] = dbKey{db, string(key)}
	}
	n := &s.notify
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.keys == nil {
		n.keys = make(map[dbKey]map[*watcher]struct{})
	}
	for _, k := range w.keys {
		if n.keys[k] == nil {
			n.keys[k] = make(map[*watcher]struct{})
		}
		n.keys[k][w] = struct{}{}
	}
	n.watching.Add(1)
	return sync.OnceFunc(func() { n.cancel(w) })
}

func (n *notify) cancel(w *watcher) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range w.keys {
		delete(n.keys[k], w)
		if len(n.keys[k]) == 0 {
			delete(n.keys, k)
		}
	}
	n.watching.Add(-1)
}

// touched is the keyspace's OnTouch: key is "" if the whole database changed,
// which is also a key's name, so that one is then woken once too often.
func (n *notify) touched(db int, key string) {
	if n.watching.Load() == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if key != "" {
		for w := range n.keys[dbKey{db, key}] {
			w.wake()
		}
		return
	}
	for k, ws := range n.keys {
		if k.db == db {
			for w := range ws {
				w.wake()
			}
		}
	}
}

// all wakes everybody: the state was replaced.
func (n *notify) all() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ws := range n.keys {
		for w := range ws {
			w.wake()
		}
	}
}
