package raftnode

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
