package store

import (
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/store/keyspace"
)

// Now is the time in ms by the node's estimate of the leader's clock. It takes no
// lock.
func (s *Store) Now() int64 { return int64(s.clock.Now()) }

// LastSnapshot is when this process last wrote a snapshot's body, in seconds
// since 1970, 0 if it has not.
func (s *Store) LastSnapshot() int64 { return s.lastSnapshot.Load() }

// DBInfo is what INFO says about a database.
type DBInfo struct {
	DB, Keys, Expires int
	AvgTTL            int64 // ms, of a sample

	// Overhead is how many bytes the database needs that are neither names nor values, and
	// Deadlines how many of them to know when keys are due. They follow from its contents
	// alone.
	Overhead, Deadlines int64
}

// ttlSample is how many keys AvgTTL looks at.
const ttlSample = 64

// Keyspaces returns the databases that have keys.
func (s *Store) Keyspaces() []DBInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var infos []DBInfo
	now := s.Now()
	for db := range keyspace.Databases {
		view := s.m.Keyspace().View(db, now)
		if view.Len() == 0 {
			continue
		}
		info := DBInfo{DB: db, Keys: view.Len(), Expires: view.Expires(), AvgTTL: averageTTL(&view)}
		info.Overhead, info.Deadlines = view.Overhead()
		infos = append(infos, info)
	}
	return infos
}

func averageTTL(view *keyspace.View) int64 {
	if view.Expires() == 0 {
		return 0
	}
	var sum, n int64
	for i := range min(ttlSample, view.Len()) {
		key, alive := view.At(i * view.Len() / min(ttlSample, view.Len()))
		if !alive {
			continue
		}
		if at, _ := view.Expire(key); at != 0 {
			sum += at - view.Now()
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}

// counters is what Stats is read from.
type counters struct {
	entries, requests, commands, duplicates   atomic.Uint64
	snapshots, expiredBefore, expiredByLeader atomic.Uint64

	hits, misses             atomic.Uint64
	saved                    atomic.Uint64 // commands at the time of the last snapshot
	longestHold, lastCapture atomic.Int64
	loadedKeys               atomic.Int64
	writing, lastWrite       atomic.Int64 // of a snapshot: since when, for how long; µs, plus one if there was any
}

// Stats counts what happened since the process started.
type Stats struct {
	Entries    uint64 // log entries with requests applied
	Requests   uint64 // requests applied, whoever's
	Commands   uint64 // write commands applied
	Duplicates uint64 // requests that came again and were dropped
	Hits       uint64 // lookups for reading by this node's clients that found the key
	Misses     uint64 // and those that did not
	Expired    uint64 // keys deleted because their deadline had passed
	Evicted    uint64 // keys deleted to make room

	// EvictedLate is how many of Evicted the leader had not foreseen: a write made room
	// for itself.
	EvictedLate uint64
	// Exceeded is for how long more than maxmemory was used.
	Exceeded time.Duration

	Proposals  uint64 // requests of this node
	Retries    uint64 // times one was sent again
	Overloaded uint64 // times one was refused for MaxPendingBytes
	Refused    uint64 // requests that ended "not applied", Overloaded included
	Unknown    uint64 // requests that ended "unknown"

	// Unsaved is how many of Commands no snapshot of this node has.
	Unsaved uint64
	// LoadedKeys is how many keys the last snapshot that was loaded had.
	LoadedKeys int64
	// Writing is how long a snapshot has been being written, and LastWrite how long
	// the last one took: negative if there is none.
	Writing, LastWrite time.Duration

	// LongestHold is the longest that applying kept readers out at a stretch.
	LongestHold time.Duration
	// LastCapture is how long the last snapshot kept the apply loop, and readers,
	// from going on: all that anybody waits for it.
	LastCapture time.Duration

	Pending      int // requests in flight
	PendingBytes int

	ReadIndexes uint64 // rounds for linearizable reads
	Snapshots   uint64 // snapshot bodies written
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	c, o := &s.stats, s.outbox
	st := Stats{
		Entries: c.entries.Load(), Requests: c.requests.Load(), Commands: c.commands.Load(), Duplicates: c.duplicates.Load(),
		Proposals: o.proposed.Load(), Retries: o.resent.Load(), Overloaded: o.overloaded.Load(), Refused: o.refused.Load(), Unknown: o.unknown.Load(),
		Hits: c.hits.Load(), Misses: c.misses.Load(),
		ReadIndexes: s.barrier.rounds.Load(), Snapshots: c.snapshots.Load(),
		Unsaved: c.commands.Load() - c.saved.Load(), LoadedKeys: c.loadedKeys.Load(),
		Writing: -1, LastWrite: micros(c.lastWrite.Load() - 1).span(),
		LongestHold: time.Duration(c.longestHold.Load()),
		LastCapture: time.Duration(c.lastCapture.Load()),
	}
	if since := c.writing.Load(); since > 0 {
		st.Writing = max(0, s.clock.mono()-micros(since)+1).span()
	}
	m := s.Memory()
	st.Evicted, st.EvictedLate, st.Exceeded = m.Evicted, m.Late, m.EverExceeded
	s.mu.RLock()
	st.Expired = c.expiredBefore.Load() + s.m.Keyspace().Stats().Expired
	s.mu.RUnlock()
	st.Pending, st.PendingBytes = o.pending()
	return st
}
