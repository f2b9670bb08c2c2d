package raftnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Two of three machines have burnt.
func TestNewClusterOfASurvivor(t *testing.T) { engines(t, newClusterOfASurvivor) }

func newClusterOfASurvivor(t *testing.T, engine logEngine) {
	ms := newCluster(t, 3, with(engine, smallLogs))
	leader(t, ms)
	for i := range 60 { // snapshots, too
		ms[i%3].propose(fmt.Sprintf("%d %s", i, filler))
	}
	sameRequests(t, ms)
	old := ms[0].node.Status()
	for _, m := range ms {
		m.stop()
	}
	survivor := ms[2]
	r, err := NewCluster(survivor.cfg, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	if r.OldCluster != old.ClusterID || r.Cluster == old.ClusterID || len(r.Gone) != 2 || r.Last < old.Applied || r.Last-r.Committed != r.Doubtful {
		t.Fatalf("%+v of %+v", r, old)
	}
	if all, err := segmentsIn(filepath.Join(r.Aside, "wal")); err != nil || len(all) == 0 {
		t.Fatalf("the old log is not in %s: %v", r.Aside, err)
	}
	survivor.start()
	survivor.propose("alone")
	for i := range 60 {
		if !survivor.has(fmt.Sprintf("%d %s", i, filler)) {
			t.Errorf("request %d is missing", i)
		}
	}
	if s := survivor.node.Status(); s.ClusterID != r.Cluster || len(s.Members) != 1 {
		t.Fatalf("%+v", s)
	}
	// The dead, back again, are another cluster's.
	ms[0].start()
	for _, id := range []uint64{1, 2} {
		m := &member{t: t, cfg: testConfig(t, id, []Peer{{3, survivor.cfg.Peers[2].URL}, {id, freeURLs(t, 1)[0]}})}
		m.cfg.Join = true
		if err := m.refused(); !errors.Is(err, ErrRemoved) {
			t.Errorf("the burnt id %d: %v", id, err)
		}
	}
	m := &member{t: t, cfg: testConfig(t, 4, []Peer{{3, survivor.cfg.Peers[2].URL}, {4, freeURLs(t, 1)[0]}})}
	m.cfg.Join = true
	m.start()
	eventually(t, "the data", func() bool { return m.has("alone") && m.has("0 "+filler) })
	survivor.stop()
	survivor.start()
	survivor.propose("after a restart")
	if n := len(survivor.node.Members()); n != 2 {
		t.Fatalf("%d members", n)
	}
}

// A crash at any point leaves a directory that starts as it was, or says what to do.
func TestNewClusterIsInterrupted(t *testing.T) {
	ms := newCluster(t, 3, nil)
	ms[0].propose("a")
	for _, m := range ms {
		m.stop()
	}
	m := ms[0]
	for fuse := 1; ; fuse++ {
		passed := 0
		cfg := m.cfg
		cfg.Failpoint = func(point string) error {
			if point != "originBeforeRename" {
				return nil
			}
			if passed++; passed == fuse {
				return errCrash
			}
			return nil
		}
		_, err := NewCluster(cfg, time.Now().Add(time.Duration(fuse)*time.Second))
		if err == nil {
			if fuse < 3 {
				t.Fatalf("only %d steps", fuse)
			}
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(m.cfg.Dir, "wal")); err != nil { // it has left already
			if err := m.refused(); !errors.Is(err, ErrDataLost) || !strings.Contains(err.Error(), "--force-new-cluster") {
				t.Fatal(err)
			}
			if _, err := NewCluster(m.cfg, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.start()
	m.propose("b")
	if !m.has("a") {
		t.Fatal("a is missing")
	}
}

func TestNewClusterOfNothing(t *testing.T) {
	cfg := testConfig(t, 1, nil)
	if _, err := NewCluster(cfg, time.Now()); err == nil {
		t.Fatal("of an empty directory")
	}
	ms := unstarted(t, 2)
	ms[0].start()
	ms[0].stop()
	if _, err := NewCluster(ms[0].cfg, time.Now()); err == nil {
		t.Fatal("of a directory that was never in a cluster")
	}
}
