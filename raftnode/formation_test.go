package raftnode

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// What a founding member does about what the others say.
func TestFormationVerdicts(t *testing.T) {
	peers := []Peer{{1, "http://a:1"}, {2, "http://b:1"}, {3, "http://c:1"}}
	list := digestPeers(peers)
	empty := func(id uint64) stance { return stance{Member: id, State: isEmpty, List: list} }
	prepared := func(id, c uint64) stance { return stance{Member: id, State: isPrepared, Cluster: c, List: list} }
	member := func(id, c uint64, a acquaintance) stance {
		return stance{Member: id, State: isMember, Cluster: c, Asker: a}
	}
	const chosen = 0x77
	refused := errors.New("connection refused")
	for _, test := range []struct {
		name     string
		self     uint64
		prepared uint64
		force    bool
		answers  []stance // by position; the zero one is a miss
		want     verdict
		text     string // in what it waits for, or in the error
	}{
		{name: "the lowest picks", self: 1, answers: []stance{empty(2), empty(3)}, want: verdict{prepare: chosen}},
		{name: "the others wait for it", self: 2, answers: []stance{empty(1), empty(3)}, text: "member 1 to choose"},
		{name: "and take what it picks", self: 2, answers: []stance{prepared(1, 5), empty(3)}, want: verdict{prepare: 5}},
		{name: "a lowest one without its disk does so, too", self: 1, answers: []stance{prepared(2, 5), empty(3)}, want: verdict{prepare: 5}},
		{name: "one does not answer", self: 1, answers: []stance{empty(2), {}}, text: "member 3 at http://c:1 (connection refused)"},
		{name: "nor does another", self: 1, answers: []stance{{}, {}}, text: "member 2 at http://b:1"},
		{name: "all have prepared", self: 1, prepared: 5, answers: []stance{prepared(2, 5), prepared(3, 5)}, want: verdict{start: 5}},
		{name: "one has not yet", self: 1, prepared: 5, answers: []stance{prepared(2, 5), empty(3)}, text: "member 3 at http://c:1, which has not agreed"},
		{name: "one has started", self: 1, prepared: 5, answers: []stance{member(2, 5, isKnown), {}}, want: verdict{start: 5}},
		{name: "a lost disk", self: 1, answers: []stance{member(2, 5, isKnown), {}}, want: verdict{err: ErrDataLost}, text: "RAFT REMOVE 1"},
		{name: "a removed member", self: 1, answers: []stance{member(2, 5, isTombstoned), {}}, want: verdict{err: ErrRemoved}, text: "new --id"},
		{name: "one that should join", self: 1, answers: []stance{member(2, 5, isExpected), {}}, want: verdict{err: ErrClusterExists}, text: "--join"},
		{name: "a stranger", self: 1, answers: []stance{{}, member(3, 5, isStranger)}, want: verdict{err: ErrClusterExists}, text: "--join"},
		{name: "prepared for another cluster", self: 1, prepared: 6, answers: []stance{member(2, 5, isKnown), {}}, want: verdict{err: ErrWrongDir}},
		{name: "two ids", self: 1, prepared: 6, answers: []stance{prepared(2, 5), prepared(3, 6)}, text: "different cluster ids"},
		{name: "two ids of others", self: 3, answers: []stance{prepared(1, 5), prepared(2, 6)}, text: "different cluster ids"},
		{name: "another list", self: 1, answers: []stance{{Member: 2, State: isEmpty, List: "x"}, empty(3)}, text: "another --cluster list"},
		{name: "another member there", self: 1, answers: []stance{empty(3), empty(3)}, text: "where member 2 should be, is member 3"},
		{name: "forced", self: 1, force: true, answers: []stance{empty(2), {}}, want: verdict{prepare: chosen}},
		{name: "forced without the lowest", self: 2, force: true, answers: []stance{{}, empty(3)}, want: verdict{prepare: chosen}},
		{name: "forced without a majority", self: 1, force: true, answers: []stance{{}, {}}, text: "no majority"},
		{name: "forced against a cluster", self: 1, force: true, answers: []stance{member(2, 5, isKnown), {}}, want: verdict{err: ErrDataLost}},
		{name: "forced and prepared", self: 1, prepared: 5, force: true, answers: []stance{prepared(2, 5), {}}, want: verdict{start: 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFormation(test.self, peers, test.prepared, test.force, func() uint64 { return chosen })
			if v := f.decide(); v.waits == "" {
				t.Fatalf("before anybody was asked: %+v", v)
			}
			for i, p := range f.others() {
				if test.answers[i] != (stance{}) {
					f.heard(p.ID, f.epoch, test.answers[i])
					continue
				}
				for range patienceWithAbsent {
					f.missed(p.ID, f.epoch, refused)
				}
			}
			v := f.decide()
			if v.prepare != test.want.prepare || v.start != test.want.start || !errors.Is(v.err, test.want.err) {
				t.Fatalf("verdict %+v instead of %+v", v, test.want)
			}
			if text := v.waits + fmt.Sprint(v.err); !strings.Contains(text, test.text) {
				t.Fatalf("nothing about %q in %q", test.text, text)
			}
			if v.prepare != 0 {
				f.agreed(v.prepare)
				if v := f.decide(); v.waits == "" {
					t.Fatalf("answers of before count: %+v", v)
				}
			}
		})
	}
}

// An answer to a question of before the agreement says nothing about now.
func TestFormationForgetsEarlierAnswers(t *testing.T) {
	peers := []Peer{{1, "http://a:1"}, {2, "http://b:1"}}
	f := newFormation(2, peers, 0, false, rand.Uint64)
	was := f.epoch
	f.agreed(5)
	f.heard(1, was, stance{Member: 1, State: isPrepared, Cluster: 5, List: f.list})
	if v := f.decide(); v.start != 0 {
		t.Fatalf("%+v", v)
	}
	f.heard(1, f.epoch, stance{Member: 1, State: isPrepared, Cluster: 5, List: f.list})
	if v := f.decide(); v.start != 5 {
		t.Fatalf("%+v", v)
	}
}

// unstarted makes members that do not run yet.
func unstarted(t *testing.T, size int) []*member {
	var peers []Peer
	for i, u := range freeURLs(t, size) {
		peers = append(peers, Peer{uint64(i + 1), u})
	}
	var ms []*member
	for _, p := range peers {
		ms = append(ms, &member{t: t, cfg: testConfig(t, p.ID, peers)})
	}
	return ms
}

func TestFormationWaitsForEverybody(t *testing.T) {
	ms := unstarted(t, 3)
	ms[0].start()
	ms[2].start()
	early := ms[0].submit("early")
	for _, m := range []*member{ms[0], ms[2]} {
		eventually(t, "the reason", func() bool { return strings.Contains(m.node.Waiting(), "member 2 at "+ms[1].cfg.Peers[1].URL) })
		if s := m.node.Status(); s.Role != "forming" || m.node.in() {
			t.Fatalf("%+v", s)
		}
	}
	ms[2].stop() // waiting is no reason not to stop
	ms[2].start()
	ms[1].start()
	for _, m := range ms {
		eventually(t, "the cluster", m.node.in)
		if w := m.node.Waiting(); w != "" {
			t.Fatalf("it still waits: %s", w)
		}
	}
	leader(t, ms).propose("a")
	if err := <-early; err != nil {
		t.Fatal(err)
	}
	eventually(t, "the early request", func() bool { return ms[1].has("early") })
	sameRequests(t, ms)
	id := ms[0].node.Status().ClusterID
	for _, m := range ms {
		if got := m.node.Status().ClusterID; got != id || id == 0 {
			t.Fatalf("cluster ids %x and %x", id, got)
		}
	}
}

// Closing proposeC ends a node that waits, as it does any other.
func TestFormationEndsWithProposeC(t *testing.T) {
	ms := unstarted(t, 2)
	ms[0].start()
	ms[0].submit("a") // taken, so that nobody hangs
	ms[0].store.Close()
	close(ms[0].proposeC)
	ms[0].ended()
	if err := <-ms[0].errC; err != nil {
		t.Fatal(err)
	}
}

// The hole that this is for: two of three are up, and one of them has lost its disk.
func TestLostDiskDoesNotVote(t *testing.T) {
	ms := newCluster(t, 3, nil)
	leader(t, ms)
	ms[0].stop()
	ms[1].propose("precious")
	ms[1].stop()
	ms[2].stop()
	ms[1].cfg.Dir = t.TempDir()

	// Nobody else is up: it waits.
	ms[1].start()
	eventually(t, "the reason", func() bool { return strings.Contains(ms[1].node.Waiting(), "refused") })
	// One that has its data is: it goes.
	ms[0].start()
	if err := <-ms[1].errC; !errors.Is(err, ErrDataLost) {
		t.Fatal(err)
	}
	ms[1].ended()
	if id, _ := ms[0].node.Leader(); id != 0 {
		t.Fatalf("%d leads", id)
	}
	// The one with the write is back, and so is the write.
	ms[2].start()
	rest := remove(ms, ms[1])
	leader(t, rest)
	eventually(t, "precious", func() bool { return ms[0].has("precious") })

	// The way back that the refusal names.
	ms[0].remove(2)
	again := &member{t: t, cfg: testConfig(t, 4, []Peer{ms[0].cfg.Peers[0], {4, freeURLs(t, 1)[0]}})}
	again.cfg.Join = true
	again.start()
	eventually(t, "precious", func() bool { return again.has("precious") })
}

// Whoever has prepared goes on where it was, with or without being told of the others
// again, and not with others.
func TestPreparedDirectory(t *testing.T) {
	ms := unstarted(t, 2)
	for _, m := range ms {
		cfg := m.cfg
		cfg.EnsureDefaults()
		o := &origin{Version: firstLevel, Member: m.cfg.ID, State: stagePrepared, Cluster: 0xabc, Peers: cfg.sortedPeers()}
		if err := o.write(&cfg); err != nil {
			t.Fatal(err)
		}
	}
	other := *ms[0]
	other.cfg.Peers = []Peer{ms[0].cfg.Peers[0], {3, "http://127.0.0.1:1"}}
	if err := other.refused(); !errors.Is(err, ErrWrongDir) {
		t.Fatalf("with another list: %v", err)
	}
	other.cfg.Peers, other.cfg.Join = ms[0].cfg.Peers, true
	if err := other.refused(); !errors.Is(err, ErrWrongDir) {
		t.Fatalf("joining: %v", err)
	}
	ms[0].cfg.Peers = nil
	ms[0].start()
	ms[1].start()
	leader(t, ms).propose("a")
	if id := ms[1].node.Status().ClusterID; id != 0xabc {
		t.Fatalf("cluster %x", id)
	}
}

// An id can be claimed once, whether its member votes yet, has announced itself, or
// was added beforehand.
func TestJoiningTwice(t *testing.T) {
	ms := newCluster(t, 1, nil)
	leader(t, ms)
	url := freeURLs(t, 1)[0]
	if err := ms[0].change(commit.AddLearner, commit.Member{ID: 2, PeerURL: url}); err != nil {
		t.Fatal(err)
	}
	m := &member{t: t, cfg: testConfig(t, 2, []Peer{ms[0].cfg.Peers[0], {2, url}})}
	if err := m.refused(); !errors.Is(err, ErrClusterExists) || !strings.Contains(err.Error(), "--join") {
		t.Fatalf("without --join: %v", err)
	}
	m.cfg.Dir = t.TempDir()
	m.cfg.Join = true
	m.cfg.ClientAddr = "" // it never announces itself
	m.start()
	m.propose("a")
	m.stop()
	m.start() // with its data it is itself
	m.propose("b")
	// An attempt that ended before there was a log is not the end of it.
	m3 := &member{t: t, cfg: testConfig(t, 3, []Peer{ms[0].cfg.Peers[0], {3, freeURLs(t, 1)[0]}})}
	m3.cfg.Join = true
	m3.cfg.Failpoint = func(point string) error {
		if point == "incarnationBeforeRename" {
			return errCrash
		}
		return nil
	}
	if err := m3.refused(); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	if o, err := readOrigin(&Config{Dir: m3.cfg.Dir, Level: firstLevel}); err != nil || o.State != stageJoining || o.Instance == 0 {
		t.Fatalf("%+v, %v", o, err)
	}
	m3.cfg.Failpoint = nil
	m3.cfg.Peers, m3.cfg.Join = nil, false // it knows whom to ask, and what for
	m3.start()
	eventually(t, "b", func() bool { return m3.has("b") })
	m.stop()
	m.cfg.Dir = t.TempDir()
	if err := m.refused(); !errors.Is(err, ErrDataLost) {
		t.Fatalf("without its data: %v", err)
	}
	elsewhere := &member{t: t, cfg: testConfig(t, 2, []Peer{ms[0].cfg.Peers[0], {2, freeURLs(t, 1)[0]}})}
	elsewhere.cfg.Join = true
	if err := elsewhere.refused(); !errors.Is(err, ErrIDUsed) || strings.Contains(err.Error(), "REMOVE") {
		t.Fatalf("another node with the same id: %v", err)
	}
}

// A directory that was used and has no log is refused, whatever is left of it.
func TestTracesOfAnEarlierLife(t *testing.T) {
	for _, gone := range []string{"wal", "wal and origin", "all but snap", "all but incarnation", "all but node.conf", "entries", "wal files"} {
		t.Run(gone, func(t *testing.T) {
			m := newCluster(t, 1, smallLogs)[0]
			for i := range 40 {
				m.propose(fmt.Sprintf("%d %s", i, filler))
			}
			m.stop()
			dir := m.cfg.Dir
			if err := os.WriteFile(filepath.Join(dir, "node.conf"), []byte("id 1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			remove := func(names ...string) {
				for _, name := range names {
					if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				}
			}
			switch gone {
			case "wal":
				remove("wal")
			case "wal and origin":
				remove("wal", "origin")
			case "all but snap":
				remove("wal", "origin", "incarnation", "node.conf")
			case "all but incarnation":
				remove("wal", "origin", "snap", "node.conf")
			case "all but node.conf":
				remove("wal", "origin", "snap", "incarnation")
			case "entries": // the log is there, and empty
				remove("wal", "snap")
				cfg := m.cfg
				cfg.EnsureDefaults()
				o, err := readOrigin(&Config{Dir: dir, Level: firstLevel})
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(filepath.Join(dir, "snap"), 0o700); err != nil {
					t.Fatal(err)
				}
				d, err := createDisk(&cfg, identity{Version: 1, Cluster: o.Cluster, Member: 1}, restored{})
				if err != nil {
					t.Fatal(err)
				}
				if err := d.close(); err != nil {
					t.Fatal(err)
				}
			case "wal files":
				remove("wal")
				if err := os.Mkdir(filepath.Join(dir, "wal"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			err := m.refused()
			if !errors.Is(err, ErrDataLost) || !strings.Contains(err.Error(), "backup") || !strings.Contains(err.Error(), dir) {
				t.Fatalf("%v", err)
			}
			t.Log(err)
		})
	}
}

// Half a directory from a backup is refused: the log in it is older than the rest.
func TestOldCopyOfTheLog(t *testing.T) {
	m := newCluster(t, 1, nil)[0]
	m.propose("a")
	m.stop()
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(filepath.Join(m.cfg.Dir, "wal"))); err != nil {
		t.Fatal(err)
	}
	m.start()
	m.propose("b")
	m.stop()
	m.start() // finds b, and promises it
	m.stop()
	if err := os.RemoveAll(filepath.Join(m.cfg.Dir, "wal")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(m.cfg.Dir, "wal"), os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	if err := m.refused(); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "older copy") {
		t.Fatal(err)
	}
}

// The directories of versions that hashed the list of members into a cluster id have
// no origin.
func TestDirectoryWithoutAnOrigin(t *testing.T) {
	ms := newCluster(t, 3, nil)
	ms[0].propose("a")
	for _, m := range ms {
		m.stop()
		if err := os.Remove(originPath(m.cfg.Dir)); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range ms {
		m.start()
	}
	leader(t, ms)
	ms[2].propose("b")
	for _, m := range ms {
		if o, err := readOrigin(&Config{Dir: m.cfg.Dir, Level: firstLevel}); err != nil || o.State != stageMember || o.Cluster == 0 || !o.HasLog {
			t.Fatalf("%+v, %v", o, err)
		}
	}
}

// Two clusters whose members have swapped addresses do not hear each other.
func TestMessagesOfAnotherClusterDoNotArrive(t *testing.T) {
	a, b := newCluster(t, 3, nil), newCluster(t, 3, nil)
	leader(t, a)
	leader(t, b)
	a[0].propose("a")
	b[0].propose("b")
	for _, m := range append(remove(a, nil), b...) {
		m.stop()
	}
	// Member 3 of each is where the other's was.
	a[2].cfg.ListenURL, b[2].cfg.ListenURL = b[2].cfg.Peers[2].URL, a[2].cfg.Peers[2].URL
	for _, m := range append(remove(a, nil), b...) {
		m.start()
	}
	leader(t, a)
	leader(t, b)
	for i := range 20 {
		a[0].propose(fmt.Sprint("a", i))
		b[1].propose(fmt.Sprint("b", i))
	}
	for _, m := range append(remove(a, nil), b...) {
		for _, r := range m.requests() {
			if own := a[0].node.cluster == m.node.cluster; own != strings.HasPrefix(r, "a") {
				t.Errorf("member %d of %x applies %q", m.cfg.ID, m.node.cluster, r)
			}
		}
	}
}

func TestForcedFormation(t *testing.T) {
	ms := unstarted(t, 3)
	for _, m := range ms[:2] {
		m.cfg.ForceFormation = true
		m.cfg.TickInterval = 10 * time.Millisecond
		m.start()
	}
	leader(t, ms[:2]).propose("a")
	if err := ms[2].refused(); !errors.Is(err, ErrDataLost) {
		t.Fatalf("who comes later: %v", err)
	}
}

// A port that is taken must not leave anything behind that a start with another one
// would have to live with.
func TestPortTaken(t *testing.T) {
	other := newCluster(t, 1, nil)[0]
	taken := other.cfg.Peers[0].URL
	m := &member{t: t, cfg: testConfig(t, 1, []Peer{{1, taken}})}
	if err := m.refused(); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatal(err)
	}
	m.cfg.Peers = []Peer{{1, freeURLs(t, 1)[0]}}
	m.start()
	m.propose("a")
	if got := m.node.Members()[0].PeerURL; got != m.cfg.Peers[0].URL {
		t.Fatalf("it is at %s", got)
	}
}
