package raftnode

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/storage/wal"
)

// specimen is the data directory of a member that has stopped, and what is in it.
type specimen struct {
	dir      string
	older    string // the same directory, some time before
	cfg      Config
	requests []string
	alone    bool
	clean    bool // it was stopped, not killed
	covered  int  // requests that the newest snapshot has
}

// files returns the names of all files in a directory and their contents.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".tmp") || e.Name() == "lock" {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// grow makes a directory with two snapshots, more than one segment, and entries behind
// the newer snapshot.
func grow(t *testing.T, engine logEngine, size int, clean bool) *specimen {
	t.Helper()
	ms := newCluster(t, size, func(c *Config) {
		engine.use(c)
		c.SnapshotBytes = 1 << 30 // only when told
		c.CatchUpBytes = 16 << 10
	})
	l := leader(t, ms)
	m := ms[len(ms)-1]
	s := &specimen{cfg: m.cfg, alone: size == 1, clean: clean}
	big := strings.Repeat("x", 100<<10)
	add := func(n int, filler string) {
		for range n {
			r := fmt.Sprintf("%d %s", len(s.requests), filler)
			l.propose(r)
			s.requests = append(s.requests, r)
		}
		eventually(t, "all requests", func() bool { return len(m.requests()) == len(s.requests) })
	}
	snapshot := func() {
		eventually(t, "a snapshot", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			return m.node.Snapshot(ctx) == nil
		})
	}
	add(2, "first")
	snapshot()
	add(2, "second")
	for _, m := range ms {
		m.stop()
	}
	s.older = t.TempDir()
	if err := os.CopyFS(s.older, os.DirFS(m.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		m.start()
	}
	l = leader(t, ms)
	add(6, big)
	snapshot()
	add(6, big)
	snapshot()
	s.covered = len(s.requests)
	add(3, "third")
	s.dir = t.TempDir()
	if clean {
		m.stop()
	}
	if err := os.CopyFS(s.dir, os.DirFS(m.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		m.stop()
	}
	return s
}

type fault struct {
	name  string
	apply func(path string) error
}

func faults(name string, b, older []byte, rng *rand.Rand) []fault {
	write := func(b []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, b, 0o600) }
	}
	all := []fault{{"missing", os.Remove}, {"empty", write(nil)}}
	if older != nil && !bytes.Equal(older, b) {
		all = append(all, fault{"older copy", write(older)})
	}
	used := len(usedOf(name, b))
	for _, n := range []int{1, used / 4, used / 2, used - 1, used, (len(b) + used) / 2} {
		if n > 0 && n < len(b) {
			all = append(all, fault{fmt.Sprintf("cut to %d of %d", n, len(b)), write(b[:n])})
		}
	}
	places := []int{0, 9, used / 2, used - 1, (len(b) + used) / 2}
	for range 4 {
		places = append(places, rng.IntN(max(used, 1)))
	}
	for _, at := range places {
		if at >= 0 && at < len(b) {
			flipped := bytes.Clone(b)
			bit := rng.IntN(8)
			flipped[at] ^= 1 << bit
			all = append(all, fault{fmt.Sprintf("bit %d at %d of %d flipped", bit, at, len(b)), write(flipped)})
		}
	}
	return all
}

// TestDamage does everything to every file of a data directory that a disk or an
// operator can do to it. The node has its data or says which file is at fault and what
// to do, and nothing is gone afterwards.
func TestDamage(t *testing.T) { engines(t, damage) }

func damage(t *testing.T, engine logEngine) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, kind := range []struct {
		name  string
		size  int
		clean bool
	}{{"lone node", 1, true}, {"lone node killed", 1, false}, {"member of three", 3, true}} {
		t.Run(kind.name, func(t *testing.T) {
			s := grow(t, engine, kind.size, kind.clean)
			rng := rand.New(rand.NewPCG(seed, uint64(kind.size)))
			all, older := files(t, s.dir), files(t, s.older)
			segments, _ := segmentsIn(filepath.Join(s.dir, "wal"))
			bodies, _ := filepath.Glob(filepath.Join(s.dir, "snap", "*.snap.db"))
			if len(segments) < 2 || len(bodies) != 2 {
				t.Fatalf("a poor specimen: %v", all)
			}
			var names []string
			for name := range all {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				was := older[name]
				if was == nil { // one of its kind
					for other, b := range older {
						if filepath.Dir(other) == filepath.Dir(name) && filepath.Ext(other) == filepath.Ext(name) {
							was = b
						}
					}
				}
				for _, f := range faults(name, all[name], was, rng) {
					t.Run(name+" "+f.name, func(t *testing.T) { s.damage(t, name, f) })
				}
			}
		})
	}
}

func (s *specimen) damage(t *testing.T, name string, f fault) {
	m := &member{t: t, cfg: s.cfg}
	m.cfg.Dir = t.TempDir()
	if err := os.CopyFS(m.cfg.Dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(m.cfg.Dir, name)
	if err := f.apply(path); err != nil {
		t.Fatal(err)
	}
	before := files(t, m.cfg.Dir)
	err := m.tryStart()
	if err != nil {
		t.Log(err)
		s.checkRefusal(t, m, name, err)
		if after := files(t, m.cfg.Dir); !sameFiles(before, after) {
			t.Error("the directory was changed")
		}
		if s.alone {
			s.force(t, m, before)
		}
		return
	}
	t.Log("started")
	eventually(t, "everything", func() bool { return len(m.requests()) >= len(s.requests) })
	if !slices.Equal(m.requests(), s.requests) {
		t.Error("other requests than before")
	}
	m.stop()
	checkKept(t, before, files(t, m.cfg.Dir))
}

// force takes the last way out there is. The snapshots are whole: one file was damaged,
// and a damaged snapshot is no reason for a refusal.
func (s *specimen) force(t *testing.T, m *member, before map[string][]byte) {
	r, err := NewCluster(m.cfg, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m.start()
	m.propose("goes on")
	n := len(m.requests()) - 1
	if n < s.covered || !slices.Equal(m.requests()[:n], s.requests[:n]) {
		t.Errorf("%d of %d requests, or others, are left; %+v", n, len(s.requests), r)
	}
	m.stop()
	checkKept(t, before, files(t, m.cfg.Dir))
}

func (s *specimen) checkRefusal(t *testing.T, m *member, name string, err error) {
	if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrDataLost) {
		t.Errorf("refused for another reason")
	}
	text := err.Error()
	if !strings.Contains(text, filepath.Join(m.cfg.Dir, name)) && !strings.Contains(text, filepath.Join(m.cfg.Dir, filepath.Dir(name))+":") {
		t.Errorf("the file is not named")
	}
	if strings.Contains(text, "RAFT REMOVE") == s.alone || strings.Contains(text, "--force-new-cluster") != s.alone {
		t.Errorf("the way out does not fit")
	}
}

func sameFiles(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for name, x := range a {
		if y, ok := b[name]; !ok || !bytes.Equal(x, y) {
			return false
		}
	}
	return true
}

// checkKept wants every file to be there still, under whatever name, or to have grown
// at its end; but for those that say how far the node has come.
func checkKept(t *testing.T, before, after map[string][]byte) {
	t.Helper()
	sums := map[[32]byte]bool{}
	for _, b := range after {
		sums[sha256.Sum256(b)] = true
	}
	for name, b := range before {
		if sums[sha256.Sum256(b)] {
			continue
		}
		now, there := after[name]
		segment := filepath.Dir(name) == "wal"
		switch used := usedOf(name, b); {
		case there && segment && bytes.HasPrefix(now, used):
		case there && segment && keptInPieces(name, used, after):
		case there && (name == "incarnation" || name == "promise" || name == "origin" || name == reserveName):
		default:
			t.Errorf("%s is gone", name)
		}
	}
}

// keptInPieces reports whether a segment is there, and what it ended with beside it.
func keptInPieces(name string, used []byte, after map[string][]byte) bool {
	for other, rest := range after {
		if strings.HasPrefix(filepath.Base(other), filepath.Base(name)+".from-") && bytes.HasSuffix(used, rest) {
			return bytes.HasPrefix(after[name], used[:len(used)-len(rest)])
		}
	}
	return false
}

// TestEveryBit flips a bit in every byte of a log: it is noticed, or it makes no
// difference.
func TestEveryBit(t *testing.T) { engines(t, everyBit) }

func everyBit(t *testing.T, engine logEngine) {
	defer func(size int64) { wal.SegmentSizeBytes = size }(wal.SegmentSizeBytes)
	wal.SegmentSizeBytes = 8 << 10 // it is read again and again
	m := newCluster(t, 1, with(engine))[0]
	for i := range 4 {
		m.propose(fmt.Sprint("request ", i))
	}
	if err := m.node.Snapshot(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.propose("last")
	m.stop()
	m.cfg.EnsureDefaults()
	path := onlySegment(t, m)
	b, end := endOfLog(t, path)
	// The promise would notice most of it; what is there to notice without it?
	for _, promised := range []bool{true, false} {
		if !promised {
			if err := os.Remove(promisePath(&m.cfg)); err != nil {
				t.Fatal(err)
			}
		}
		want, err := examine(&m.cfg)
		if err != nil {
			t.Fatal(err)
		}
		noticed := 0
		for at := range end + 16 {
			for bit := range 8 {
				if (testing.Short() || engine == journalEngine) && bit != at%8 {
					continue // of a journal, its own test flips all
				}
				flipped := bytes.Clone(b)
				flipped[at] ^= 1 << bit
				if engine == etcdEngine && !promised && at%sectorSize >= sectorSize-8 && len(bytes.Trim(flipped[at/8*8:at/8*8+8], "\x00")) == 0 {
					// The length of a record was all that its sector had of it, and is zero now:
					// as if that sector had not been written (DESIGN.md, "Damage").
					continue
				}
				if err := os.WriteFile(path, flipped, 0o600); err != nil {
					t.Fatal(err)
				}
				v, err := examine(&m.cfg)
				if err != nil {
					noticed++
					continue
				}
				if v.history.last != want.history.last || v.history.hard.String() != want.history.hard.String() || v.tail.crc != want.tail.crc {
					t.Fatalf("bit %d at %d of %d (promise: %t): the log ends at %d", bit, at, end, promised, v.history.last)
				}
			}
		}
		t.Logf("noticed %d of the bits of %d bytes", noticed, end+16)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A member whose data directory was replaced by an older copy cannot tell, but the
// leader can. raft's own words for it are "tocommit(111) is out of range".
func TestOlderCopyOfTheDirectory(t *testing.T) {
	ms := newCluster(t, 3, nil)
	for !olderCopyOfTheDirectory(t, ms) {
		t.Log("another one leads, which knows nothing of what was acknowledged: once more")
	}
}

// olderCopyOfTheDirectory answers false if the leadership changed in between.
func olderCopyOfTheDirectory(t *testing.T, ms []*member) bool {
	l := leader(t, ms)
	term := l.node.Status().Term
	name := func(n int) string { return fmt.Sprintf("%d in term %d", n, term) }
	m := remove(ms, l)[0]
	l.propose(name(0))
	eventually(t, "the one before", func() bool { return m.has(name(0)) })
	m.stop()
	older := t.TempDir()
	if err := os.CopyFS(older, os.DirFS(m.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	m.start()
	for i := range 20 {
		l.propose(name(i + 1))
	}
	eventually(t, "the last one", func() bool { return m.has(name(20)) })
	m.stop()
	m.cfg.Dir = older
	m.start()
	deposed := time.NewTicker(10 * time.Millisecond)
	defer deposed.Stop()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case err := <-m.errC:
			if !errors.Is(err, ErrShortLog) || !strings.Contains(err.Error(), older) || !strings.Contains(err.Error(), "RAFT REMOVE") {
				t.Fatal(err)
			}
			t.Log(err)
			return true
		case <-deposed.C:
			if l.node.Status().Term != term {
				return false
			}
		case <-deadline:
			t.Fatal("the leader does not tell")
		}
	}
}
