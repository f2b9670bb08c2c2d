package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Status returns a picture of the raft node, with the store's own applied index.
func (s *Store) Status() commit.Status {
	n := s.node.Load()
	if n == nil {
		return commit.Status{ID: s.cfg.Member, Role: "follower"}
	}
	st := n.Status()
	st.Applied = s.applied.Load()
	return st
}

// IsLeader reports whether this node leads, as far as it knows.
func (s *Store) IsLeader() bool {
	n := s.node.Load()
	return n != nil && n.IsLeader()
}

// RefusesWrites reports whether clients' writes are to be refused with ErrDiskFull,
// before anything of them is proposed. What the store proposes by itself, or must
// propose to keep a promise (put back what a client did not take), goes on: it is
// little.
func (s *Store) RefusesWrites() bool {
	n := s.node.Load()
	return n != nil && n.RefusesWrites()
}

// Leader returns the leader's id, 0 if none is known, and the address at which
// clients reach it.
func (s *Store) Leader() (id uint64, clientAddr string) {
	n := s.node.Load()
	if n == nil {
		return 0, ""
	}
	return n.Leader()
}

// Now is the time in ms by the node's estimate of the leader's clock. It takes no
// lock.
func (s *Store) Now() int64 { return int64(s.clock.Now()) }

// ChangeMembership asks for a change and waits until it is applied here. An
// error that wraps commit.ErrUnknown leaves open whether it will be; any other
// means that nothing changed. See Line.
func (s *Store) ChangeMembership(ctx context.Context, op commit.ConfChangeOp, m commit.Member) error {
	s.inflight.mu.Lock()
	if s.stopped || s.node.Load() == nil {
		s.inflight.mu.Unlock()
		return ErrStopped
	}
	s.wg.Add(1) // Close waits until nobody can send any more
	s.inflight.mu.Unlock()
	resultC := make(chan error, 1)
	select {
	case s.confChangeC <- &commit.ConfChange{Op: op, Member: m, ResultC: resultC}:
		s.wg.Done()
	case <-ctx.Done():
		s.wg.Done()
		return fmt.Errorf("change membership: %w: %w", ErrNotTaken, ctx.Err())
	case <-s.stopC:
		s.wg.Done()
		return ErrStopped
	}
	select {
	case err := <-resultC:
		return err
	case <-ctx.Done():
		return fmt.Errorf("change membership: %w", commit.ErrUnknown)
	case <-s.stopC:
		return fmt.Errorf("change membership: the node is stopping: %w", commit.ErrUnknown)
	}
}

// AddMember adds a member that learns first and votes once it has caught up.
func (s *Store) AddMember(ctx context.Context, id uint64, peerURL string) error {
	return s.ChangeMembership(ctx, commit.AddLearner, commit.Member{ID: id, PeerURL: peerURL, Learner: true})
}

// UpdateMember changes where the other members reach a member.
func (s *Store) UpdateMember(ctx context.Context, id uint64, peerURL string) error {
	return s.ChangeMembership(ctx, commit.Update, commit.Member{ID: id, PeerURL: peerURL})
}

// RemoveMember removes a member. Its id never comes back.
func (s *Store) RemoveMember(ctx context.Context, id uint64) error {
	return s.ChangeMembership(ctx, commit.Remove, commit.Member{ID: id})
}

// PromoteMember makes a learner that has caught up a voter.
func (s *Store) PromoteMember(ctx context.Context, id uint64) error {
	return s.ChangeMembership(ctx, commit.Promote, commit.Member{ID: id})
}

// Transfer hands leadership to a member, 0: to whoever suits.
func (s *Store) Transfer(ctx context.Context, id uint64) error {
	n := s.node.Load()
	if n == nil {
		return ErrStopped
	}
	return n.Transfer(ctx, id)
}

// Snapshot takes a snapshot now.
func (s *Store) Snapshot(ctx context.Context) error {
	n := s.node.Load()
	if n == nil {
		return ErrStopped
	}
	return n.Snapshot(ctx)
}

// LastSnapshot is when this process last wrote a snapshot's body, in seconds
// since 1970, 0 if it has not.
func (s *Store) LastSnapshot() int64 { return s.lastSnapshot.Load() }

// DBInfo is what INFO says about a database.
type DBInfo struct {
	DB, Keys, Expires int
	AvgTTL            int64 // ms, of a sample
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
		infos = append(infos, DBInfo{DB: db, Keys: view.Len(), Expires: view.Expires(), AvgTTL: averageTTL(&view)})
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
		if at, _ := view.Expire([]byte(key)); at != 0 {
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
	entries, requests, commands, duplicates                atomic.Uint64
	proposals, retries, overloaded, refused, unknown       atomic.Uint64
	readIndexes, snapshots, expiredBefore, expiredByLeader atomic.Uint64

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
	c := &s.stats
	st := Stats{
		Entries: c.entries.Load(), Requests: c.requests.Load(), Commands: c.commands.Load(), Duplicates: c.duplicates.Load(),
		Proposals: c.proposals.Load(), Retries: c.retries.Load(), Overloaded: c.overloaded.Load(), Refused: c.refused.Load(), Unknown: c.unknown.Load(),
		Hits: c.hits.Load(), Misses: c.misses.Load(),
		ReadIndexes: c.readIndexes.Load(), Snapshots: c.snapshots.Load(),
		Unsaved: c.commands.Load() - c.saved.Load(), LoadedKeys: c.loadedKeys.Load(),
		Writing: -1, LastWrite: micros(c.lastWrite.Load() - 1).span(),
		LongestHold: time.Duration(c.longestHold.Load()),
		LastCapture: time.Duration(c.lastCapture.Load()),
	}
	if since := c.writing.Load(); since > 0 {
		st.Writing = max(0, s.clock.mono()-micros(since)+1).span()
	}
	s.mu.RLock()
	st.Expired = c.expiredBefore.Load() + s.m.Keyspace().Stats().Expired
	s.mu.RUnlock()
	s.inflight.mu.Lock()
	st.Pending, st.PendingBytes = s.inflight.open, s.inflight.bytes+s.inflight.largeBytes
	s.inflight.mu.Unlock()
	return st
}
