package raftnode

import (
	"bufio"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// bodyPath is where etcd's Snapshotter, and so rafthttp, keeps a body.
func bodyPath(cfg *Config, index uint64) string {
	return filepath.Join(snapDir(cfg), fmt.Sprintf("%016x.snap.db", index))
}

// newBodyCRC makes the checksum that descriptors hold.
func newBodyCRC() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// errOtherCapture means that the store captured another index than it was asked
// for, because a snapshot of the leader had overtaken the batch.
var errOtherCapture = errors.New("captured at another index")

// writeBody writes the body of an own snapshot: under a temporary name, synced,
// renamed, and the name synced, so that a body under its final name is complete.
// It gives up when stopC closes, or room says that it takes up too much.
func writeBody(cfg *Config, p pendingSnapshot, got commit.Capture, room func() error, stopC <-chan struct{}) (size int64, crc uint32, err error) {
	// The descriptor will say p.index, with the membership as of there. A body of another
	// index under that name would have entries applied twice, or never.
	if got.Index != p.index {
		return 0, 0, fmt.Errorf("%w: %d instead of %d", errOtherCapture, got.Index, p.index)
	}
	if err := room(); err != nil {
		return 0, 0, err
	}
	f, err := os.CreateTemp(snapDir(cfg), "tmp-own-*")
	if err != nil {
		return 0, 0, err
	}
	name := f.Name()
	defer func() {
		if err != nil {
			// The file may be closed already; what stays behind, the next start removes.
			err = errors.Join(err, ignoreClosed(f.Close()), os.Remove(name))
		}
	}()
	task := cfg.Tasks.Begin(commit.WriteSnapshot, 0, 0, "bytes")
	defer task.End()
	m := &bodyWriter{f: f, crc: newBodyCRC(), room: room, stopC: stopC, task: task}
	w := bufio.NewWriterSize(m, 64<<10)
	if err = got.Write(w); err != nil {
		return 0, 0, err
	}
	if err = w.Flush(); err != nil {
		return 0, 0, err
	}
	if err = cfg.failpoint("snapBodyBeforeSync"); err != nil {
		return 0, 0, err
	}
	// Before the rename: the name may get to the disk first, and a file of that name is
	// taken for complete.
	if err = f.Sync(); err != nil {
		return 0, 0, err
	}
	if err = f.Close(); err != nil {
		return 0, 0, err
	}
	if err = cfg.failpoint("snapBodyBeforeRename"); err != nil {
		return 0, 0, err
	}
	if err = os.Rename(name, bodyPath(cfg, p.index)); err != nil {
		return 0, 0, err
	}
	name = bodyPath(cfg, p.index)
	if err = cfg.failpoint("snapBodyBeforeDirSync"); err != nil {
		return 0, 0, err
	}
	// Before anything refers to it. The size and the checksum are of what was written,
	// not of what is on the disk: a disk that lies is found out when they are compared.
	if err = syncDir(snapDir(cfg)); err != nil {
		return 0, 0, err
	}
	return m.size, m.crc.Sum32(), cfg.failpoint("snapBodyAfterDirSync")
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// bodyWriter measures what goes into a body, and syncs it piece by piece: one
// sync of a whole large file would hold up those of the WAL for seconds.
type bodyWriter struct {
	f        *os.File
	crc      hash.Hash32
	size     int64
	unsynced int
	room     func() error
	stopC    <-chan struct{}
	task     *commit.Running
}

// What a sync of the log may find itself behind: a millisecond's worth of writing.
const bodySyncBytes = 1 << 20

// Write implements io.Writer. An error, of the disk or of room, ends the snapshot, not
// the node, unless writeBody's caller finds it to be more than want of space.
func (w *bodyWriter) Write(b []byte) (int, error) {
	select {
	case <-w.stopC:
		return 0, commit.ErrStopped
	default:
	}
	runtime.Gosched() // clients come first, even on one processor
	n, err := w.f.Write(b)
	w.crc.Write(b[:n]) // never fails
	w.size += int64(n)
	w.task.Add(int64(n))
	w.unsynced += n
	if err == nil && w.unsynced >= bodySyncBytes {
		w.unsynced = 0
		if err = w.f.Sync(); err == nil {
			err = w.room()
		}
	}
	return n, err
}

// checkBody compares a body with its descriptor. It is done before raft hears of a
// snapshot from the leader, for raft throws its own log away for it, and before one is
// loaded at a start, when there still is an older one with the log behind it.
func checkBody(cfg *Config, index uint64, d descriptor) error {
	f, err := os.Open(bodyPath(cfg, index))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only
	crc := newBodyCRC()
	size, err := io.Copy(crc, f)
	if err != nil {
		return err
	}
	if size != d.BodySize || crc.Sum32() != d.BodyCRC {
		return fmt.Errorf("body of snapshot %d has %d bytes with CRC %08x instead of %d with %08x",
			index, size, crc.Sum32(), d.BodySize, d.BodyCRC)
	}
	return nil
}

// Load implements commit.Snapshotter. It gives the snapshot that raft's own log starts
// from, whatever newer files there are: state and log must not begin at two places.
func (d *disk) Load() (*commit.Snapshot, error) {
	s := d.loadable.Load()
	if s == nil {
		return nil, nil
	}
	m := s.GetMetadata()
	f, err := os.Open(bodyPath(d.cfg, m.GetIndex()))
	if err != nil {
		return nil, fmt.Errorf("open snapshot %d: %w", m.GetIndex(), err)
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open snapshot %d: %w", m.GetIndex(), err), f.Close())
	}
	return &commit.Snapshot{Index: m.GetIndex(), Term: m.GetTerm(), Body: f, Size: fi.Size()}, nil
}

// purge removes what is not needed to start from the newest or the second newest
// snapshot, in case the newest turns out to be unreadable. Files with names above
// the newest stay: a snapshot may be on its way in.
func (d *disk) purge() error {
	if err := d.cfg.failpoint("purge"); err != nil {
		return err
	}
	names, err := fileutil.ReadDir(snapDir(d.cfg)) // sorted
	if err != nil {
		return fmt.Errorf("purge snapshots: %w", err)
	}
	keep := map[uint64]bool{}
	var newest uint64
	var doomed []string
	for i := len(names) - 1; i >= 0; i-- {
		index, ok := descriptorIndex(names[i])
		switch {
		case !ok:
		case len(keep) < 2:
			newest = max(newest, index)
			keep[index] = true
		default:
			doomed = append(doomed, names[i])
		}
	}
	for _, name := range names {
		if index, ok := bodyIndex(name); ok && index < newest && !keep[index] {
			doomed = append(doomed, name)
		}
	}
	for _, name := range doomed {
		// Descriptors first (they come first in doomed): one without a body would
		// be passed over, but why leave it.
		if err := os.Remove(filepath.Join(snapDir(d.cfg), name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("purge snapshots: %w", err)
		}
	}

	if err := d.log.purge(); err != nil {
		return fmt.Errorf("purge the log: %w", err)
	}
	return nil
}

// bodyIndex parses <index>.snap.db.
func bodyIndex(name string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, ".snap.db")
	if !ok {
		return 0, false
	}
	index, err := strconv.ParseUint(hex, 16, 64)
	return index, err == nil
}

// descriptorIndex parses <term>-<index>.snap.
func descriptorIndex(name string) (uint64, bool) {
	base, ok := strings.CutSuffix(name, ".snap")
	if !ok {
		return 0, false
	}
	_, hex, ok := strings.Cut(base, "-")
	if !ok {
		return 0, false
	}
	index, err := strconv.ParseUint(hex, 16, 64)
	return index, err == nil
}
