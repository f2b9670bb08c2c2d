package raftnode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/machine"
)

func backupOf(t *testing.T, m *member) []byte {
	t.Helper()
	r, err := m.node.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

// A backup taken of one cluster becomes another one, which goes on: with members of
// the old ids, with restarts, and although the old one still lives.
func TestRestore(t *testing.T) {
	ms := newCluster(t, 3, smallLogs)
	for i := range 60 {
		ms[i%3].propose(fmt.Sprintf("%d %s", i, filler))
	}
	sameRequests(t, ms)
	follower := ms[0]
	if follower.node.IsLeader() {
		follower = ms[1]
	}
	want := follower.requests()
	backup := backupOf(t, follower)
	ms[0].propose("not in the backup")

	urls := freeURLs(t, 3)
	first := &member{t: t, cfg: testConfig(t, 1, []Peer{{1, urls[0]}})}
	report, err := Restore(first.cfg, bytes.NewReader(backup), machine.Renew)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", report)
	if old := follower.node.Status(); report.From.Cluster != old.ClusterID || report.Cluster == old.ClusterID || report.From.Member != follower.cfg.ID || report.Index < old.Applied+1<<32 {
		t.Fatalf("%+v of %+v", report, old)
	}
	if _, err := Restore(first.cfg, bytes.NewReader(backup), machine.Renew); !errors.Is(err, ErrWrongDir) {
		t.Fatalf("into a directory with data: %v", err)
	}
	first.start()
	restored := []*member{first}
	for _, id := range []uint64{2, 3} { // ids that the old cluster had: they are new here
		m := &member{t: t, cfg: testConfig(t, id, []Peer{{1, urls[0]}, {id, urls[id-1]}})}
		m.cfg.Join = true
		m.start()
		restored = append(restored, m)
	}
	for _, m := range restored {
		eventually(t, "the data", func() bool { return m.has(want[len(want)-1]) })
		m.propose(fmt.Sprintf("new at %d", m.cfg.ID))
	}
	sameRequests(t, restored)
	got := first.requests()
	if len(got) != len(want)+3 || strings.Join(got[:len(want)], "|") != strings.Join(want, "|") {
		t.Fatalf("restored %d requests of %d", len(got)-3, len(want))
	}
	first.stop()
	first.start()
	first.propose("after a restart")
	ms[0].propose("the old cluster goes on")
	if first.has("the old cluster goes on") || first.has("not in the backup") {
		t.Fatal("two clusters hear each other")
	}
	// And once more, from the same backup: another cluster again.
	twin := testConfig(t, 1, []Peer{{1, freeURLs(t, 1)[0]}})
	if again, err := Restore(twin, bytes.NewReader(backup), machine.Renew); err != nil || again.Cluster == report.Cluster {
		t.Fatalf("%+v, %v", again, err)
	}
}

// What is not a whole backup leaves a directory that is no member's, and that can be
// restored into again.
func TestRestoreDamaged(t *testing.T) {
	ms := newCluster(t, 1, nil)
	ms[0].propose("a " + strings.Repeat(filler, 100))
	good := backupOf(t, ms[0])
	head := bytes.IndexByte(good[len(backupMagic):], '\n') + len(backupMagic)
	m := &member{t: t, cfg: testConfig(t, 1, []Peer{{1, freeURLs(t, 1)[0]}})}
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 0x04
		return b
	}
	for what, x := range map[string]struct {
		backup []byte
		says   string
	}{
		"nothing":           {nil, "ends in its head"},
		"a cut head":        {good[:head/2], "ends in its head"},
		"another file":      {[]byte(strings.Repeat("x", 1<<16)), "no backup"},
		"an RDB file":       {[]byte("REDIS0011\n\n" + filler), "should begin with"},
		"a flip in magic":   {flip(3), "should begin with"},
		"a flip in head":    {flip(len(backupMagic) + 20), "head"},
		"a flip in body":    {flip(len(good) / 2), "checksum"},
		"a flip at the end": {flip(len(good) - 1), "checksum"},
		"a cut body":        {good[:len(good)/2], "incomplete"},
		"one byte short":    {good[:len(good)-1], "incomplete"},
		"one byte more":     {append(bytes.Clone(good), 0), "behind its end"},
	} {
		_, err := Restore(m.cfg, bytes.NewReader(x.backup), machine.Renew)
		if !errors.Is(err, ErrBackup) || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", what, err)
		}
		if begun, _ := Begun(m.cfg.Dir); !begun {
			continue
		}
		if err := m.refused(); !errors.Is(err, ErrUnfinished) {
			t.Errorf("%s: a start says: %v", what, err)
		}
	}
	if _, err := Restore(m.cfg, bytes.NewReader(good), machine.Renew); err != nil {
		t.Fatal(err)
	}
	m.start()
	eventually(t, "the data", func() bool { return len(m.requests()) == 1 })
}

// A crash at any step leaves a directory that does not start, or the whole member.
func TestRestoreIsInterrupted(t *testing.T) {
	ms := newCluster(t, 1, nil)
	ms[0].propose("a")
	backup := backupOf(t, ms[0])
	url := freeURLs(t, 1)[0]
	for _, path := range []string{"body", "descriptor", "log", "in place", "origin"} {
		m := &member{t: t, cfg: testConfig(t, 1, []Peer{{1, url}})}
		if _, err := Restore(m.cfg, bytes.NewReader(backup), machine.Renew); err != nil {
			t.Fatal(err)
		}
		// Undo what had not been done by then.
		cfg := m.cfg
		cfg.EnsureDefaults()
		o, err := readOrigin(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		o.State, o.HasLog, o.Committed, o.Cluster = stageRestoring, false, 0, 0
		if err := o.write(&m.cfg); err != nil {
			t.Fatal(err)
		}
		bodies, _ := filepath.Glob(filepath.Join(m.cfg.Dir, "snap", "*.snap.db"))
		descriptors, _ := filepath.Glob(filepath.Join(m.cfg.Dir, "snap", "*.snap"))
		if len(bodies) != 1 || len(descriptors) != 1 {
			t.Fatal(bodies, descriptors)
		}
		undo := []func() error{
			func() error { return os.Remove(bodies[0]) },
			func() error { return os.Remove(descriptors[0]) },
			func() error { return os.RemoveAll(newLogDir(&m.cfg)) },
			func() error { return os.Rename(walDir(&m.cfg), newLogDir(&m.cfg)) },
		}
		for i, step := range []string{"origin", "in place", "log", "descriptor", "body"} {
			if step == path {
				break
			}
			if err := undo[len(undo)-1-i](); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.refused(); !errors.Is(err, ErrUnfinished) {
			t.Fatalf("interrupted before %s: %v", path, err)
		}
		if _, err := Restore(m.cfg, bytes.NewReader(backup), machine.Renew); err != nil {
			t.Fatalf("again, interrupted before %s: %v", path, err)
		}
		m.start()
		eventually(t, "the data", func() bool { return m.has("a") })
		m.stop()
	}
}
