package raftnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

var errCrash = errors.New("crash")

// crasher makes a member die at a failpoint, and keeps the data directory as the
// kernel has it at that moment: what a kill -9 leaves behind.
type crasher struct {
	t     *testing.T
	point string
	after int // passes through point before the crash

	mu    sync.Mutex
	dir   string // of the running member
	left  string // the copy
	count int
}

func (c *crasher) failpoint(point string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left != "" {
		return errCrash // it is dead: nothing else reaches the disk
	}
	if point != c.point {
		return nil
	}
	if c.count++; c.count <= c.after {
		return nil
	}
	c.left = c.t.TempDir()
	if err := os.CopyFS(c.left, os.DirFS(c.dir)); err != nil {
		c.t.Errorf("copy %s: %v", c.dir, err)
	}
	return errCrash
}

// TestCrashAtEveryPersistStep kills the leader of three at every boundary of the
// persist path, while everybody takes snapshots all the time, and restarts it from
// what was on its disk. Nothing that any member has applied may be missing.
func TestCrashAtEveryPersistStep(t *testing.T) {
	engines(t, crashAtEveryPersistStep)
}

func crashAtEveryPersistStep(t *testing.T, engine logEngine) {
	for _, point := range []string{
		"walBeforeSave", "walAfterSave",
		"snapBodyBeforeSync", "snapBodyBeforeRename", "snapBodyBeforeDirSync", "snapBodyAfterDirSync",
		"snapBeforeDescriptor", "snapBeforeDescriptorDirSync", "snapBeforeWALRecord", "snapAfterWALRecord",
		"walBeforeRelease", "purge", "promiseBeforeRename",
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			ms := newCluster(t, 3, with(engine, smallLogs))
			l := leader(t, ms)
			l.stop()
			c := &crasher{t: t, point: point, after: 1, dir: l.cfg.Dir}
			if point == "walBeforeSave" || point == "walAfterSave" {
				c.after = 12
			}
			if point == "promiseBeforeRename" {
				c.after = 2 // those of the start
			}
			l.cfg.Failpoint = c.failpoint
			l.start()
			n := 0
			write := func(m *member) {
				m.propose(fmt.Sprintf("%d %s", n, filler))
				n++
			}
			rest := remove(ms, l)
			dead := false
			crashed := func() bool {
				select {
				case err := <-l.errC:
					if !dead && !errors.Is(err, errCrash) {
						t.Fatalf("died of %v", err)
					}
					dead = true
				default:
				}
				return dead
			}
			leader(t, rest)
			for !crashed() {
				if n > 300 {
					t.Fatal("the failpoint was never reached")
				}
				write(rest[n%2])
				// Left behind, it would be sent snapshots and never take its own.
				eventually(t, "it to follow", func() bool { return crashed() || len(l.requests()) >= n })
			}
			l.ended()
			write(rest[0])
			l.cfg.Failpoint = nil
			l.cfg.Dir = c.left
			l.start()
			write(l)
			sameRequests(t, ms)
			for _, m := range ms {
				if len(m.requests()) < n {
					t.Errorf("member %d has %d of %d requests", m.cfg.ID, len(m.requests()), n)
				}
				for i := range n {
					if !m.has(fmt.Sprintf("%d %s", i, filler)) {
						t.Errorf("member %d lacks request %d", m.cfg.ID, i)
					}
				}
			}
		})
	}
}

// A crash while the leader's snapshot is being installed leaves either the old
// state or the new one.
func TestCrashWhileInstallingASnapshot(t *testing.T) { engines(t, crashWhileInstallingASnapshot) }

func crashWhileInstallingASnapshot(t *testing.T, engine logEngine) {
	for _, point := range []string{"snapBeforeDescriptor", "snapBeforeDescriptorDirSync", "snapBeforeWALRecord", "snapAfterWALRecord", "walBeforeSave", "walBeforeRelease"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			ms := newCluster(t, 3, with(engine, smallLogs))
			l := leader(t, ms)
			behind := remove(ms, l)[0]
			behind.stop()
			fill(l, "r", 40)
			eventually(t, "compaction", func() bool { return l.node.Status().FirstIndex > 20 })

			c := &crasher{t: t, point: point, dir: behind.cfg.Dir}
			behind.cfg.Failpoint = func(p string) error {
				if p == "walBeforeSave" {
					// Only the save behind the snapshot's record.
					names, err := filepath.Glob(filepath.Join(behind.cfg.Dir, "snap", "*.snap"))
					if err != nil || len(names) == 0 {
						return err
					}
				}
				return c.failpoint(p)
			}
			behind.start()
			if err := <-behind.errC; !errors.Is(err, errCrash) {
				t.Fatalf("died of %v", err)
			}
			behind.ended()
			behind.cfg.Failpoint = nil
			behind.cfg.Dir = c.left
			behind.start()
			eventually(t, "everything", func() bool { return len(behind.requests()) == 40 })
			behind.propose("and on")
			sameRequests(t, ms)
		})
	}
}

// A write error ends the node: it acknowledges nothing more, and the others go on.
func TestWriteErrorIsFatal(t *testing.T) {
	ms := newCluster(t, 3, nil)
	l := leader(t, ms)
	var mu sync.Mutex
	full := false
	l.stop()
	l.cfg.Failpoint = func(point string) error {
		mu.Lock()
		defer mu.Unlock()
		if full && point == "walBeforeSave" {
			return errors.New("no space left on device")
		}
		return nil
	}
	l.start()
	leader(t, ms)
	mu.Lock()
	full = true
	mu.Unlock()
	rest := remove(ms, l)
	rest[0].propose("a")
	if err := <-l.errC; err == nil {
		t.Fatal("the node went on")
	}
	rest[1].propose("b")
	sameRequests(t, rest)
}
