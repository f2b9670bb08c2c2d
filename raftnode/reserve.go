package raftnode

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"
)

// reserveName is a file of zeros in the data directory, as large as a segment of
// the log: room that nothing else on the disk can have.
const reserveName = "reserve"

// lookEvery is how often the space on the disk is looked at. A segment takes
// longer to fill: the log never gets two segments ahead of what is known.
const lookEvery = 200 * time.Millisecond

// reserve watches the disk of the data directory. The disk is low as soon as the
// next segment of the log would only fit by giving the ballast away. Then the
// ballast is given away, and the node takes in no more than what is on its way
// (see room). It stays low until there is room for the ballast once more, for a
// segment beside it, and a little: space that comes and goes must not make a node
// refuse and accept writes in turns.
//
// All but low belongs to one goroutine at a time: that of New, then runReserve.
type reserve struct {
	cfg  *Config
	path string
	size uint64
	low  atomic.Bool
	told bool // that the space cannot be told
}

// openReserve gives the ballast away at once if the disk is low: a node must be
// able to start there, and even that takes a few files.
func openReserve(cfg *Config) *reserve {
	r := &reserve{cfg: cfg, path: filepath.Join(cfg.Dir, reserveName), size: cfg.ReserveBytes}
	if free, err := cfg.DiskFree(cfg.Dir); err == nil && free < r.size && r.held() {
		r.giveAway(free)
	}
	return r
}

// plenty is how much must be free for the ballast to be made, and for the disk not
// to be low any more.
func (r *reserve) plenty() uint64 { return 2*r.size + r.size/4 }

// held reports whether the ballast is there.
func (r *reserve) held() bool {
	fi, err := os.Stat(r.path)
	return err == nil && fi.Size() == int64(r.size)
}

// look returns what is free for the log beside the ballast, and whether the disk is
// low. spare says that the log has its next segment ready.
func (r *reserve) look(spare bool) (free uint64, low bool) {
	free, err := r.cfg.DiskFree(r.cfg.Dir)
	if err != nil {
		if !r.told {
			r.cfg.Logger.Warn("cannot tell how much space is left, writes are not refused before the log fails",
				zap.String("dir", r.cfg.Dir), zap.Error(err))
		}
		r.told = true
		return math.MaxUint64, r.low.Load()
	}
	r.told = false
	held := r.held()
	switch {
	case held && free < r.size:
		r.giveAway(free)
		r.low.Store(true)
	case held && r.low.Load():
		// It could not be removed: the space has come from elsewhere.
		r.low.Store(free < r.plenty()-r.size)
	case !held && free >= r.plenty() && !spare: // the log comes first
	case !held && free >= r.plenty():
		if err := r.make(); err != nil {
			r.cfg.Logger.Warn("cannot keep a reserve for the log", zap.String("dir", r.cfg.Dir), zap.Error(err))
			r.low.Store(true)
			break
		}
		if r.low.Swap(false) {
			r.cfg.Logger.Info("there is room for the log again", zap.String("dir", r.cfg.Dir), zap.Uint64("free", free))
		}
		free -= r.size
	case !held:
		if !r.low.Swap(true) {
			r.cfg.Logger.Warn("the disk is nearly full: there is no room to keep a reserve for the log",
				zap.String("dir", r.cfg.Dir), zap.Uint64("free", free), zap.Uint64("needed", r.plenty()))
		}
	}
	return free, r.low.Load()
}

// make takes the ballast from the disk: all of it or nothing.
func (r *reserve) make() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = fileutil.Preallocate(f, int64(r.size), true)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("preallocate %s: %w", r.path, err), os.Remove(r.path))
	}
	return nil
}

func (r *reserve) giveAway(free uint64) {
	r.cfg.Logger.Warn("the disk is nearly full: the log's reserve is given away, and writes are refused until there is room",
		zap.String("dir", r.cfg.Dir), zap.Uint64("free", free), zap.Uint64("needed", r.plenty()))
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.cfg.Logger.Warn("the log's reserve cannot be removed", zap.Error(err))
	}
}

// bodyRoom is how much must stay free for a snapshot to go on being written. A
// snapshot is not worth refusing a write for; but once writes are refused, it is
// what makes room, since the log before it can go.
func (r *reserve) bodyRoom() uint64 {
	if r.low.Load() {
		return r.size / 2
	}
	return r.size + r.size/4
}

// errNoRoom means that a snapshot was given up before it could take the log's room.
var errNoRoom = errors.New("the disk is nearly full, what is left is for the log")

// checkBody reports errNoRoom if no more of a snapshot may be written.
func (r *reserve) checkBody() error {
	if free, err := r.cfg.DiskFree(r.cfg.Dir); err == nil && free < r.bodyRoom() {
		return errNoRoom
	}
	return nil
}

// exhausted reports whether err means that the machine has run out of something
// that comes back, and has not lost anything.
func exhausted(err error) bool {
	for _, e := range []error{errNoRoom, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// runReserve is the goroutine that watches the disk. It tells the raft goroutine
// what has changed.
func (n *Node) runReserve(free uint64, low bool) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	lacking := 0 // how often in a row the log had no spare segment
	for {
		select {
		case <-ticker.C:
		case <-n.endC:
			return
		}
		spare := hasSpare(&n.cfg)
		if lacking++; spare {
			lacking = 0
		}
		wasFree, was := free, low
		free, low = n.reserve.look(spare)
		if lacking > 1 && (free >= n.reserve.plenty() || !low && free >= n.reserve.size+n.reserve.size/4) {
			// etcd's WAL has tried once to make its next segment, and would find out at
			// the end of the present one that this has failed.
			lacking = -50
			n.disk.stale.Store(true)
			n.inbox.run(func(c *core) { c.env.store(storageWork{}) })
		}
		if low != was || free/bodySyncBytes != wasFree/bodySyncBytes {
			n.inbox.run(func(c *core) { c.diskChecked(free, low) })
		}
	}
}

// hasSpare reports whether the WAL has made the file that is to be its next segment.
// While it is being made, there seems to be none.
func hasSpare(cfg *Config) bool {
	names, err := fileutil.ReadDir(walDir(cfg))
	if err != nil {
		return false
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".tmp") {
			fi, err := os.Stat(filepath.Join(walDir(cfg), name))
			if err == nil && fi.Size() >= wal.SegmentSizeBytes {
				return true
			}
		}
	}
	return false
}

// reopen closes the WAL and opens it again at its end, which is the only way to
// have it make its next segment if that has failed once. REQUIRES: called by the
// goroutine that writes.
func (d *disk) reopen() error {
	if err := d.wal.Close(); err != nil {
		return fmt.Errorf("close WAL: %w", err)
	}
	snaps, err := wal.ValidSnapshotEntries(d.lg, walDir(d.cfg))
	if err != nil {
		return fmt.Errorf("read WAL: %w", err)
	}
	var start *walpb.Snapshot
	for _, s := range snaps {
		if start == nil || s.GetIndex() > start.GetIndex() {
			start = s
		}
	}
	if d.wal, err = wal.Open(d.lg, walDir(d.cfg), start); err != nil {
		return fmt.Errorf("open WAL: %w", err)
	}
	if _, _, _, err := d.wal.ReadAll(); err != nil {
		return fmt.Errorf("read WAL: %w", err)
	}
	d.relax()
	d.lg.Info("log opened again, now that there is room for its next segment", zap.String("dir", walDir(d.cfg)))
	return nil
}
