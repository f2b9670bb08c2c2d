package raftnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// disk is the data directory:
//
//	wal/          the log, in segments (logWriter)
//	snap/         *.snap descriptors and *.snap.db bodies
//	origin        how far it has come to belong to a member
//	incarnation   how often this node was started
//	promise       how far the log has certainly come
//	set-aside-*/  what was damaged or unfinished at a start: nothing of it is deleted
//	reserve       ballast: room that is kept for the log
//	lock          held while a process uses the directory
type disk struct {
	cfg  *Config
	lg   *zap.Logger
	log  logWriter
	snap *snap.Snapshotter
	// relaxed says that not every write is synced (Durability). Never before what a start
	// writes is durable.
	relaxed bool
	// term and vote are as last saved: whether they change decides about a sync.
	term, vote uint64

	promised promise // as last written
	// failed says that something could not be written: nobody knows what is on the
	// disk, and nothing more is promised.
	failed atomic.Bool
	// loadable is the snapshot that a nil batch refers to.
	loadable atomic.Pointer[raftpb.Snapshot]
}

// identity is the metadata of every WAL segment. A log put into another member's
// directory would have that one vote and acknowledge in a name that is not its own.
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

func walDir(cfg *Config) string  { return filepath.Join(cfg.Dir, walDirName) }
func snapDir(cfg *Config) string { return filepath.Join(cfg.Dir, snapDirName) }

// lockDir makes the data directory and takes it for this process.
func lockDir(cfg *Config) (*fileutil.LockedFile, error) {
	isNew := !fileutil.Exist(cfg.Dir)
	if err := os.MkdirAll(snapDir(cfg), 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if isNew { // the parent of one that is there need not even be readable
		// Or a power cut takes the whole directory, with everything that was synced in it.
		if err := syncDir(filepath.Dir(cfg.Dir)); err != nil {
			return nil, fmt.Errorf("sync parent of the data directory: %w", err)
		}
	}
	// Two processes with one log would overwrite each other's entries, and vote twice.
	l, err := fileutil.TryLockFile(filepath.Join(cfg.Dir, "lock"), os.O_CREATE|os.O_WRONLY, fileutil.PrivateFileMode)
	if err != nil {
		return nil, fmt.Errorf("data directory %s is in use by another process: %w", cfg.Dir, err)
	}
	return l, nil
}

// prepareDir makes the data directory durable and clears away what a crash in the
// middle of writing a snapshot left behind. REQUIRES: the directory is locked.
func prepareDir(cfg *Config) error {
	// wal/ and snap/ are names in it. What is in them is synced there.
	if err := syncDir(cfg.Dir); err != nil {
		return fmt.Errorf("sync data directory: %w", err)
	}
	names, err := fileutil.ReadDir(snapDir(cfg))
	if err != nil {
		return fmt.Errorf("read snapshot directory: %w", err)
	}
	// Nothing refers to a temporary file: it gets its name when it is complete.
	for _, name := range names {
		if strings.HasPrefix(name, "tmp") { // ours and those of rafthttp
			if err := os.Remove(filepath.Join(snapDir(cfg), name)); err != nil {
				return fmt.Errorf("remove stale temporary file: %w", err)
			}
		}
	}
	return nil
}

// createDisk starts the log of a new member with what it begins with, durably in
// every mode.
func createDisk(cfg *Config, who identity, first restored) (*disk, error) {
	meta, err := json.Marshal(who)
	if err != nil {
		return nil, err
	}
	log, err := startLog(cfg, cfg.beginsJournal(), walDir(cfg), meta)
	if err != nil {
		return nil, fmt.Errorf("create the log: %w", err)
	}
	d := &disk{cfg: cfg, lg: cfg.Logger, log: log, snap: snap.New(cfg.Logger, snapDir(cfg))}
	if !first.empty() {
		// Before anything is relaxed: who is in the cluster is agreed on with others,
		// who count on it.
		if err := d.save(first.hard, first.entries, true); err != nil {
			return nil, errors.Join(fmt.Errorf("write the first entries: %w", err), log.close())
		}
	}
	// A promise of nothing yet, but that there is a log of this member: one that is gone
	// at the next start is missed.
	d.promised = promise{Cluster: who.Cluster, Member: who.Member, Synced: cfg.Durability == Always}
	if err := writePromise(cfg, d.promised); err != nil {
		return nil, errors.Join(err, log.close())
	}
	d.relax()
	return d, nil
}

// openDisk reads what a data directory at a level holds. It is examined as a whole before
// anything is touched; then damage that does no harm is set aside.
func openDisk(cfg *Config, r *reserve, level uint64) (*disk, identity, restored, error) {
	var from restored
	d := &disk{cfg: cfg, lg: cfg.Logger, snap: snap.New(cfg.Logger, snapDir(cfg))}
	v, err := examine(cfg)
	if err != nil {
		return nil, identity{}, from, err
	}
	who := v.who
	// What is cut off is kept as a file of its own: there must be room for that, and for
	// the log that has to be long again.
	if err := r.makeRoom(bytesOf(v.tail.unfinished)); err != nil {
		return nil, who, from, err
	}
	if err := v.mend(); err != nil {
		return nil, who, from, err
	}
	tail := v.tail
	d.promised = promise{Cluster: who.Cluster, Member: who.Member, Seq: tail.seq, Offset: tail.end, CRC: tail.crc,
		Snapshot: v.history.newest, Synced: cfg.Durability == Always}
	if v.promised != nil {
		d.promised.Incarnation = v.promised.Incarnation
	}
	// Before the WAL is opened: it cuts the newest segment off and makes it long again,
	// and if the crash comes in between, this is how the next start knows. Synced first:
	// what was only read from the kernel's memory must not be promised.
	if err := syncTail(walDir(cfg)); err != nil {
		return nil, who, from, err
	}
	if err := writePromise(cfg, d.promised); err != nil {
		return nil, who, from, err
	}

	// The same snapshot for raft and for the store (loadable): with two, entries would be
	// applied twice, or never.
	from.snapshot = v.snapshot
	start := &walpb.Snapshot{Index: new(uint64(0)), Term: new(uint64(0))}
	if from.snapshot != nil {
		m := from.snapshot.GetMetadata()
		start = &walpb.Snapshot{Index: new(m.GetIndex()), Term: new(m.GetTerm()), ConfState: m.GetConfState()}
	}
	journal := v.tail.journal != nil || v.goesOver(level, r)
	if journal {
		d.log, err = openJournalLog(cfg, v)
		if v.tail.journal == nil && exhausted(err) && !begunJournal(cfg) {
			// A quota may say what the disk did not, before there was a segment: etcd's WAL
			// has made the room that it needs.
			journal = false
			v.noJournalYet(zap.Error(err))
		}
	}
	if !journal {
		d.log, err = openEtcdLog(cfg, v, start)
	}
	if err != nil {
		return nil, who, from, fmt.Errorf("open the log: %w", err)
	}
	from.hard = v.history.hard
	if from.entries, err = v.behind(start.GetIndex()); err != nil {
		return nil, who, from, errors.Join(err, d.log.close())
	}
	from.entries = cutTorn(from.entries, from.hard, d.lg)
	last := start.GetIndex()
	if n := len(from.entries); n > 0 {
		last = from.entries[n-1].GetIndex()
	}
	if commit := from.hard.GetCommit(); commit > last {
		return nil, who, from, errors.Join(v.refuse(tail.path, "entries up to %d were committed, and the log reaches to %d", commit, last), d.log.close())
	}
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
		// It would vote and acknowledge for one that may be running elsewhere.
		return fmt.Errorf("%w: %s belongs to member %d, this is member %d", ErrWrongDir, cfg.Dir, who.Member, cfg.ID)
	}
	return nil
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

// relax turns syncing off where the configured durability asks for it. Never before
// what a start writes is durable: see the callers.
func (d *disk) relax() {
	if d.relaxed = d.cfg.Durability != Always; !d.relaxed {
		return
	}
	if l, ok := d.log.(*etcdLog); ok {
		l.relax()
	}
}

// save implements stableStore.
//
// A commit index alone is not worth a sync: the leader tells it again.
func (d *disk) save(hard *raftpb.HardState, entries []*raftpb.Entry, sync bool) (err error) {
	defer d.noteFailure(&err)
	if err := d.cfg.failpoint("walBeforeSave"); err != nil {
		return err
	}
	voted := hard.GetTerm() != d.term || hard.GetVote() != d.vote
	switch {
	case !d.relaxed:
		sync = sync || voted || len(entries) > 0
	case d.cfg.Durability == EverySec:
		// A vote that is forgotten is given twice, and that is two leaders in one term. A
		// second's worth of entries is what this mode may lose; votes are not.
		sync = sync || voted
	default:
		sync = false
	}
	// An error ends the node. A second fsync would succeed and say nothing: the kernel
	// has dropped the pages that it could not write, and calls them clean.
	if err := d.log.save(hard, entries, sync); err != nil {
		return fmt.Errorf("the log in %s cannot be written: %w", d.cfg.Dir, err)
	}
	d.term, d.vote = hard.GetTerm(), hard.GetVote()
	if err := d.promiseSegment(); err != nil {
		return err
	}
	return d.cfg.failpoint("walAfterSave")
}

// noteFailure has nothing more promised once something has failed: what is in the file
// may not be what is on the disk.
func (d *disk) noteFailure(err *error) {
	if none := (noRoomError{}); *err != nil && !errors.As(*err, &none) {
		d.failed.Store(true)
	}
}

// saveSnapshot implements stableStore. Body, descriptor, its name, record: each is
// durable before the next one refers to it, so a crash anywhere leaves a snapshot that
// nobody knows of, which a start sets aside, and never a record of one that is not there.
func (d *disk) saveSnapshot(s *raftpb.Snapshot, install bool) (err error) {
	defer d.noteFailure(&err)
	err = d.cfg.failpoint("snapBeforeDescriptor")
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
	// SaveSnap syncs the file and not its name. Without the name, the log would be
	// released for a snapshot that a power cut has taken (and purged, for good).
	if err := syncDir(snapDir(d.cfg)); err != nil {
		return fmt.Errorf("sync snapshot directory: %w", err)
	}
	if err := d.cfg.failpoint("snapBeforeWALRecord"); err != nil {
		return err
	}
	m := s.GetMetadata()
	// From here on the snapshot counts: a start looks for it, and refuses to go on from
	// an older one if the log does not lead past this one.
	err = d.log.saveSnapshot(&walpb.Snapshot{Index: new(m.GetIndex()), Term: new(m.GetTerm()), ConfState: m.GetConfState()},
		!d.relaxed || d.cfg.Durability == EverySec)
	if err != nil {
		return fmt.Errorf("the log in %s cannot be written: save snapshot record: %w", d.cfg.Dir, err)
	}
	if err := d.promiseSnapshot(m.GetIndex()); err != nil {
		return err
	}
	if install {
		// Before raft hears of it, and so before a nil batch can make the store ask.
		d.loadable.Store(s)
	}
	return d.cfg.failpoint("snapAfterWALRecord")
}

// release implements stableStore. purge removes what is not needed any more.
func (d *disk) release(index uint64) error {
	if err := d.cfg.failpoint("walBeforeRelease"); err != nil {
		return err
	}
	return d.log.release(index)
}

// syncTail syncs the segments in a directory that may hold unsynced bytes: the newest,
// and the one before it, in case a new one was begun in between. A sync through another
// descriptor is as good: it is the file's pages that are written.
func syncTail(dir string) error {
	all, err := segmentsIn(dir)
	if err != nil {
		return fmt.Errorf("sync the log: %w", err)
	}
	// With EverySec an older one was synced when the one behind it was promised. With No
	// it is left to the kernel, as that mode says; if a power cut takes it after a clean
	// stop, its end is missed by what the next segment goes on from.
	for _, s := range all[max(0, len(all)-2):] {
		f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue // purged just now
		}
		if err != nil {
			return fmt.Errorf("sync the log: %w", err)
		}
		err = fileutil.Fdatasync(f)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("sync the log: %w", err)
		}
	}
	return nil
}

// close ends the log and promises all of it.
func (d *disk) close() error {
	if err := d.log.close(); err != nil { // syncs
		return fmt.Errorf("close the log: %w", err)
	}
	if d.failed.Load() {
		return nil // the promise that is there is true, a new one might not be
	}
	// After a clean stop the log ends exactly there: one that is shorter at the next start
	// was cut, however much it looks like a crash.
	if err := d.promiseEnd(); !exhausted(err) {
		return err
	}
	d.lg.Warn("no room to note that the log ends where it does", zap.String("dir", d.cfg.Dir))
	return nil
}

// syncDir makes the names in a directory durable. A synced file whose name is not, is
// gone after a power cut.
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
