package raftnode

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// smallLogs makes snapshots happen all the time.
func smallLogs(c *Config) {
	c.SnapshotBytes = 4 << 10
	c.CatchUpBytes = 1 << 10
}

var filler = strings.Repeat("x", 600)

func fill(m *member, name string, n int) {
	for i := range n {
		m.propose(fmt.Sprintf("%s %d %s", name, i, filler))
	}
}

// onlyDir takes away everything from a member's configuration but its id and its
// directory.
func (m *member) onlyDir() {
	m.cfg.Peers, m.cfg.Join, m.cfg.PeerURL, m.cfg.ListenURL = nil, false, "", ""
}

func TestRestartAfterCompactionWithNothingButTheDirectory(t *testing.T) {
	ms := newCluster(t, 3, smallLogs)
	l := leader(t, ms)
	fill(l, "r", 40)
	for _, m := range ms {
		eventually(t, "compaction", func() bool { return m.node.Status().FirstIndex > 10 })
	}
	for _, m := range ms {
		m.stop()
		m.onlyDir()
	}
	for _, m := range ms {
		m.start()
	}
	leader(t, ms)
	ms[0].propose("again")
	sameRequests(t, ms)
	for _, m := range ms {
		if !m.loaded() {
			t.Errorf("member %d has not loaded its snapshot", m.cfg.ID)
		}
		if n := len(m.requests()); n != 41 {
			t.Errorf("member %d has %d requests", m.cfg.ID, n)
		}
	}
}

func TestRestartBeforeAnySnapshotWithNothingButTheDirectory(t *testing.T) {
	ms := newCluster(t, 3, nil)
	leader(t, ms).propose("a")
	for _, m := range ms {
		m.stop()
		m.onlyDir()
	}
	for _, m := range ms {
		m.start()
	}
	leader(t, ms).propose("b")
	sameRequests(t, ms)
}

func TestPurgeKeepsTwoSnapshots(t *testing.T) {
	m := newCluster(t, 1, smallLogs)[0]
	fill(m, "r", 100)
	eventually(t, "purge", func() bool {
		bodies, _ := filepath.Glob(filepath.Join(m.cfg.Dir, "snap", "*.snap.db"))
		descriptors, _ := filepath.Glob(filepath.Join(m.cfg.Dir, "snap", "*.snap"))
		return len(bodies) == 2 && len(descriptors) == 2 && m.node.Status().SnapshotIndex > 20
	})
}

func TestManualSnapshot(t *testing.T) {
	m := newCluster(t, 1, nil)[0]
	m.propose("a")
	for range 2 { // the second has nothing to do
		if err := m.node.Snapshot(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	st := m.node.Status()
	if st.SnapshotIndex == 0 || st.SnapshotIndex != st.Applied || st.LogBytes != 0 {
		t.Fatalf("status %+v", st)
	}
	m.propose("b")
	m.stop()
	m.start()
	eventually(t, "both", func() bool { return m.has("a") && m.has("b") })
}

func TestLaggingMemberGetsASnapshot(t *testing.T) {
	ms := newCluster(t, 3, smallLogs)
	l := leader(t, ms)
	lagging := remove(ms, l)[0]
	lagging.stop()
	fill(l, "r", 40)
	eventually(t, "compaction", func() bool { return l.node.Status().FirstIndex > 20 })
	lagging.start()
	sameRequests(t, ms)
	if !lagging.loaded() {
		t.Error("no snapshot was loaded")
	}
	lagging.stop() // and again from its own disk
	lagging.start()
	eventually(t, "everything", func() bool { return len(lagging.requests()) == 40 })
}

func join(t *testing.T, id uint64, ms []*member, adjust func(*Config)) *member {
	t.Helper()
	url := freeURLs(t, 1)[0]
	peers := append([]Peer(nil), ms[0].cfg.Peers...)
	peers = append(peers, Peer{id, url})
	cfg := testConfig(t, id, peers)
	cfg.Join = true
	if adjust != nil {
		adjust(&cfg)
	}
	return &member{t: t, cfg: cfg}
}

func TestJoinAfterCompaction(t *testing.T) {
	ms := newCluster(t, 3, smallLogs)
	l := leader(t, ms)
	fill(l, "r", 40)
	eventually(t, "compaction", func() bool { return l.node.Status().FirstIndex > 20 })
	// No more writes: the newest snapshot does not know the new member.
	m4 := join(t, 4, ms, smallLogs)
	m4.start()
	eventually(t, "everything", func() bool { return len(m4.requests()) == 40 })
	eventually(t, "promotion", func() bool {
		for _, m := range m4.node.Members() {
			if m.ID == 4 {
				return !m.Learner
			}
		}
		return false
	})
	m4.propose("from the new one")
	ms = append(ms, m4)
	sameRequests(t, ms)
	for _, m := range ms {
		m.stop()
		m.onlyDir()
	}
	for _, m := range ms {
		m.start()
	}
	leader(t, ms)
	m4.propose("after a restart")
	sameRequests(t, ms)
}

func TestOneNodeGrowsToThree(t *testing.T) {
	ms := newCluster(t, 1, nil)
	ms[0].propose("alone")
	for id := uint64(2); id <= 3; id++ {
		m := join(t, id, ms, nil)
		m.start()
		ms = append(ms, m)
		eventually(t, "promotion", func() bool {
			n := 0
			for _, m := range ms[0].node.Members() {
				if !m.Learner {
					n++
				}
			}
			return n == int(id)
		})
	}
	leader(t, ms)
	ms[2].propose("together")
	sameRequests(t, ms)
	ms[0].stop()
	rest := ms[1:]
	leader(t, rest).propose("without the first")
	sameRequests(t, rest)
}

// What is certainly unfinished is removed; what the log does not know is set aside.
func TestUnfinishedSnapshotsAreSetAside(t *testing.T) {
	m := newCluster(t, 1, nil)[0]
	for range 5 {
		m.propose("a")
	}
	m.propose("b")
	m.stop()
	stale := filepath.Join(m.cfg.Dir, "snap", "tmp123")
	orphan := bodyPath(&m.cfg, 2)
	for _, name := range []string{stale, orphan} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.start()
	for _, name := range []string{stale, orphan} {
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	kept, err := filepath.Glob(filepath.Join(m.cfg.Dir, "set-aside-*", filepath.Base(orphan)))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept %v, %v", kept, err)
	}
	eventually(t, "b", func() bool { return m.has("b") })
}

func TestIncompleteNewestSnapshotIsPassedOver(t *testing.T) {
	m := newCluster(t, 1, smallLogs)[0]
	fill(m, "r", 60)
	if err := m.node.Snapshot(context.Background()); err != nil {
		t.Fatal(err)
	}
	newest := m.node.Status().SnapshotIndex
	m.stop()
	if err := os.Truncate(bodyPath(&m.cfg, newest), 10); err != nil {
		t.Fatal(err)
	}
	m.start()
	eventually(t, "everything", func() bool { return len(m.requests()) == 60 })
	if !m.loaded() {
		t.Error("it has not loaded its snapshot")
	}
}

var _ commit.Snapshotter = (*disk)(nil)

// How far the log in memory is dropped: entries 1 to 100 of 10 bytes each, of which 20
// are to stay for members that are a little behind, or 50 if the leader has one that
// lacks more.
func TestCompaction(t *testing.T) {
	live := func(match uint64) follower { return follower{id: 2, match: match} }
	for _, tt := range []struct {
		name      string
		change    func(*snapshots)
		applied   uint64
		followers []follower
		want      uint64 // 0, or at most a mark less
	}{
		{"all but the tail", nil, 100, nil, 81},
		{"not what is not applied", nil, 60, nil, 60},
		{"a member is behind", nil, 100, []follower{live(100), live(70)}, 70},
		{"a member is far behind: it gets a snapshot", nil, 100, []follower{live(3)}, 51},
		{"no snapshot yet", func(s *snapshots) { s.last = 0 }, 100, nil, 0},
		{"one is being taken", func(s *snapshots) { s.begin(40) }, 100, nil, 40},
		{"one is on its way", func(s *snapshots) { s.sends(2, 30) }, 100, nil, 30},
		{"one is owed", func(s *snapshots) { s.owe(2, 35, 100) }, 100, nil, 35},
		{"one was owed long ago", func(s *snapshots) { s.owe(2, 35, 70) }, 100, nil, 81},
		{"one is owed, and asked for again", func(s *snapshots) { s.owe(2, 35, 70); s.owe(2, 90, 99) }, 100, nil, 35},
		{"not worth it", nil, 4, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSnapshots(&Config{SnapshotBytes: 500, CatchUpBytes: 200, MaxLogBytes: 1000})
			s.last = 20
			for i := range uint64(100) {
				e := &raftpb.Entry{Index: new(i + 1), Data: []byte("xxxxxx")}
				if size := s.appended(e); size != 10 {
					t.Fatalf("an entry of %d bytes", size)
				}
			}
			if tt.change != nil {
				tt.change(&s)
			}
			got := uint64(0)
			if s.compactible() {
				got = s.compaction(leading(), tt.applied, tt.followers)
			}
			if got > tt.want || got+2 < tt.want {
				t.Fatalf("up to %d, want %d or a little less", got, tt.want)
			}
			if got == 0 {
				return
			}
			s.compacted(got)
			if s.marks[0].index != got {
				t.Errorf("the first mark is at %d", s.marks[0].index)
			}
			if more := s.compaction(leading(), tt.applied, tt.followers); more != 0 {
				t.Errorf("and up to %d once more", more)
			}
		})
	}
}

func TestSnapshotIsDue(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    snapshots
		want bool
	}{
		{"little log", snapshots{logBytes: 499}, false},
		{"enough log", snapshots{logBytes: 500}, true},
		{"less than the last body", snapshots{logBytes: 500, lastBody: 501}, false},
		{"more than may be replayed", snapshots{logBytes: 1000, lastBody: 9999}, true},
		{"wanted", snapshots{wanted: true}, true},
		{"one is being taken", snapshots{wanted: true, inProgress: true}, false},
		{"one was given up", snapshots{logBytes: 500, retryAt: 101}, false},
		{"and it is time", snapshots{logBytes: 500, retryAt: 100}, true},
		{"one was given up, and somebody waits", snapshots{wanted: true, retryAt: 101, waiting: []chan<- error{nil}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.limits = snapshotLimits{snapshot: 500, maxLog: 1000}
			if got := tt.s.due(100); got != tt.want {
				t.Errorf("%v", got)
			}
		})
	}
}
