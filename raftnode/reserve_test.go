package raftnode

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// fakeSpace is a disk with as much space as a test says.
type fakeSpace struct{ free atomic.Uint64 }

func (s *fakeSpace) of(string) (uint64, error) { return s.free.Load(), nil }

func TestReserve(t *testing.T) {
	const size = 1000
	for _, tt := range []struct {
		name  string
		steps []uint64 // free bytes before each look; with 0 the first means that it is not told
		low   string   // l or - for each look
		held  string   // h or -
	}{
		{"plenty", []uint64{9000, 8000, 1000}, "---", "hhh"},
		{"given away and taken back", []uint64{9000, 999, 1999, 2249, 2250}, "-lll-", "h---h"},
		{"too small from the start", []uint64{2249, 2000, 9000}, "ll-", "--h"},
		{"flapping around the limit", []uint64{9000, 999, 1999, 999, 1999}, "-llll", "h----"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var space fakeSpace
			cfg := Config{Dir: t.TempDir(), ReserveBytes: size, DiskFree: space.of}
			cfg.EnsureDefaults()
			space.free.Store(tt.steps[0])
			r := newReserve(&cfg)
			if err := r.makeRoom(0); err != nil {
				t.Fatal(err)
			}
			var low, held strings.Builder
			for _, free := range tt.steps {
				space.free.Store(free)
				left, isLow := r.look(spare{ready: true})
				low.WriteByte(map[bool]byte{true: 'l', false: '-'}[isLow])
				held.WriteByte(map[bool]byte{true: 'h', false: '-'}[r.held()])
				if left > byteCount(free) {
					t.Errorf("%d bytes are left of %d", left, free)
				}
			}
			if low.String() != tt.low || held.String() != tt.held {
				t.Errorf("low %s, want %s; held %s, want %s", low.String(), tt.low, held.String(), tt.held)
			}
		})
	}
}

// TestReserveCannotBeTold: a system that does not tell how much is free is as it was
// before there was a reserve.
func TestReserveCannotBeTold(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), DiskFree: func(string) (uint64, error) { return 0, errors.ErrUnsupported }}
	cfg.EnsureDefaults()
	r := newReserve(&cfg)
	if err := r.makeRoom(0); err != nil {
		t.Fatal(err)
	}
	if free, low := r.look(spare{ready: true}); low || free < 1<<40 {
		t.Errorf("%d bytes free, low %v", free, low)
	}
	if err := r.checkBody(); err != nil {
		t.Error(err)
	}
}

func TestNodeOnFullDisk(t *testing.T) {
	var space fakeSpace
	space.free.Store(1 << 30)
	ms := newCluster(t, 1, func(cfg *Config) {
		smallLogs(cfg)
		cfg.DiskFree = space.of
	})
	m := ms[0]
	m.propose("before")
	reserveThere := func() bool {
		fi, err := os.Stat(filepath.Join(m.cfg.Dir, reserveName))
		return err == nil && fi.Size() == wal.SegmentSizeBytes
	}
	if !reserveThere() {
		t.Fatal("there is no reserve")
	}
	space.free.Store(1000)
	eventually(t, "writes to be refused", m.node.RefusesWrites)
	if reserveThere() || !m.node.Status().DiskLow {
		t.Error("the reserve was not given away")
	}
	m.propose("on its way") // nobody but clients is refused
	if err := m.node.Snapshot(context.Background()); !errors.Is(err, errNoRoom) {
		t.Errorf("a snapshot ends with %v", err)
	}
	if bodies, err := filepath.Glob(filepath.Join(m.cfg.Dir, "snap", "tmp*")); err != nil || len(bodies) > 0 {
		t.Errorf("the snapshot left %v behind (%v)", bodies, err)
	}

	// It starts like that as well, and stays as it is.
	m.stop()
	m.start()
	eventually(t, "writes to be refused after a restart", m.node.RefusesWrites)

	space.free.Store(1 << 30)
	eventually(t, "writes to be taken", func() bool { return !m.node.RefusesWrites() })
	if !reserveThere() {
		t.Error("the reserve is not back")
	}
	if err := m.node.Snapshot(context.Background()); err != nil {
		t.Error(err)
	}
	m.propose("after")
	m.stop()
	m.start()
	m.propose("last")
	sameRequests(t, ms)
	if got := strings.Join(m.requests(), " "); !strings.HasSuffix(got, "after last") {
		t.Errorf("it has %s", got)
	}
}

// TestSparesGoFirst: what a journal keeps beyond its next segment is given back to the
// disk before any write is refused for want of room.
func TestSparesGoFirst(t *testing.T) {
	var nearlyFull atomic.Bool
	dir, segment := t.TempDir(), uint64(wal.SegmentSizeBytes)
	spares := func() int {
		paths, err := spares(filepath.Join(dir, "wal"))
		if err != nil {
			t.Error(err)
		}
		return len(paths)
	}
	m := newCluster(t, 1, func(cfg *Config) {
		cfg.Dir = dir
		cfg.SnapshotBytes, cfg.CatchUpBytes = 1<<30, 1<<10 // only when told
		cfg.DiskFree = func(string) (uint64, error) {
			switch {
			case !nearlyFull.Load():
				return 1 << 30, nil
			case spares() > 1:
				return segment / 2, nil
			default: // which makes the difference
				return segment + segment/2, nil
			}
		}
	})[0]
	for i := range 6 { // each longer than half a segment
		m.propose(fmt.Sprint(i, strings.Repeat("x", 600<<10)))
	}
	for range 2 { // the log from the first one on stays
		if err := m.node.Snapshot(context.Background()); err != nil {
			t.Fatal(err)
		}
		m.propose("between")
	}
	eventually(t, "old segments to wait", func() bool { return spares() > 1 })
	nearlyFull.Store(true)
	eventually(t, "a spare to go", func() bool { return spares() == 1 })
	if !m.node.reserve.held() || m.node.RefusesWrites() || m.node.Status().DiskLow {
		t.Error("the disk was low before")
	}
	m.propose("on it goes")
}

// TestLogWithoutItsNextSegment: etcd's WAL makes the next segment once, ahead of time,
// and dies at the end of the present one if there was no room at that moment. The operator
// is told that a start mends it.
func TestLogWithoutItsNextSegment(t *testing.T) {
	said, logs := observer.New(zap.WarnLevel)
	m := newCluster(t, 1, func(c *Config) {
		etcdEngine.use(c)
		c.Logger = zap.New(said)
	})[0]
	eventually(t, "a spare segment", func() bool { return m.node.disk.log.spare().ready })
	m.propose("before")
	spares, err := filepath.Glob(filepath.Join(m.cfg.Dir, "wal", "*.tmp"))
	if err != nil || len(spares) != 1 {
		t.Fatalf("spare segments: %v (%v)", spares, err)
	}
	if err := os.Remove(spares[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the warning", func() bool { return logs.FilterMessageSnippet("restart this node").Len() > 0 })
	// It goes on to the end of its segment: what was given away of the reserve is taken back,
	// and writes are not refused.
	if err := m.node.reserve.drop(); err != nil {
		t.Fatal(err)
	}
	m.node.reserve.low.Store(true)
	eventually(t, "a reserve", func() bool { return m.node.reserve.held() && !m.node.reserve.low.Load() })
	m.propose("behind")
	m.stop()
	m.start()
	eventually(t, "another one", func() bool { return m.node.disk.log.spare().ready })
	for i := range 3 { // each longer than half a segment
		m.propose(fmt.Sprint(i, strings.Repeat("x", 600<<10)))
	}
	if got := len(m.requests()); got != 5 {
		t.Errorf("%d requests", got)
	}
}

// TestSnapshotOutOfResources: what runs out at any step of writing an own snapshot
// costs the snapshot, and what is broken costs the node.
func TestSnapshotOutOfResources(t *testing.T) {
	for _, tt := range []struct {
		point string
		err   error
		fatal bool
	}{
		{"snapBodyBeforeSync", syscall.ENOSPC, false},
		{"snapBodyBeforeRename", syscall.EDQUOT, false},
		{"snapBodyBeforeDirSync", syscall.EMFILE, false},
		{"snapBodyAfterDirSync", syscall.ENFILE, false},
		{"snapBeforeDescriptor", syscall.ENOSPC, false},
		{"snapBodyBeforeSync", syscall.EIO, true},
		{"snapBeforeDescriptor", syscall.EIO, true},
		{"snapBeforeWALRecord", syscall.ENOSPC, true},
	} {
		t.Run(fmt.Sprint(tt.point, " ", tt.err), func(t *testing.T) {
			t.Parallel()
			var broken atomic.Bool
			m := newCluster(t, 1, func(cfg *Config) {
				cfg.Failpoint = func(point string) error {
					if point == tt.point && broken.Load() {
						return tt.err
					}
					return nil
				}
			})[0]
			m.propose("a")
			broken.Store(true)
			err := m.node.Snapshot(context.Background())
			if tt.fatal {
				if died := <-m.errC; !errors.Is(died, tt.err) || !errors.Is(err, commit.ErrStopped) {
					t.Errorf("the snapshot ends with %v and the node with %v", err, died)
				}
				return
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("the snapshot ends with %v", err)
			}
			left, err := filepath.Glob(filepath.Join(m.cfg.Dir, "snap", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("the snapshot left %v behind (%v)", left, err)
			}
			broken.Store(false)
			m.propose("b")
			if err := m.node.Snapshot(context.Background()); err != nil {
				t.Errorf("the next snapshot: %v", err)
			}
		})
	}
}
