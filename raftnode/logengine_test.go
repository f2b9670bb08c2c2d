package raftnode

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// TestGoingOverToAJournal: a log of etcd's WAL goes on as a journal, with all that is in
// it, and there is no way back. A release that does not know journals misses the end
// of the log.
func TestGoingOverToAJournal(t *testing.T) {
	for _, engine := range []LogEngine{"", JournalLog} {
		m := newCluster(t, 1, with(EtcdLog, smallLogs))[0]
		fill(m, "before", 3)
		m.stop()
		m.cfg.LogEngine = engine
		m.start()
		fill(m, "after", 30)
		if err := m.node.Snapshot(context.Background()); err != nil {
			t.Fatal(err)
		}
		fill(m, "more", 3)
		m.stop()
		all, err := segmentsIn(filepath.Join(m.cfg.Dir, "wal"))
		if err != nil || len(all) == 0 || all[len(all)-1].journal != (engine == JournalLog) {
			t.Fatalf("segments %v, %v", all, err)
		}
		m.cfg.LogEngine = "" // it goes on with what there is
		m.start()
		eventually(t, "everything", func() bool { return len(m.requests()) == 36 })
		m.stop()
		if engine == "" {
			continue
		}
		m.cfg.LogEngine = EtcdLog
		if err := m.refused(); !errors.Is(err, ErrWrongDir) || !strings.Contains(err.Error(), "--log-engine") {
			t.Fatal(err)
		}
		for _, s := range all { // what such a release sees
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
}

// TestMembersWithDifferentEngines: what writes the log is every member's own affair, also
// when a snapshot of one is installed on another.
func TestMembersWithDifferentEngines(t *testing.T) {
	n := 0
	ms := newCluster(t, 3, func(c *Config) {
		smallLogs(c)
		c.LogEngine = LogEngines()[n%2]
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

// TestEngineOfANewDirectory: what a new directory begins with can be chosen, and what it
// has begun with stays.
func TestEngineOfANewDirectory(t *testing.T) {
	for _, engine := range LogEngines() {
		m := newCluster(t, 1, func(c *Config) { c.LogEngine, c.NewLogEngine = "", engine })[0]
		for _, next := range LogEngines() {
			fill(m, "with", 1)
			m.stop()
			all, err := segmentsIn(filepath.Join(m.cfg.Dir, "wal"))
			if err != nil || len(all) == 0 || all[len(all)-1].journal != (engine == JournalLog) {
				t.Fatalf("%s: segments %v, %v", engine, all, err)
			}
			m.cfg.NewLogEngine = next
			m.start()
		}
		m.stop()
	}
}
