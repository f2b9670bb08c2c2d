package raftnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// disk is the data directory:
//
//	wal/          the log, in segments (etcd's WAL)
//	snap/         *.snap descriptors and *.snap.db bodies
//	incarnation   how often this node was started
//	reserve       ballast: room that is kept for the log
//	lock          held while a process uses the directory
type disk struct {
	cfg  *Config
	lg   *zap.Logger
	wal  *wal.WAL
	snap *snap.Snapshotter
	term uint64 // as last saved, as is vote
	vote uint64
	// loadable is the snapshot that a nil batch refers to.
	loadable atomic.Pointer[raftpb.Snapshot]
	// stale asks for the WAL to be opened again. See reopen.
	stale atomic.Bool
}

// identity is the metadata of every WAL segment.
type identity struct {
	Version int    `json:"version"`
	Cluster uint64 `json:"cluster"`
	Member  uint64 `json:"member"`
	// Joined says that this member came to a running cluster: its first entries
	// come from the leader, not from a bootstrap.
	Joined bool `json:"joined"`
}

const (
	walDirName  = "wal"
	snapDirName = "snap"
)

// way out of damage that is no crash's doing. Repeated in every such message,
// because it is read at the worst moment.
const wayOut = "the other members have everything: remove this member (RAFT REMOVE), then start it with an empty data directory, a new id and --join"

func walDir(cfg *Config) string  { return filepath.Join(cfg.Dir, walDirName) }
func snapDir(cfg *Config) string { return filepath.Join(cfg.Dir, snapDirName) }

// lockDir makes the data directory and takes it for this process.
func lockDir(cfg *Config) (*fileutil.LockedFile, error) {
	isNew := !fileutil.Exist(cfg.Dir)
	if err := os.MkdirAll(snapDir(cfg), 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if isNew { // the parent of one that is there need not even be readable
		if err := syncDir(filepath.Dir(cfg.Dir)); err != nil {
			return nil, fmt.Errorf("sync parent of the data directory: %w", err)
		}
	}
	l, err := fileutil.TryLockFile(filepath.Join(cfg.Dir, "lock"), os.O_CREATE|os.O_WRONLY, fileutil.PrivateFileMode)
	if err != nil {
		return nil, fmt.Errorf("data directory %s is in use by another process: %w", cfg.Dir, err)
	}
	return l, nil
}

// prepareDir makes the data directory durable and clears away what a crash in the
// middle of writing a snapshot left behind. REQUIRES: the directory is locked.
func prepareDir(cfg *Config) error {
	if err := syncDir(cfg.Dir); err != nil {
		return fmt.Errorf("sync data directory: %w", err)
	}
	names, err := fileutil.ReadDir(snapDir(cfg))
	if err != nil {
		return fmt.Errorf("read snapshot directory: %w", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "tmp") { // ours and those of rafthttp
			if err := os.Remove(filepath.Join(snapDir(cfg), name)); err != nil {
				return fmt.Errorf("remove stale temporary file: %w", err)
			}
		}
	}
	return nil
}

// createDisk starts an empty log for a new member.
func createDisk(cfg *Config, who identity) (*disk, error) {
	meta, err := json.Marshal(who)
	if err != nil {
		return nil, err
	}
	w, err := wal.Create(cfg.Logger, walDir(cfg), meta)
	if err != nil {
		return nil, fmt.Errorf("create WAL: %w", err)
	}
	d := &disk{cfg: cfg, lg: cfg.Logger, wal: w, snap: snap.New(cfg.Logger, snapDir(cfg))}
	d.relax()
	return d, nil
}

// openDisk reads what a data directory holds.
func openDisk(cfg *Config) (*disk, identity, restored, error) {
	var who identity
	var from restored
	d := &disk{cfg: cfg, lg: cfg.Logger, snap: snap.New(cfg.Logger, snapDir(cfg))}

	walSnaps, err := wal.ValidSnapshotEntries(d.lg, walDir(cfg))
	if err != nil {
		return nil, who, from, corrupt("read WAL", err)
	}
	if err := d.removeOrphans(walSnaps); err != nil {
		return nil, who, from, err
	}
	from.snapshot, err = d.newestSnapshot(walSnaps)
	if err != nil {
		return nil, who, from, err
	}
	start := &walpb.Snapshot{Index: new(uint64(0)), Term: new(uint64(0))}
	if from.snapshot != nil {
		m := from.snapshot.GetMetadata()
		start = &walpb.Snapshot{Index: new(m.GetIndex()), Term: new(m.GetTerm()), ConfState: m.GetConfState()}
	}

	for repaired := false; ; repaired = true {
		w, err := wal.Open(d.lg, walDir(cfg), start)
		if err != nil {
			return nil, who, from, corrupt("open WAL", err)
		}
		meta, hard, entries, err := w.ReadAll()
		if err == nil {
			d.wal = w
			if err := json.Unmarshal(meta, &who); err != nil {
				return nil, who, from, corrupt("read WAL metadata", errors.Join(err, w.Close()))
			}
			from.hard = hard
			from.entries = entries
			break
		}
		if cerr := w.Close(); cerr != nil {
			d.lg.Warn("close WAL after a failed read", zap.Error(cerr))
		}
		// A record that ends in the middle was being written when the node died:
		// nobody was told that it is durable. Anything else is no crash's doing.
		if repaired || !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, who, from, corrupt("read WAL", err)
		}
		if !wal.Repair(d.lg, walDir(cfg)) {
			return nil, who, from, corrupt("repair the end of the WAL", err)
		}
		d.lg.Warn("WAL ended in the middle of a record, which was cut off", zap.String("dir", walDir(cfg)))
	}
	if err := who.check(cfg); err != nil {
		return nil, who, from, errors.Join(err, d.wal.Close())
	}
	from.entries = cutStale(from.entries, start.GetTerm(), d.lg)
	from.entries = cutTorn(from.entries, from.hard, d.lg)
	d.term, d.vote = from.hard.GetTerm(), from.hard.GetVote()
	d.loadable.Store(from.snapshot)
	d.relax()
	return d, who, from, nil
}

// check refuses the directory of somebody else.
func (who identity) check(cfg *Config) error {
	if who.Version != 1 {
		return fmt.Errorf("%w: it has format version %d, this program knows 1", ErrWrongDir, who.Version)
	}
	if who.Member != cfg.ID {
		return fmt.Errorf("%w: %s belongs to member %d, this is member %d", ErrWrongDir, cfg.Dir, who.Member, cfg.ID)
	}
	if len(cfg.Peers) > 0 && !cfg.Join && !who.Joined {
		if id := clusterID(cfg.sortedPeers()); id != who.Cluster {
			return fmt.Errorf("%w: %s belongs to cluster %x, but the given initial members make cluster %x; "+
				"give those of the very first start, or none at all", ErrWrongDir, cfg.Dir, who.Cluster, id)
		}
	}
	return nil
}

func corrupt(what string, err error) error {
	if exhausted(err) {
		return fmt.Errorf("%s: %w", what, err) // no damage
	}
	return fmt.Errorf("%w: %s: %w; %s", ErrCorrupt, what, err, wayOut)
}

// newestSnapshot picks the newest snapshot that the WAL vouches for and whose
// files are complete. There may be a newer descriptor or body: those of a
// snapshot that was not finished.
func (d *disk) newestSnapshot(walSnaps []*walpb.Snapshot) (*raftpb.Snapshot, error) {
	var usable []*walpb.Snapshot
	for _, s := range walSnaps {
		if s.GetIndex() > 0 && fileutil.Exist(bodyPath(d.cfg, s.GetIndex())) {
			usable = append(usable, s)
		}
	}
	for len(usable) > 0 {
		s, err := d.snap.LoadNewestAvailable(usable)
		if errors.Is(err, snap.ErrNoSnapshot) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("load snapshot: %w", err)
		}
		desc, err := decodeDescriptor(s.GetData())
		if err != nil {
			return nil, err
		}
		index := s.GetMetadata().GetIndex()
		fi, err := os.Stat(bodyPath(d.cfg, index))
		if err == nil && fi.Size() == desc.BodySize {
			return s, nil
		}
		d.lg.Warn("snapshot passed over, its body is incomplete", zap.Uint64("index", index), zap.Error(err))
		kept := usable[:0]
		for _, u := range usable {
			if u.GetIndex() != index {
				kept = append(kept, u)
			}
		}
		usable = kept
	}
	return nil, nil
}

// removeOrphans removes descriptors and bodies that the WAL does not know: the
// crash came before the record. Left alone they would count as snapshots when old
// ones are purged.
func (d *disk) removeOrphans(walSnaps []*walpb.Snapshot) error {
	known := map[uint64]bool{}
	for _, s := range walSnaps {
		known[s.GetIndex()] = true
	}
	names, err := fileutil.ReadDir(snapDir(d.cfg))
	if err != nil {
		return fmt.Errorf("read snapshot directory: %w", err)
	}
	for _, name := range names {
		index, ok := bodyIndex(name)
		if !ok {
			index, ok = descriptorIndex(name)
		}
		if !ok || known[index] {
			continue
		}
		d.lg.Info("removing file of an unfinished snapshot", zap.String("name", name))
		if err := os.Remove(filepath.Join(snapDir(d.cfg), name)); err != nil {
			return fmt.Errorf("remove unfinished snapshot: %w", err)
		}
	}
	return nil
}

// cutStale drops entries that raft had truncated and that wal.ReadAll of etcd
// 3.7.3 brings back all the same: it notices that an entry was overwritten only
// if the overwriting one is above the snapshot it starts from (etcd issue 22442).
// Terms never decrease along a log, and an entry of an older term behind one of a
// newer term (or behind the snapshot) can only be such a ghost.
func cutStale(entries []*raftpb.Entry, term uint64, lg *zap.Logger) []*raftpb.Entry {
	for i, e := range entries {
		if e.GetTerm() < term {
			lg.Warn("log cut before entries that were overwritten", zap.Uint64("index", e.GetIndex()),
				zap.Uint64("term", e.GetTerm()), zap.Uint64("predecessor's term", term), zap.Int("entries", len(entries)-i))
			return entries[:i]
		}
		term = e.GetTerm()
	}
	return entries
}

// cutTorn drops entries of a newer term than the hard state. Every save ends with the
// hard state, so the crash came in the middle of one, and nobody was told of these
// entries. raft does not expect them: with those of a bootstrap and no hard state,
// a node would neither bootstrap again nor know any member. (Found by
// TestRandomSchedules.)
func cutTorn(entries []*raftpb.Entry, hard *raftpb.HardState, lg *zap.Logger) []*raftpb.Entry {
	for i, e := range entries {
		if e.GetTerm() > hard.GetTerm() {
			lg.Warn("log cut before entries of an unfinished write", zap.Uint64("index", e.GetIndex()),
				zap.Uint64("term", e.GetTerm()), zap.Uint64("hard state's term", hard.GetTerm()))
			return entries[:i]
		}
	}
	return entries
}

// relax turns syncing off where the configured durability asks for it.
func (d *disk) relax() {
	if d.cfg.Durability != Always {
		d.wal.SetUnsafeNoFsync()
	}
}

func (d *disk) save(hard *raftpb.HardState, entries []*raftpb.Entry, sync bool) error {
	if err := d.cfg.failpoint("walBeforeSave"); err != nil {
		return err
	}
	if d.stale.Swap(false) {
		if err := d.reopen(); err != nil {
			return fmt.Errorf("open the log in %s again: %w", d.cfg.Dir, err)
		}
	}
	if err := d.wal.Save(hard, entries); err != nil {
		return fmt.Errorf("the log in %s cannot be written: %w", d.cfg.Dir, err)
	}
	voted := hard.GetTerm() != d.term || hard.GetVote() != d.vote
	d.term, d.vote = hard.GetTerm(), hard.GetVote()
	if sync {
		if err := d.wal.Sync(); err != nil {
			return err
		}
	}
	if d.cfg.Durability == EverySec && (voted || sync) {
		if err := d.syncTail(); err != nil {
			return err
		}
	}
	return d.cfg.failpoint("walAfterSave")
}

func (d *disk) saveSnapshot(s *raftpb.Snapshot, install bool) error {
	err := d.cfg.failpoint("snapBeforeDescriptor")
	if err == nil {
		err = d.snap.SaveSnap(s)
	}
	if err != nil {
		err = fmt.Errorf("save descriptor: %w", err)
		if !install && exhausted(err) { // SaveSnap has removed what it had written
			if rerr := os.Remove(bodyPath(d.cfg, s.GetMetadata().GetIndex())); rerr != nil {
				return errors.Join(err, rerr)
			}
			return noRoomError{err}
		}
		return err
	}
	if err := d.cfg.failpoint("snapBeforeDescriptorDirSync"); err != nil {
		return err
	}
	if err := syncDir(snapDir(d.cfg)); err != nil {
		return fmt.Errorf("sync snapshot directory: %w", err)
	}
	if err := d.cfg.failpoint("snapBeforeWALRecord"); err != nil {
		return err
	}
	m := s.GetMetadata()
	err = d.wal.SaveSnapshot(&walpb.Snapshot{Index: new(m.GetIndex()), Term: new(m.GetTerm()), ConfState: m.GetConfState()})
	if err != nil {
		return fmt.Errorf("the log in %s cannot be written: save snapshot record: %w", d.cfg.Dir, err)
	}
	if d.cfg.Durability == EverySec {
		if err := d.syncTail(); err != nil {
			return err
		}
	}
	if install {
		d.loadable.Store(s)
	}
	return d.cfg.failpoint("snapAfterWALRecord")
}

func (d *disk) release(index uint64) error {
	if err := d.cfg.failpoint("walBeforeRelease"); err != nil {
		return err
	}
	return d.wal.ReleaseLockTo(index)
}

// syncTail syncs the segments that may hold unsynced bytes when the WAL itself
// does not sync: the newest, and the one before it, in case a cut came between.
func (d *disk) syncTail() error {
	names, err := fileutil.ReadDir(walDir(d.cfg), fileutil.WithExt(".wal"))
	if err != nil {
		return fmt.Errorf("sync WAL: %w", err)
	}
	for _, name := range names[max(0, len(names)-2):] {
		f, err := os.OpenFile(filepath.Join(walDir(d.cfg), name), os.O_WRONLY, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue // purged just now
		}
		if err != nil {
			return fmt.Errorf("sync WAL: %w", err)
		}
		err = fileutil.Fdatasync(f)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("sync WAL: %w", err)
		}
	}
	return nil
}

func (d *disk) close() error {
	if err := d.wal.Close(); err != nil {
		return fmt.Errorf("close WAL: %w", err)
	}
	if d.cfg.Durability == EverySec {
		return d.syncTail()
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := fileutil.OpenDir(dir)
	if err != nil {
		return err
	}
	err = fileutil.Fsync(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
