package raftnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// levels is what a member's state machine says of levels: see Config.TellLevel.
type levels struct{ told, inForce atomic.Uint64 }

func (l *levels) tell() (told, inForce uint64) { return l.told.Load(), l.inForce.Load() }

// journaled reports whether the log of a member goes on as a journal.
func journaled(t *testing.T, m *member) bool {
	t.Helper()
	return filepath.Ext(onlySegment(t, m)) == journalExt
}

// TestGoingOverToAJournal: a log of etcd's WAL stays one while a member may go back to a
// program that knows no journals, and goes over at the first start, with room, after the
// level at which nobody can. There is no way back: such a program would miss its end.
func TestGoingOverToAJournal(t *testing.T) {
	var l levels
	var space fakeSpace
	space.free.Store(1 << 30)
	l.told.Store(1)
	l.inForce.Store(1)
	ms := newCluster(t, 1, func(c *Config) {
		smallLogs(c)
		c.Level, c.TellLevel, c.JournalLevel, c.DiskFree = 2, l.tell, 2, space.of
	})
	m, n := ms[0], 0
	for _, step := range []struct {
		name          string
		told, inForce uint64 // once it runs
		journalLevel  uint64
		free          uint64
		journal       bool
	}{
		{"held at the old level", 1, 1, 2, 1 << 30, false},
		{"the level may rise", 2, 1, 2, 1 << 30, false},
		{"it rises", 2, 2, 2, 1 << 30, false},
		{"no room", 2, 2, 2, 1000, false},
		{"no quota", 2, 2, 2, 1 << 30, false},
		{"it goes over", 2, 2, 2, 1 << 30, true},
		{"and stays", 2, 2, 9, 1 << 30, true},
	} {
		m.stop()
		m.cfg.JournalLevel = step.journalLevel
		m.cfg.Failpoint = func(point string) error {
			if point == "walBeforeGoingOver" && step.name == "no quota" {
				return syscall.EDQUOT
			}
			return nil
		}
		space.free.Store(step.free)
		m.start()
		l.told.Store(step.told)
		l.inForce.Store(step.inForce)
		fill(m, step.name, 10)
		n += 10
		if space.free.Store(1 << 30); step.journal {
			if err := m.node.Snapshot(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, step.name+": the level of the directory", func() bool {
			o, err := readOrigin(&m.cfg)
			return err == nil && o.Version == step.inForce
		})
		if got := journaled(t, m); got != step.journal {
			t.Fatalf("%s: it is a journal: %t", step.name, got)
		}
		if got := len(m.requests()); got != n {
			t.Fatalf("%s: %d requests of %d", step.name, got, n)
		}
	}
	m.stop()
	all, err := listSegments(&m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all { // what a program sees that knows no journals
		if s.journal {
			if err := os.Remove(s.path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := m.refused(); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrDataLost) {
		t.Fatal(err)
	}
}

// TestCrashWhileGoingOver: whatever step the crash comes at, the log is what it was, or it
// goes on as a journal, and nothing is missing.
func TestCrashWhileGoingOver(t *testing.T) {
	whole := newCluster(t, 1, with(etcdEngine))[0]
	for i := range 5 {
		whole.propose(fmt.Sprint("r", i))
	}
	killed, torn := t.TempDir(), t.TempDir()
	whole.propose(strings.Repeat("x", 3000))
	if err := os.CopyFS(killed, os.DirFS(whole.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	whole.stop()
	if err := os.CopyFS(torn, os.DirFS(killed)); err != nil {
		t.Fatal(err)
	}
	path := onlySegment(t, &member{cfg: Config{Dir: torn}})
	b, _ := endOfLog(t, path)
	at := bytes.Index(b, bytes.Repeat([]byte("x"), 400)) + 1000
	clear(b[at-at%sectorSize : at-at%sectorSize+sectorSize])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"stopped": whole.cfg.Dir, "killed": killed, "torn": torn} {
		t.Run(name, func(t *testing.T) {
			// resume starts from a directory, without crashes, and looks what is there.
			resume := func(what, dir string) {
				m := &member{t: t, cfg: whole.cfg}
				m.cfg.Dir, m.cfg.JournalLevel = dir, 0
				for round := range 2 {
					m.start()
					eventually(t, what+": everything", func() bool { return m.has("r4") && (name == "torn" || m.has(strings.Repeat("x", 3000))) })
					m.propose(fmt.Sprint("after", round))
					m.stop()
				}
				if !journaled(t, m) {
					t.Errorf("%s: it has not gone over", what)
				}
			}
			before, over := t.TempDir(), ""
			for step := 0; ; step++ {
				m := &member{t: t, cfg: whole.cfg}
				m.cfg.Dir, m.cfg.JournalLevel = t.TempDir(), 0
				if err := os.CopyFS(m.cfg.Dir, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				c := &crasher{t: t, after: step, dir: m.cfg.Dir}
				var point string
				m.cfg.Failpoint = func(p string) error {
					err := c.failpoint("")
					if c.mu.Lock(); point == "" && err != nil {
						point = p
					}
					c.mu.Unlock()
					return err
				}
				err := m.tryStart()
				if err == nil {
					if err = m.tryPropose("more", 20*time.Second); err == nil {
						m.stop()
						if step < 6 || over == "" {
							t.Errorf("only %d steps", step)
						}
						break
					}
					err = <-m.errC
					m.ended()
				}
				if !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				left := &member{cfg: Config{Dir: c.left}}
				if journaled(t, left) && over == "" {
					over = t.TempDir()
					if err := os.CopyFS(over, os.DirFS(c.left)); err != nil {
						t.Fatal(err)
					}
				} else if over == "" {
					before = t.TempDir()
					if err := os.CopyFS(before, os.DirFS(c.left)); err != nil {
						t.Fatal(err)
					}
				}
				resume(fmt.Sprintf("step %d, %s", step, point), c.left)
			}
			// And in the middle of beginning the journal: its file is made, and gets a head
			// and then a name.
			segment, err := os.ReadFile(onlySegment(t, &member{cfg: Config{Dir: over}}))
			if err != nil {
				t.Fatal(err)
			}
			for name, file := range map[string][]byte{
				"empty": nil, "half made": make([]byte, len(segment)/2), "made": make([]byte, len(segment)), "with a head": segment,
			} {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(before)); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "wal", "1.tmp"), file, 0o600); err != nil {
					t.Fatal(err)
				}
				resume("a spare that is "+name, dir)
			}
		})
	}
}

// TestMembersWithDifferentEngines: what writes the log is every member's own affair, also
// when a snapshot of one is installed on another.
func TestMembersWithDifferentEngines(t *testing.T) {
	n := 0
	ms := newCluster(t, 3, func(c *Config) {
		smallLogs(c)
		logEngines()[n%2].use(c)
		n++
	})
	for i, behind := range ms {
		behind.stop()
		l := leader(t, remove(ms, behind))
		before := len(l.requests())
		fill(l, "r", 40)
		eventually(t, "compaction", func() bool { return l.node.Status().FirstIndex > uint64(before)+20 })
		behind.start()
		eventually(t, "everything", func() bool { return len(behind.requests()) == 40*(i+1) })
	}
	sameRequests(t, ms)
}

// TestSegmentBetweenSnapshotAndState: a journal may begin a segment, with the hard state
// of before, between the record of a leader's snapshot and the state that confirms it.
func TestSegmentBetweenSnapshotAndState(t *testing.T) {
	h := newHistory()
	for _, err := range []error{
		h.snapshot(position{}), h.entry(entry(1, 1)), h.state(hardState(1, 1, 1)),
		h.snapshot(position{50, 2}), h.state(hardState(1, 1, 1)), h.state(hardState(2, 0, 50)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := h.leads(position{50, 2}); err != nil || h.last != 50 {
		t.Fatalf("%v, the log ends at %d", err, h.last)
	}
}

// TestTail: the entries behind an index are those that raft has, whatever was written
// and overwritten before.
func TestTail(t *testing.T) {
	snapshot := func(index, term uint64) any { return position{index, term} }
	for _, tt := range []struct {
		name string
		from uint64
		log  []any // entries, hard states and snapshots
		want []*raftpb.Entry
		bad  bool
	}{
		{"nothing", 0, []any{hardState(1, 1, 0)}, nil, false},
		{"in a row", 0, []any{entry(1, 1), entry(2, 1)}, []*raftpb.Entry{entry(1, 1), entry(2, 1)}, false},
		{"behind a snapshot", 1, []any{entry(1, 1), entry(2, 1)}, []*raftpb.Entry{entry(2, 1)}, false},
		{"overwritten", 0, []any{entry(1, 1), entry(2, 1), entry(3, 1), entry(2, 2)}, []*raftpb.Entry{entry(1, 1), entry(2, 2)}, false},
		{"overwritten below the snapshot", 3, []any{entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1), entry(2, 2), entry(3, 2)}, nil, false},
		{"cut short by a snapshot", 3, []any{entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1), hardState(2, 0, 0), snapshot(3, 2), hardState(2, 0, 3)}, nil, false},
		{"a snapshot ahead", 9, []any{entry(1, 1), hardState(2, 0, 0), snapshot(9, 2), hardState(2, 0, 9), entry(10, 2)}, []*raftpb.Entry{entry(10, 2)}, false},
		{"a snapshot ahead, from one before", 0, []any{entry(1, 1), hardState(2, 0, 0), snapshot(9, 2), hardState(2, 0, 9), entry(10, 2)}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, kept := newHistory(), tail{from: tt.from}
			for _, r := range tt.log {
				var err error
				switch r := r.(type) {
				case *raftpb.Entry:
					err = h.entry(r)
					kept.add(r)
				case *raftpb.HardState:
					err = h.state(r)
				case position:
					err = h.snapshot(r)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			got, ok := kept.upTo(tt.from, h)
			if ok == tt.bad || len(got) != len(tt.want) {
				t.Fatalf("%d entries, %t", len(got), ok)
			}
			for i, e := range got {
				if e.String() != tt.want[i].String() {
					t.Errorf("entry %d is %v", i, e)
				}
			}
		})
	}
}

// TestLogOfANewDirectory: a member that may have to go back to a program that knows no
// journals begins with a log that it can read.
func TestLogOfANewDirectory(t *testing.T) {
	for told, journal := range map[uint64]bool{1: false, 2: true} {
		m := newCluster(t, 1, func(c *Config) {
			c.Level, c.JournalLevel = 2, 2
			c.TellLevel = func() (uint64, uint64) { return told, 1 }
		})[0]
		m.propose("a")
		m.stop()
		if got := journaled(t, m); got != journal {
			t.Errorf("with level %d it begins with a journal: %t", told, got)
		}
	}
}
