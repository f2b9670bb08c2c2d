package store

import (
	"context"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/machine"
)

// capture freezes the state. Only the apply loop may call it: it is between two
// entries.
func (s *Store) capture() *machine.Picture {
	begin := time.Now() //nolint:forbidigo // how long everybody waits is no state
	defer func() { s.stats.lastCapture.Store(int64(time.Since(begin))) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.Capture()
}

// writer returns what writes the snapshot's body.
func (s *Store) writer(p *machine.Picture) func(io.Writer) error {
	p.Once()
	commands := s.stats.commands.Load() // that this node has applied by then
	return func(w io.Writer) error {
		began := s.clock.mono()
		s.stats.writing.Store(int64(began + 1))
		defer s.stats.writing.Store(0)
		if err := p.Write(w); err != nil {
			return err
		}
		s.stats.snapshots.Add(1)
		s.stats.saved.Store(commands)
		s.stats.lastWrite.Store(int64(s.clock.mono() - began + 1))
		s.lastSnapshot.Store(s.cfg.Now().Unix())
		return nil
	}
}

// Digest returns a digest of the whole state and the applied index that it was
// taken at: members that are at the same index have the same digest. The lock is
// held only for freezing the state.
func (s *Store) Digest(ctx context.Context) (index uint64, digest string, err error) {
	p, err := s.picture(ctx)
	if err != nil {
		return 0, "", err
	}
	defer p.Release()
	return p.Index, p.Digest(), nil
}

// picture freezes the state between two entries, hence by the apply loop.
func (s *Store) picture(ctx context.Context) (*machine.Picture, error) {
	c := make(chan *machine.Picture, 1)
	select {
	case s.captureC <- c:
		return <-c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.stopC:
		return nil, ErrStopped
	}
}

// load replaces the state by the snapshot that raft's log starts from. The new
// state is built beside the old one, and put in its place when all of it is in
// order. Only the apply loop calls it.
func (s *Store) load(from commit.Snapshotter) error {
	snapshot, err := from.Load()
	if err != nil {
		return fmt.Errorf("load snapshot: %w", err)
	}
	if snapshot == nil {
		return nil
	}
	defer func() { _ = snapshot.Body.Close() }() // only read from, and read to the end
	if snapshot.Index <= s.waits.index.Load() {
		return nil // the state is further already
	}
	s.readiness.loading.Store(snapshot.Index)
	defer s.readiness.loading.Store(0)
	started := time.Now() //nolint:forbidigo // for the log
	m, err := machine.Load(s.cfg.Table, &s.applier, snapshot.Body)
	if err != nil {
		return fmt.Errorf("load snapshot at %d: %w", snapshot.Index, err)
	}
	if m.Index() != snapshot.Index || m.Term() != snapshot.Term {
		return fmt.Errorf("load snapshot at %d of term %d: %w: its body is at %d of term %d", snapshot.Index, snapshot.Term, machine.ErrSnapshot, m.Index(), m.Term())
	}
	if run := m.RunOf(s.cfg.Member); run > s.node.Load().incarnation {
		return fmt.Errorf("load snapshot at %d: %w", m.Index(), s.errOldRun(run))
	}
	s.mu.Lock()
	s.stats.expiredBefore.Add(s.m.Keyspace().Stats().Expired)
	s.absences.replaced(s.m.Keyspace().Revision(), m.Keyspace(), int64(m.Now()))
	m.Keyspace().Inherit(s.m.Keyspace())
	s.m = m
	s.tracking.invalidateAll(&s.applier.caller)
	s.applier.UsersChanged(m.Users())
	s.waits.index.Store(m.Index())
	s.expiry.changed(m.Keyspace())
	s.pressure.replaced(m.Keyspace(), s.clock.mono())
	s.stats.loadedKeys.Store(int64(keysIn(m.Keyspace())))
	s.stats.saved.Store(s.stats.commands.Load())
	s.mu.Unlock()
	s.clock.Load(m.Now())
	s.endSkipped()
	s.reconcile()
	if s.hearing.Load() {
		s.hub.cut()
	}
	s.hub.again(s)
	s.applier.tell()
	s.waits.tell()
	s.expiry.wake()
	s.pressure.wake()
	s.logger.Info("loaded snapshot", zap.Uint64("index", m.Index()), zap.Duration("took", time.Since(started)))
	return nil
}

func keysIn(ks *keyspace.Keyspace) (n int) {
	for db := range keyspace.Databases {
		view := ks.View(db, 0)
		n += view.Len()
	}
	return n
}

// endSkipped ends the requests of this node that were applied in entries which
// this node skipped by loading a snapshot: their replies are lost. The others go
// on.
func (s *Store) endSkipped() {
	run := s.node.Load().incarnation
	for _, seq := range s.outbox.open() {
		if s.m.Applied(s.cfg.Member, run, seq) {
			s.outbox.lose(seq)
		}
	}
}
