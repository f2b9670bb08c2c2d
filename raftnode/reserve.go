package raftnode

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
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
	size byteCount
	low  atomic.Bool
	told bool // that the space cannot be told
}

// newReserve touches nothing.
func newReserve(cfg *Config) *reserve {
	return &reserve{cfg: cfg, path: filepath.Join(cfg.Dir, reserveName), size: byteCount(cfg.ReserveBytes)}
}

// makeRoom makes room for what a start writes, if the disk is low: all of the ballast
// goes if less than need is there without it. REQUIRES: the directory was examined, the
// log is not open yet.
func (r *reserve) makeRoom(need byteCount) error {
	if err := removeSpares(r.cfg); err != nil {
		return err
	}
	free, err := r.free()
	if err != nil {
		return nil //nolint:nilerr // look says so
	}
	if free < r.size && r.held() {
		r.giveAway(free)
		free += r.size - r.rest()
	}
	if free >= need+slack {
		return nil
	}
	return r.drop()
}

// free is how much is free on the disk.
func (r *reserve) free() (byteCount, error) {
	free, err := r.cfg.DiskFree(r.cfg.Dir)
	return byteCount(free), err
}

// drop gives the rest of the ballast away.
func (r *reserve) drop() error {
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("give the reserve away: %w", err)
	}
	return nil
}

// spend has a start write a small file for which there may be no room: then the rest
// of the ballast is given away. The log is open, and is making its next segment: that
// may take everything for a moment, to find out that it is not enough.
func (r *reserve) spend(write func() error) error {
	for tries := 0; ; tries++ {
		err := write()
		if !exhausted(err) || tries == 20 {
			return err
		}
		if derr := r.drop(); derr != nil {
			return errors.Join(err, derr)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// rest is what stays of the ballast when it is given away, for the few small files
// that a start needs to write: others may fill the disk to the last byte.
func (r *reserve) rest() byteCount { return min(r.size/4, 1<<20) }

// slack is left over when the rest is taken back, for the files of the node itself.
const slack byteCount = 32 << 10

// plenty is how much must be free for the ballast to be made, and for the disk not
// to be low any more.
func (r *reserve) plenty() byteCount { return 2*r.size + r.size/4 }

// scarce reports whether the disk has less than plenty. Where that cannot be told it has
// enough.
func (r *reserve) scarce() bool {
	free, err := r.free()
	return err == nil && free < r.plenty()
}

// held reports whether the ballast is there: all of it.
func (r *reserve) held() bool { return r.has() == r.size }

// has returns how large the ballast is.
func (r *reserve) has() byteCount {
	fi, err := os.Stat(r.path)
	if err != nil {
		return 0
	}
	return byteCount(fi.Size())
}

// look returns what is free for the log beside the ballast, and whether the disk is
// low. next is the segment that the log has made for later.
func (r *reserve) look(next spare) (free byteCount, low bool) {
	free, err := r.free()
	if err != nil {
		if !r.told {
			r.cfg.Logger.Warn("cannot tell how much space is left, writes are not refused before the log fails",
				zap.String("dir", r.cfg.Dir), zap.Error(err))
		}
		r.told = true
		return math.MaxUint64, r.low.Load()
	}
	r.told = false
	free += next.partial
	held := r.held()
	switch {
	case held && free < r.size:
		r.giveAway(free)
		r.low.Store(true)
	case held && r.low.Load():
		// It could not be given away: the space has come from elsewhere.
		r.low.Store(free < r.plenty()-r.size)
	case !held && free >= r.plenty() && !next.ready && !next.never: // the log comes first
	case !held && free >= r.plenty():
		if err := r.make(r.size); err != nil {
			r.cfg.Logger.Warn("cannot keep a reserve for the log", zap.String("dir", r.cfg.Dir), zap.Error(err))
			r.low.Store(true)
			break
		}
		if r.low.Swap(false) {
			r.cfg.Logger.Info("there is room for the log again", zap.String("dir", r.cfg.Dir), zap.Uint64("free", uint64(free)))
		}
		free -= r.size
	case !held:
		if !r.low.Swap(true) {
			r.cfg.Logger.Warn("the disk is nearly full: there is no room to keep a reserve for the log",
				zap.String("dir", r.cfg.Dir), zap.Uint64("free", uint64(free)), zap.Uint64("needed", uint64(r.plenty())))
		}
		if r.has() == 0 && free > 2*slack {
			// Whether it works or not: nobody counts on it but the next start.
			_ = r.make(min(r.rest(), free-slack))
		}
	}
	return free, r.low.Load()
}

// make takes ballast from the disk: all of it or nothing.
func (r *reserve) make(size byteCount) error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = fileutil.Preallocate(f, int64(size), true)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("preallocate %s: %w", r.path, err), os.Remove(r.path))
	}
	return nil
}

func (r *reserve) giveAway(free byteCount) {
	r.cfg.Logger.Warn("the disk is nearly full: the log's reserve is given away, and writes are refused until there is room",
		zap.String("dir", r.cfg.Dir), zap.Uint64("free", uint64(free)), zap.Uint64("needed", uint64(r.plenty())))
	if err := os.Truncate(r.path, int64(r.rest())); err != nil {
		r.cfg.Logger.Warn("the log's reserve cannot be given away", zap.Error(err))
	}
}

// bodyRoom is how much must stay free for a snapshot to go on being written. A
// snapshot is not worth refusing a write for; but once writes are refused, it is
// what makes room, since the log before it can go.
func (r *reserve) bodyRoom() byteCount {
	if r.low.Load() {
		return r.size / 2
	}
	return r.size + r.size/4
}

// errNoRoom means that a snapshot was given up before it could take the log's room.
var errNoRoom = errors.New("the disk is nearly full, what is left is for the log")

// checkBody reports errNoRoom if no more of a snapshot may be written.
func (r *reserve) checkBody() error {
	if free, err := r.free(); err == nil && free < r.bodyRoom() {
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

// patience is how many looks a log without its next segment is given to make it: the
// disk may be slow.
const patience = 25

// measureEvery is at which of the looks at the disk its use is measured as well.
const measureEvery = 10

// measure notes what this node takes up on its disk, for people.
func (n *Node) measure(free byteCount) {
	sum := func(dir string) (bytes uint64) {
		all, err := os.ReadDir(dir)
		if err != nil {
			return 0 // the log says so when it matters
		}
		for _, e := range all {
			if fi, err := e.Info(); err == nil { // else it has just been removed
				bytes += uint64(fi.Size())
			}
		}
		return bytes
	}
	u := commit.Disk{Log: sum(walDir(&n.cfg)), Snapshots: sum(snapDir(&n.cfg))}
	if free != math.MaxUint64 {
		u.Free = uint64(free)
	}
	n.usage.Store(&u)
}

// runReserve is the goroutine that watches the disk. It tells the raft goroutine
// what has changed.
func (n *Node) runReserve(wasFree byteCount, wasLow bool) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	lacking := 0 // how often in a row the log had no spare segment
	looks := 0
	for {
		select {
		case <-ticker.C:
		case <-n.endC:
			return
		}
		// Before anybody is refused: old segments that wait to be written again are the
		// first to go.
		if err := n.disk.log.fewSpares(n.reserve.scarce()); err != nil {
			n.cfg.Logger.Warn("a file that was kept for the log is not removed", zap.Error(err))
		}
		next := n.disk.log.spare()
		if lacking++; next.ready {
			lacking = 0
		}
		free, low := n.reserve.look(next)
		if looks++; looks%measureEvery == 0 {
			n.measure(free)
		}
		if lacking > patience && (free >= n.reserve.plenty() || !low && free >= n.reserve.size+n.reserve.size/4) {
			lacking = 0
			n.disk.log.makeSpare()
			n.inbox.run((*core).wakeStorage)
		}
		if low != wasLow || free/bodySyncBytes != wasFree/bodySyncBytes {
			n.inbox.run(func(c *core) { c.diskChecked(free, low) })
		}
		wasFree, wasLow = free, low
	}
}

// spare is a file that the log makes ahead of time, to be its next segment.
type spare struct {
	ready bool
	// partial is what a file takes up that is not ready: it is being made, or there
	// was no room for all of it. Then, with etcd's WAL, the space is of no use to anybody
	// until the next start.
	partial byteCount
	// never says that there will be none before the next start. The log goes on to the end of
	// its segment, so writes are not refused for the lack of it.
	never bool
}

// spares are the files in the directory of a log that may be one.
func spares(dir string) ([]string, error) { return filepath.Glob(filepath.Join(dir, "*.tmp")) }

// removeSpares removes what a log that is not open any more had made for later. There
// are no entries in it.
func removeSpares(cfg *Config) error {
	paths, err := spares(walDir(cfg))
	for _, path := range paths {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("remove the unused segment of the log: %w", err)
	}
	return nil
}
