package store

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/machine"
)

// Who leads chooses what to evict by what it knows of reads, and most of them are on other
// nodes, or were, before it led. So every node tells the others of some of the keys that
// are read there, through the log: it is no state, and a summary that gets lost is no loss.
// Nothing is told while it is of no consequence: no limit, no policy that goes by use, or
// plenty of room.

const (
	readsEvery = 200 * time.Millisecond
	readsKeys  = 512      // told at a time,
	readsBytes = 16 << 10 // of so many bytes
)

// readsTold collects what is to be told.
type readsTold struct {
	every atomic.Uint32 // one of so many reads is taken, 0: none
	wakeC chan struct{} // has room for one

	mu    sync.Mutex
	keys  map[keyspace.Read]uint64 // how often, among those that were taken
	bytes int
	seen  int // since they were last told
}

// changed says whether reads are of consequence. The apply loop calls it under Store.mu.
func (r *readsTold) changed(ks *keyspace.Keyspace, used int64) {
	l := ks.Limits()
	p := l.Policy()
	matter := l.MaxMemory > 0 && used > l.MaxMemory/2 && p.ByUse()
	switch every := r.every.Load(); {
	case !matter && every != 0:
		r.every.Store(0)
	case matter && every == 0:
		r.every.Store(1)
	}
}

// add takes what a reader has noted.
func (r *readsTold) add(keys []keyspace.Read) {
	r.mu.Lock()
	r.seen += len(keys)
	if r.keys == nil {
		r.keys = make(map[keyspace.Read]uint64)
	}
	for _, k := range keys {
		switch n := r.keys[k]; {
		case n > 0:
			r.keys[k] = n + 1
		case len(r.keys) < readsKeys && r.bytes+len(k.Key) <= readsBytes:
			r.keys[k] = 1
			r.bytes += len(k.Key)
		}
	}
	first := r.seen == len(keys)
	r.mu.Unlock()
	if first {
		signal(r.wakeC)
	}
}

// take returns what is to be told, and sees that about as much comes next time: of more
// reads a smaller part.
func (r *readsTold) take() (keys map[keyspace.Read]uint64, every uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys, every = r.keys, r.every.Load()
	if every > 0 {
		r.every.CompareAndSwap(every, max(1, min(1<<16, every*uint32(min(r.seen, 1<<15))/(2*readsKeys))))
	}
	r.keys, r.bytes, r.seen = nil, 0, 0
	return keys, every
}

func (s *Store) runReads() {
	var b Batch
	doneC := make(chan struct{}, 1)
	timer := time.NewTimer(readsEvery)
	defer timer.Stop()
	for {
		select {
		case <-s.stopC:
			return
		case <-s.told.wakeC: // there is something, and more will come in the meantime
		}
		timer.Reset(readsEvery)
		select {
		case <-s.stopC:
			return
		case <-timer.C:
		}
		b.Reset()
		b.reads(s.told.take())
		if b.HasWrites() {
			s.Submit(&b, command.Discard{}, func() { doneC <- struct{}{} })
			<-doneC
		}
	}
}

// reads tells of keys that were read, among one of every reads.
func (b *Batch) reads(keys map[keyspace.Read]uint64, every uint32) {
	var by [keyspace.Databases][]machine.KeyRead
	for k, n := range keys { // in any order: it is no state
		by[k.DB] = append(by[k.DB], machine.KeyRead{Key: k.Key, Times: n * uint64(max(1, every))})
	}
	for db, names := range by {
		if len(names) > 0 {
			b.request.Reads(db, names)
			b.addWrite()
		}
	}
}

// Read notes what was read elsewhere.
func (a *applier) Read(h machine.Head, view *keyspace.View, key []byte, times uint64) {
	if h.Origin != a.s.cfg.Member {
		view.Chance = &a.read.rand
		view.Use(key, times)
	}
}
