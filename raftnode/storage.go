package raftnode

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// stableStore is what survives a crash: *disk, or a disk of the tests that
// forgets what was not synced. No error of it is ever retried: after a failed
// fsync nobody knows what is on the disk, and a second one may lie.
type stableStore interface {
	// save writes entries and then the hard state. It returns once everything
	// written so far is durable, if sync is set, if there are entries, or if term
	// or vote have changed.
	save(hard *raftpb.HardState, entries []*raftpb.Entry, sync bool) error
	// saveSnapshot makes a descriptor durable and then has the WAL vouch for it.
	// The body is durable already. install says that it comes from the leader
	// and that the log before it does not lead up to it.
	// An own snapshot for which there is no room is removed without a trace: that,
	// and nothing else, is a noRoomError.
	saveSnapshot(snap *raftpb.Snapshot, install bool) error
	// release says that no entry up to index is needed any more.
	release(index uint64) error
}

// noRoomError is a snapshot that could not be written for want of space or
// descriptors, before anything referred to it.
type noRoomError struct{ error }

func (e noRoomError) Unwrap() error { return e.error }

// storer does the work of the storage goroutine. It is the only one that writes
// to the WAL, and the only one that appends to the log in memory: raft reads there what
// it takes to be stable, so nothing may be in it sooner.
type storer struct {
	disk stableStore
	log  *raft.MemoryStorage
	hard *raftpb.HardState // as last saved
	last uint64            // index of the newest snapshot
	// syncs is how long it takes to make entries durable. Nil: nobody wants to know.
	syncs *commit.Histogram
}

// stored is the outcome of some storageWork. Nobody hears of any of it before process
// has returned without an error: then all of it is durable.
type stored struct {
	responses []*raftpb.Message  // in order
	snapshots []*raftpb.Snapshot // own snapshots that are complete now
	failed    []failedSnapshot   // own snapshots for which there was no room
}

type failedSnapshot struct {
	index uint64
	err   error
}

// process does works in order, with as few syncs as there can be: whatever queued
// up during the last sync shares the next one. In order, because a later piece may
// overwrite entries of an earlier one, and its term is the newer one: a crash must not
// leave the older of the two.
func (s *storer) process(works []storageWork) (stored, error) {
	var out stored
	for len(works) > 0 {
		n := 0
		var entries []*raftpb.Entry
		// Not across a snapshot: what is behind one may not lead on from what is before.
		for n < len(works) && works[n].snapshot == nil && works[n].ownSnapshot == nil {
			w := works[n]
			if w.hard != nil {
				s.hard = w.hard
			}
			if entries == nil {
				entries = w.entries
			} else if len(w.entries) > 0 {
				// Later ones may be at the same indexes as earlier ones. Both are
				// written, and the WAL lets the later ones count. Never in place: raft
				// still has the slice of the first piece.
				entries = append(entries[:len(entries):len(entries)], w.entries...)
			}
			n++
		}
		if n > 0 {
			// The whole hard state goes along every time, so that a WAL segment
			// can never lack it, however the ones before are purged.
			if err := s.save(entries); err != nil {
				return out, fmt.Errorf("save to WAL: %w", err)
			}
			for _, w := range works[:n] {
				// Only now: raft reads from the log what it believes to be stable. And
				// before the responses: what acknowledges an entry is followed by raft
				// reading it here.
				if err := s.log.Append(w.entries); err != nil {
					return out, fmt.Errorf("append to the log: %w", err)
				}
				out.responses = append(out.responses, w.responses...)
			}
			works = works[n:]
			continue
		}
		if err := s.processSnapshot(works[0], &out); err != nil {
			return out, err
		}
		works = works[1:]
	}
	return out, nil
}

// save writes entries, and the hard state as it is.
func (s *storer) save(entries []*raftpb.Entry) error {
	if s.syncs == nil || len(entries) == 0 {
		return s.disk.save(s.hard, entries, false)
	}
	began := time.Now() //nolint:forbidigo // how long it takes is for people
	err := s.disk.save(s.hard, entries, false)
	s.syncs.Observe(time.Since(began))
	return err
}

// processSnapshot does one piece of work that has a snapshot.
func (s *storer) processSnapshot(w storageWork, out *stored) error {
	if w.hard != nil {
		s.hard = w.hard
	}
	if snap := w.ownSnapshot; snap != nil {
		// One of the leader may have come in between: then the WAL knows a newer one, and
		// the log before that may not lead up to this one.
		if index := snap.GetMetadata().GetIndex(); index > s.last {
			// The WAL ignores a snapshot above the commit index, so that comes
			// first. Its sync is that of the snapshot record.
			if err := s.disk.save(s.hard, nil, false); err != nil {
				return fmt.Errorf("save to WAL: %w", err)
			}
			var none noRoomError
			if err := s.disk.saveSnapshot(snap, false); errors.As(err, &none) {
				out.failed = append(out.failed, failedSnapshot{index, err})
				return nil
			} else if err != nil {
				return fmt.Errorf("save snapshot %d: %w", index, err)
			}
			// Behind the record, or a crash in between would leave neither.
			if err := s.disk.release(w.release); err != nil {
				return fmt.Errorf("release WAL up to %d: %w", w.release, err)
			}
			s.last = index
		}
		out.snapshots = append(out.snapshots, snap)
		return nil
	}

	// A snapshot of the leader. Here the record comes first: with a commit index
	// that no entry and no snapshot backs, the node could not start. If the crash
	// comes in between, the record is ignored and the old log is still there.
	index := w.snapshot.GetMetadata().GetIndex()
	if err := s.disk.saveSnapshot(w.snapshot, true); err != nil {
		return fmt.Errorf("save snapshot %d of the leader: %w", index, err)
	}
	// Forced: the acknowledgement rests on the commit index being durable. It is the
	// next record, which is how the log tells that the snapshot counts; with entries
	// in between, a crash would leave a gap in front of them.
	if err := s.disk.save(s.hard, nil, true); err != nil {
		return fmt.Errorf("save to WAL: %w", err)
	}
	if len(w.entries) > 0 {
		if err := s.disk.save(s.hard, w.entries, true); err != nil {
			return fmt.Errorf("save to WAL: %w", err)
		}
	}
	// The log is kept from the snapshot before this one on: if this one turns out to be
	// damaged at a start, and the log leads to it from there, nothing is lost.
	previous := s.last
	s.last = index
	if err := s.log.ApplySnapshot(w.snapshot); err != nil {
		return fmt.Errorf("put snapshot %d into the log: %w", index, err)
	}
	if err := s.log.Append(w.entries); err != nil {
		return fmt.Errorf("append to the log: %w", err)
	}
	if err := s.disk.release(previous); err != nil {
		return fmt.Errorf("release WAL up to %d: %w", previous, err)
	}
	out.responses = append(out.responses, w.responses...)
	return nil
}

// storageQueue brings work to the storage goroutine. It is never full: raft
// bounds what is in flight, and a queue that blocked would stop heartbeats
// whenever the disk stalls.
type storageQueue struct {
	readyC chan struct{}

	mu    sync.Mutex
	works []storageWork

	given, done atomic.Uint64 // pieces of work
}

func newStorageQueue() *storageQueue { return &storageQueue{readyC: make(chan struct{}, 1)} }

func (q *storageQueue) put(w storageWork) {
	q.given.Add(1)
	q.mu.Lock()
	q.works = append(q.works, w)
	q.mu.Unlock()
	select {
	case q.readyC <- struct{}{}:
	default:
	}
}

func (q *storageQueue) take() []storageWork {
	q.mu.Lock()
	defer q.mu.Unlock()
	works := q.works
	q.works = nil
	return works
}

// idle reports whether everything given is done. REQUIRES: called by the only
// goroutine that calls put.
func (q *storageQueue) idle() bool { return q.given.Load() == q.done.Load() }
