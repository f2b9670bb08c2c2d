package raftnode

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/journal"
)

// logEngine is what writes the log.
type logEngine string

const (
	etcdEngine    logEngine = "etcd"
	journalEngine logEngine = "journal"
)

func logEngines() []logEngine { return []logEngine{journalEngine, etcdEngine} }

// use has a member begin with that engine. With etcd's WAL the level never comes at which
// it would go over to a journal.
func (e logEngine) use(c *Config) {
	c.JournalLevel = map[logEngine]uint64{etcdEngine: firstLevel + 1, journalEngine: firstLevel}[e]
}

// engines runs a test with each of the engines of the log.
func engines(t *testing.T, test func(*testing.T, logEngine)) {
	for _, engine := range logEngines() {
		t.Run(string(engine), func(t *testing.T) { test(t, engine) })
	}
}

// with has the members of a cluster use an engine.
func with(engine logEngine, others ...func(*Config)) func(*Config) {
	return func(c *Config) {
		engine.use(c)
		for _, adjust := range others {
			adjust(c)
		}
	}
}

func onlySegment(t *testing.T, m *member) string {
	t.Helper()
	all, err := segmentsIn(filepath.Join(m.cfg.Dir, "wal"))
	if err != nil || len(all) == 0 {
		t.Fatalf("segments %v, %v", all, err)
	}
	return all[len(all)-1].path
}

// endOfLog is what a segment holds, and the offset behind its last record.
func endOfLog(t *testing.T, path string) ([]byte, int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b, len(usedOf(path, b))
}

// usedOf is what of a file is not left over from when it was made, or was another segment.
func usedOf(name string, b []byte) []byte {
	if filepath.Ext(name) != journalExt {
		return bytes.TrimRight(b, "\x00")
	}
	s := journal.Segment{}
	if _, err := fmt.Sscanf(filepath.Base(name), "%016x-%016x", &s.Seq, &s.First); err != nil {
		return b
	}
	sc := journal.Scanned(s, b)
	return b[:int(sc.End)+len(sc.Rest)]
}

// A crash in the middle of a write leaves some of its sectors unwritten, behind a log
// that is whole. The file keeps its length.
func TestTornTailIsRepaired(t *testing.T) { engines(t, tornTailIsRepaired) }

func tornTailIsRepaired(t *testing.T, engine logEngine) {
	m := newCluster(t, 1, with(engine))[0]
	for i := range 5 {
		m.propose(fmt.Sprint("r", i))
	}
	big := strings.Repeat("x", 3000)
	left := t.TempDir()
	dir := m.cfg.Dir
	m.propose(big)
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil { // as the kernel has it
		t.Fatal(err)
	}
	m.stop()
	m.cfg.Dir = left
	path := onlySegment(t, m)
	b, _ := endOfLog(t, path)
	at := bytes.Index(b, []byte(big[:400])) + 1000
	clear(b[at-at%sectorSize : at-at%sectorSize+sectorSize])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	eventually(t, "what was before the tear", func() bool { return m.has("r4") })
	m.propose("after")
	if m.has(big) {
		t.Error("the torn write came back")
	}
	kept, err := filepath.Glob(filepath.Join(left, "set-aside-*", "*.from-*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if rest, err := os.ReadFile(kept[0]); err != nil || !bytes.Contains(b, rest) || len(rest) < 2000 {
		t.Errorf("%d bytes were kept, %v", len(rest), err)
	}
	m.stop()
	m.start()
	eventually(t, "after", func() bool { return m.has("after") })
}

func TestFlippedBitInTheMiddleIsRefused(t *testing.T) { engines(t, flippedBitInTheMiddleIsRefused) }

func flippedBitInTheMiddleIsRefused(t *testing.T, engine logEngine) {
	ms := newCluster(t, 1, with(engine))
	m := ms[0]
	for i := range 5 {
		m.propose(fmt.Sprint("request number ", i))
	}
	m.stop()
	path := onlySegment(t, m)
	b, _ := endOfLog(t, path)
	i := bytes.Index(b, []byte("request number 2"))
	b[i] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	err := m.tryStart()
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("started, or: %v", err)
	}
	t.Log(err)
	after, _ := endOfLog(t, path)
	if !bytes.Equal(b, after) {
		t.Error("the evidence was changed")
	}
}

func entry(index, term uint64) *raftpb.Entry {
	return &raftpb.Entry{Index: new(index), Term: new(term), Data: fmt.Appendf(nil, "%d.%d", term, index)}
}

func hardState(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: new(term), Vote: new(vote), Commit: new(commit)}
}

// newDisk makes the log of a member that is alone. Whoever asks for it closes it.
func newDisk(t *testing.T, engine logEngine) (Config, *disk) {
	t.Helper()
	cfg := testConfig(t, 1, []Peer{{1, "http://127.0.0.1:1"}})
	engine.use(&cfg)
	cfg.EnsureDefaults()
	l, err := lockDir(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // nothing was written through it
	d, err := createDisk(&cfg, identity{Version: 1, Cluster: 7, Member: 1}, restored{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg, d
}

// Entries that raft had truncated must not come back when the overwriting entry is
// at or below the snapshot that the log is opened at.
// https://github.com/etcd-io/etcd/issues/22442
func TestTruncatedEntriesStayTruncated(t *testing.T) { engines(t, truncatedEntriesStayTruncated) }

func truncatedEntriesStayTruncated(t *testing.T, engine logEngine) {
	cfg, d := newDisk(t, engine)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// Term 1 wrote 1..6; the leader of term 2 overwrote from 3 on, up to 4.
	must(d.save(hardState(1, 1, 2), []*raftpb.Entry{entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1), entry(5, 1), entry(6, 1)}, false))
	must(d.save(hardState(2, 2, 4), []*raftpb.Entry{entry(3, 2), entry(4, 2)}, false))
	snap := &raftpb.Snapshot{
		Data: newMembership().describe(4, crc32.Checksum([]byte("body"), walTable())),
		Metadata: &raftpb.SnapshotMetadata{Index: new(uint64(4)), Term: new(uint64(2)),
			ConfState: &raftpb.ConfState{Voters: []uint64{1}}},
	}
	must(os.WriteFile(bodyPath(&cfg, 4), []byte("body"), 0o600))
	must(d.saveSnapshot(snap, false))
	must(d.close())

	if engine == etcdEngine { // what it says
		w, err := wal.Open(zap.NewNop(), walDir(&cfg), &walpb.Snapshot{Index: new(uint64(4)), Term: new(uint64(2))})
		must(err)
		_, _, ents, err := w.ReadAll()
		must(err)
		must(w.Close())
		if len(ents) == 0 {
			t.Log("this version of etcd's WAL needs no guard")
		}
	}

	d, _, from, err := openDisk(&cfg, newReserve(&cfg), firstLevel)
	must(err)
	defer d.close()
	if len(from.entries) != 0 {
		t.Fatalf("%d entries came back from the dead: %v", len(from.entries), from.entries)
	}
}

// A crash in the middle of the very first write must not keep a node from
// founding its cluster. Found by TestRandomSchedules.
func TestBootstrapTornByACrash(t *testing.T) { engines(t, bootstrapTornByACrash) }

func bootstrapTornByACrash(t *testing.T, engine logEngine) {
	cfg := testConfig(t, 1, nil)
	engine.use(&cfg)
	cfg.Peers = []Peer{{1, freeURLs(t, 1)[0]}}
	cfg.EnsureDefaults()
	l, err := lockDir(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{Version: firstLevel, Member: 1, State: stagePrepared, Cluster: 7, Peers: cfg.sortedPeers()}
	if err := o.write(&cfg); err != nil {
		t.Fatal(err)
	}
	d, err := createDisk(&cfg, identity{Version: 1, Cluster: 7, Member: 1}, restored{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.save(&raftpb.HardState{}, []*raftpb.Entry{entry(1, 1)}, true); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	m := &member{t: t, cfg: cfg}
	m.start()
	m.propose("a")
	m.stop()
	m.start()
	eventually(t, "a", func() bool { return m.has("a") })
}

func TestDurabilityModesSurviveARestart(t *testing.T) { engines(t, durabilityModesSurviveARestart) }

func durabilityModesSurviveARestart(t *testing.T, engine logEngine) {
	for _, mode := range []Durability{Always, EverySec, No} {
		m := newCluster(t, 1, func(c *Config) { c.Durability = mode; with(engine, smallLogs)(c) })[0]
		fill(m, "r", 30)
		m.stop()
		m.start()
		eventually(t, "everything", func() bool { return len(m.requests()) == 30 })
		m.stop()
	}
}
