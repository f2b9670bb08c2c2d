package raftnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

const etcdExt = ".wal"

// etcdLog is a log that etcd's WAL writes.
type etcdLog struct {
	cfg *Config
	dir string
	wal *wal.WAL
	// relaxed says that the WAL does not sync by itself.
	relaxed bool
	hard    *raftpb.HardState // as last saved

	last uint64 // index of the last entry written, or of a newer snapshot: as the WAL counts
	// written is the index of the last entry written.
	written uint64
	seq     uint64 // number of the newest segment
	room    int64  // as much fits into that at least before it is full

	// segments is held while old segments are removed, and while the WAL is opened
	// again and holds no locks on those that it needs.
	segments sync.Mutex
	// stale asks for the WAL to be opened again, by the goroutine that writes it. See
	// reopen.
	stale atomic.Bool
	// beforeReopen promises the end of the log: opening cuts the newest segment off and
	// makes it long again.
	beforeReopen func() error
}

func createEtcdLog(cfg *Config, dir string, meta []byte) (*etcdLog, error) {
	// Under a temporary name first, then renamed, with its parent synced (etcd does that).
	w, err := wal.Create(cfg.Logger, dir, meta)
	if err != nil {
		return nil, err
	}
	return &etcdLog{cfg: cfg, dir: dir, wal: w, hard: &raftpb.HardState{}, room: wal.SegmentSizeBytes - segmentHead}, nil
}

// openEtcdLog opens a log at a snapshot, behind an examination, and reads it from
// there on.
func openEtcdLog(cfg *Config, v *survey, start *walpb.Snapshot) (l *etcdLog, hard *raftpb.HardState, entries []*raftpb.Entry, err error) {
	l = &etcdLog{cfg: cfg, dir: walDir(cfg), seq: v.tail.seq, room: wal.SegmentSizeBytes - v.tail.end - segmentHead}
	if l.wal, err = wal.Open(cfg.Logger, l.dir, start); err != nil {
		return nil, nil, nil, fmt.Errorf("open WAL: %w", err)
	}
	if _, hard, entries, err = l.wal.ReadAll(); err != nil {
		return nil, nil, nil, errors.Join(v.refuse(v.tail.path, "%w", err), l.wal.Close())
	}
	// As the WAL counts, which has read what was overwritten, too: its next segment gets
	// its name from there.
	l.hard, l.last, l.written = hard, v.history.written, v.history.written
	return l, hard, entries, nil
}

// relax has the WAL not sync by itself any more.
func (l *etcdLog) relax() {
	l.relaxed = true
	l.wal.SetUnsafeNoFsync()
}

// save implements logWriter. The order in the file is entries, then hard state, and
// that is what cutTorn goes by: a write that was torn lacks its end, so a term without
// its entries cannot be found, only entries without their term.
//
// etcd's WAL syncs if there are entries or if term or vote have changed.
func (l *etcdLog) save(hard *raftpb.HardState, entries []*raftpb.Entry, sync bool) error {
	// Here, where nothing is half written: the WAL's next segment could not be made.
	if l.stale.Swap(false) {
		if err := l.reopen(); err != nil {
			return fmt.Errorf("open it again: %w", err)
		}
	}
	if err := l.wal.Save(hard, entries); err != nil {
		return err
	}
	synced := !l.relaxed && raft.MustSync(hard, l.hard, len(entries))
	if !raft.IsEmptyHardState(hard) {
		l.hard = hard
	}
	l.fill(entries)
	// Not max: a new leader's entries may overwrite, and then the log ends sooner.
	if n := len(entries); n > 0 {
		l.last = entries[n-1].GetIndex()
		l.written = l.last
	}
	if sync && !synced {
		return l.sync()
	}
	return nil
}

// saveSnapshot implements logWriter.
func (l *etcdLog) saveSnapshot(s *walpb.Snapshot, sync bool) error {
	if err := l.wal.SaveSnapshot(s); err != nil { // syncs, unless it is relaxed
		return err
	}
	l.room -= segmentHead
	l.last = max(l.last, s.GetIndex())
	if sync && l.relaxed {
		return l.sync()
	}
	return nil
}

// sync implements logWriter.
func (l *etcdLog) sync() error {
	if l.relaxed {
		return syncTail(l.dir)
	}
	return l.wal.Sync()
}

// segment implements logWriter. The WAL does not say that it has begun a segment, but the
// name follows from what was written last. It cuts only between two writes, so what is in
// front is complete.
func (l *etcdLog) segment() uint64 {
	// To ask the file system each time costs a twentieth of a write.
	if l.room <= 0 && fileutil.Exist(filepath.Join(l.dir, fmt.Sprintf("%016x-%016x.wal", l.seq+1, l.last+1))) {
		l.seq++
		l.room = wal.SegmentSizeBytes - segmentHead
	}
	return l.seq
}

// The WAL begins a segment when one is full, and does not say how full it is. These are
// the most that it writes.
const (
	segmentHead    = 4 << 10 // what a segment begins with: checksum, identity, hard state
	recordOverhead = 64      // a record's length, checksum and padding, an entry's index and term, or a hard state
)

// fill counts what the WAL has been given to write.
func (l *etcdLog) fill(entries []*raftpb.Entry) {
	l.room -= recordOverhead
	for _, e := range entries {
		l.room -= int64(len(e.GetData())) + recordOverhead
	}
}

// release implements logWriter. It gives up the locks on segments that are not needed
// any more; purge removes what is not locked.
func (l *etcdLog) release(index uint64) error { return l.wal.ReleaseLockTo(index) }

// purge implements logWriter.
func (l *etcdLog) purge() error {
	// While reopen has the WAL closed, nothing in it is locked, and all of it would go.
	l.segments.Lock()
	defer l.segments.Unlock()
	segments, err := fileutil.ReadDir(l.dir, fileutil.WithExt(etcdExt))
	if err != nil {
		return err
	}
	// From the oldest on, and never the newest. Segments in the middle must not go before
	// the ones in front: a log with a gap is taken for damaged.
	for _, name := range segments[:max(0, len(segments)-1)] {
		path := filepath.Join(l.dir, name)
		f, err := fileutil.TryLockFile(path, os.O_WRONLY, fileutil.PrivateFileMode)
		if err != nil {
			break // the WAL still holds it, and so all that follow
		}
		err = os.Remove(path)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
		l.cfg.Logger.Info("removed WAL segment", zap.String("name", name))
	}
	return nil
}

// spare implements logWriter: it is the file that etcd's WAL makes ahead of time, to be
// its next segment.
func (l *etcdLog) spare() spare {
	var s spare
	paths, _ := spares(l.dir) // fails on a bad pattern only
	for _, path := range paths {
		switch fi, err := os.Stat(path); {
		case err != nil: // it has just become a segment
		case fi.Size() >= wal.SegmentSizeBytes:
			s.ready = true
		default:
			s.partial += byteCount(fi.Size())
		}
	}
	return s
}

// makeSpare implements logWriter. etcd's WAL has tried once to make its next segment, and
// would find out at the end of the present one that this has failed.
func (l *etcdLog) makeSpare() { l.stale.Store(true) }

// reopen closes the WAL and opens it again at its end, which is the only way to
// have it make its next segment if that has failed once. REQUIRES: called by the
// goroutine that writes.
func (l *etcdLog) reopen() error {
	// In between nothing of it is locked, and to purge it would all be superfluous.
	l.segments.Lock()
	defer l.segments.Unlock()
	if err := l.sync(); err != nil { // whatever is written is in the file
		return fmt.Errorf("sync WAL: %w", err)
	}
	if err := l.beforeReopen(); exhausted(err) {
		l.cfg.Logger.Warn("the log is not opened again to make its next segment", zap.Error(err))
		return nil // runReserve asks again
	} else if err != nil {
		return err
	}
	if err := l.wal.Close(); err != nil {
		return fmt.Errorf("close WAL: %w", err)
	}
	if err := removeSpares(l.cfg); err != nil {
		return err
	}
	snaps, err := wal.ValidSnapshotEntries(l.cfg.Logger, l.dir)
	if err != nil {
		return fmt.Errorf("read WAL: %w", err)
	}
	var start *walpb.Snapshot
	for _, s := range snaps {
		if start == nil || s.GetIndex() > start.GetIndex() {
			start = s
		}
	}
	w, err := wal.Open(l.cfg.Logger, l.dir, start)
	if err != nil {
		return fmt.Errorf("open WAL: %w", err)
	}
	l.wal = w
	if _, _, _, err := w.ReadAll(); err != nil {
		return fmt.Errorf("read WAL: %w", err)
	}
	l.last = l.written // the WAL does not see again that a newer snapshot is recorded
	if l.relaxed {
		l.relax()
	}
	l.cfg.Logger.Info("log opened again, now that there is room for its next segment", zap.String("dir", l.dir))
	return nil
}

// close implements logWriter.
func (l *etcdLog) close() error {
	if err := l.wal.Close(); err != nil { // syncs, unless it is relaxed
		return err
	}
	if l.relaxed {
		return syncTail(l.dir)
	}
	return nil
}
