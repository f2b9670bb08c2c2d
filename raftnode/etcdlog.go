package raftnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

const etcdExt = ".wal"

// etcdLog is a log that etcd's WAL writes, which is all that 0.1.0 knows. It stays until
// the level at which nobody can go back to that: see Config.JournalLevel.
type etcdLog struct {
	cfg *Config
	dir string
	wal *wal.WAL
	// relaxed says that the WAL does not sync by itself.
	relaxed bool
	hard    *raftpb.HardState // as last saved

	last uint64 // index of the last entry written, or of a newer snapshot: as the WAL counts
	seq  uint64 // number of the newest segment

	gaveUp atomic.Bool // there will be no segment behind the present one
}

func createEtcdLog(cfg *Config, dir string, meta []byte) (*etcdLog, error) {
	// Under a temporary name first, then renamed, with its parent synced (etcd does that).
	w, err := wal.Create(cfg.Logger, dir, meta)
	if err != nil {
		return nil, err
	}
	return &etcdLog{cfg: cfg, dir: dir, wal: w, hard: &raftpb.HardState{}}, nil
}

// openEtcdLog goes on behind what was examined. start is a snapshot that the log knows.
func openEtcdLog(cfg *Config, v *survey, start *walpb.Snapshot) (*etcdLog, error) {
	w, err := wal.Open(cfg.Logger, walDir(cfg), start)
	if err != nil {
		return nil, fmt.Errorf("open WAL: %w", err)
	}
	// It does not write before it has read. What it makes of that is not used: it brings
	// back entries that were overwritten, if what overwrote them is not behind the
	// snapshot (etcd issue 22442).
	if _, _, _, err := w.ReadAll(); err != nil {
		return nil, errors.Join(v.refuse(v.tail.path, "%w", err), w.Close())
	}
	// As the WAL counts, which has read what was overwritten, too: its next segment gets
	// its name from there.
	return &etcdLog{cfg: cfg, dir: walDir(cfg), wal: w, hard: v.history.hard, last: v.history.written, seq: v.tail.seq}, nil
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
	if err := l.wal.Save(hard, entries); err != nil {
		return err
	}
	synced := !l.relaxed && raft.MustSync(hard, l.hard, len(entries))
	if !raft.IsEmptyHardState(hard) {
		l.hard = hard
	}
	// Not max: a new leader's entries may overwrite, and then the log ends sooner.
	if n := len(entries); n > 0 {
		l.last = entries[n-1].GetIndex()
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
	if fileutil.Exist(filepath.Join(l.dir, fmt.Sprintf("%016x-%016x.wal", l.seq+1, l.last+1))) {
		l.seq++
	}
	return l.seq
}

// release implements logWriter. It gives up the locks on segments that are not needed
// any more; purge removes what is not locked.
func (l *etcdLog) release(index uint64) error { return l.wal.ReleaseLockTo(index) }

// purge implements logWriter.
func (l *etcdLog) purge() error {
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
			return nil //nolint:nilerr // the WAL still holds it, and so all that follow
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
	s := spare{never: l.gaveUp.Load()}
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

// makeSpare implements logWriter. etcd's WAL tries once to make its next segment, and
// there is no call to try again. It would find out at the end of the present one.
func (l *etcdLog) makeSpare() {
	if l.gaveUp.Swap(true) {
		return
	}
	l.cfg.Logger.Warn("there was no room for the next segment of the log, and there is now: restart this node, or it ends with the present segment",
		zap.String("dir", l.dir))
}

// fewSpares implements logWriter: it keeps one.
func (l *etcdLog) fewSpares(bool) error { return nil }

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
