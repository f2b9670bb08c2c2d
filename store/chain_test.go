package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// logMaker invents a log as a faulty network would make it: requests of two
// members that come twice, late, out of order, from an earlier run, below the
// floor.
type logMaker struct {
	rnd   *rand.Rand
	table *command.Table
	seq   [3]uint64
	run   [3]uint64
	now   int64
	old   [][]byte
}

func newLogMaker(t testing.TB, seed uint64) *logMaker {
	return &logMaker{rnd: rand.New(rand.NewPCG(seed, 0)), table: testTable(t), run: [3]uint64{0, 1, 1}, now: 1_000_000}
}

func (m *logMaker) command() [][]byte {
	key := fmt.Sprintf("k%d", m.rnd.IntN(12))
	switch m.rnd.IntN(9) {
	case 0, 1:
		return args(fmt.Sprintf("set %s %d", key, m.rnd.IntN(100)))
	case 2, 3:
		return args(fmt.Sprintf("set %s %d PX %d", key, m.rnd.IntN(100), 1+m.rnd.IntN(3000)))
	case 4:
		return args("append " + key + " x")
	case 5:
		return args("del " + key)
	case 6:
		return args("chance " + key)
	case 7:
		if m.rnd.IntN(10) == 0 {
			return args("flushall")
		}
		return args("incr " + key)
	default:
		return args("incr " + key)
	}
}

func (m *logMaker) request() []byte {
	origin := uint64(1 + m.rnd.IntN(2))
	if m.rnd.IntN(60) == 0 {
		m.run[origin]++
		m.seq[origin] = 0
	}
	m.seq[origin]++
	seq := m.seq[origin]
	floor := seq - min(seq-1, m.rnd.Uint64N(6))
	return request(requestHead{origin, m.run[origin], seq, floor}, func(b *Batch) {
		for range m.rnd.IntN(4) {
			db := m.rnd.IntN(3)
			switch m.rnd.IntN(8) {
			case 0:
				var queued []Queued
				for range 1 + m.rnd.IntN(3) {
					argv := m.command()
					queued = append(queued, Queued{DB: db, Spec: m.table.Lookup(argv[0]), Argv: argv})
				}
				b.Exec([]Watched{{DB: db, Key: []byte(fmt.Sprintf("k%d", m.rnd.IntN(12))), Mark: keyspace.Mark(m.rnd.Uint64N(40))}}, queued)
			case 1:
				b.expire(db, []string{fmt.Sprintf("k%d", m.rnd.IntN(12)), fmt.Sprintf("k%d", m.rnd.IntN(12))})
			case 2:
				b.WriteBlocking(db, nil, args(fmt.Sprintf("wait k%d", m.rnd.IntN(12))), m.rnd.IntN(2) == 0)
			default:
				argv := m.command()
				b.Write(db, m.table.Lookup(argv[0]), argv)
			}
		}
	})
}

func (m *logMaker) entry() []byte {
	if m.rnd.IntN(10) == 0 {
		return nil // raft's own
	}
	m.now += m.rnd.Int64N(900) - 100 // the next leader's clock may be behind
	var requests [][]byte
	for range m.rnd.IntN(4) {
		r := m.request()
		m.old = append(m.old, r)
		switch m.rnd.IntN(6) {
		case 0: // lost, so far
		case 1:
			requests = append(requests, r, r)
		default:
			requests = append(requests, r)
		}
		if m.rnd.IntN(3) == 0 {
			requests = append(requests, m.old[m.rnd.IntN(len(m.old))])
		}
	}
	m.rnd.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	return sealEntry(nil, m.now, m.rnd.Uint64(), requests)
}

func (m *logMaker) log(n int) []commit.Entry {
	entries := make([]commit.Entry, n)
	for i := range entries {
		entries[i] = commit.Entry{Index: uint64(i) + 1, Term: 1 + uint64(i)/50, Data: m.entry()}
	}
	return entries
}

// restore makes a new store of the snapshot of another.
func restore(t testing.TB, s *Store, member uint64) *Store {
	fresh := offline(t, Config{Member: member}, 1000)
	restoreInto(t, fresh, s)
	return fresh
}

func restoreInto(t testing.TB, fresh, s *Store) {
	t.Helper()
	var body bytes.Buffer
	c := s.capture()
	if err := writeSnapshot(&body, c); err != nil {
		t.Fatal(err)
	}
	from := &fakeNode{}
	from.snapshot.Store(&savedSnapshot{c.index, c.term, body.Bytes()})
	if err := fresh.load(from); err != nil {
		t.Fatalf("load at %d: %v", c.index, err)
	}
}

// The heart of the matter: the state is a function of the log. Two stores are
// compared after every entry, one of them in bigger batches and with everything
// sent again; and a snapshot taken at every index, restored and carried on,
// arrives at the same states.
func TestSameLogSameState(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	entries := newLogMaker(t, seed).log(150)
	digests := make([]string, len(entries)+1)

	one := offline(t, Config{Member: 7}, 1000)
	digests[0] = one.capture().digest()
	var snapshots []*Store // restored at every index, then carried on
	for i := range entries {
		if err := one.apply(&commit.Batch{Entries: entries[i : i+1]}); err != nil {
			t.Fatal(err)
		}
		digests[i+1] = one.capture().digest()
		fresh := restore(t, one, 8)
		if got := fresh.capture().digest(); got != digests[i+1] {
			t.Fatalf("a snapshot at %d restores to another state", i+1)
		}
		snapshots = append(snapshots, fresh)
	}
	if one.stats.duplicates.Load() == 0 || one.stats.commands.Load() < 50 {
		t.Errorf("a poor log: %d doubles, %d commands", one.stats.duplicates.Load(), one.stats.commands.Load())
	}
	for at, s := range snapshots {
		rest := entries[at+1:]
		if at%10 != 0 { // all of them to the end, some with a look at every index
			if err := s.apply(&commit.Batch{Entries: entries}); err != nil {
				t.Fatal(err)
			}
			if s.capture().digest() != digests[len(entries)] {
				t.Fatalf("restored at %d and carried on, the end differs", at+1)
			}
			continue
		}
		for i := range rest {
			if err := s.apply(&commit.Batch{Entries: rest[i : i+1]}); err != nil {
				t.Fatal(err)
			}
			if s.capture().digest() != digests[rest[i].Index] {
				t.Fatalf("restored at %d and carried on, %d differs", at+1, rest[i].Index)
			}
		}
	}

	// Batches of any size, overlapping what was sent before.
	rnd := rand.New(rand.NewPCG(seed, 5))
	two := offline(t, Config{Member: 9}, 1000)
	for two.AppliedIndex() < uint64(len(entries)) {
		from := max(0, int(two.AppliedIndex())-rnd.IntN(5))
		to := min(len(entries), int(two.AppliedIndex())+1+rnd.IntN(9))
		if err := two.apply(&commit.Batch{Entries: entries[from:to]}); err != nil {
			t.Fatal(err)
		}
		if two.capture().digest() != digests[to] {
			t.Fatalf("in batches, the state at %d differs", to)
		}
	}
}

// A capture stays as it was while the store goes on.
func TestCaptureIsFrozen(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		entries := newLogMaker(t, rapid.Uint64().Draw(rt, "seed")).log(60)
		s := offline(t, Config{Member: 7}, 1000)
		type taken struct {
			c      *capture
			digest string
		}
		var all []taken
		for i := range entries {
			if err := s.apply(&commit.Batch{Entries: entries[i : i+1]}); err != nil {
				rt.Fatal(err)
			}
			if rapid.IntRange(0, 4).Draw(rt, "capture") == 0 {
				c := s.capture()
				all = append(all, taken{c, c.digest()})
			}
		}
		for _, x := range all {
			if x.c.digest() != x.digest {
				rt.Fatalf("the capture at %d changed afterwards", x.c.index)
			}
		}
	})
}

func TestGapInTheLogStopsTheNode(t *testing.T) {
	s := offline(t, Config{Member: 7}, 1)
	if err := s.apply(&commit.Batch{Entries: []commit.Entry{{Index: 2, Term: 1}}}); err == nil {
		t.Error("an entry was missing and nobody noticed")
	}
}
