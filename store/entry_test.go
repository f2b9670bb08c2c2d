package store

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
)

// request encodes one as a node would.
func request(h requestHead, build func(*Batch)) []byte {
	var b Batch
	build(&b)
	return slices.Clone(b.seal(h))
}

func TestRequestHeadRoundTrip(t *testing.T) {
	for _, h := range []requestHead{{1, 1, 1, 1}, {0, 0, 1, 0}, {1 << 63, 1<<64 - 1, maxSeq, maxSeq}, {300, 2, 1 << 20, 1<<20 - 7}} {
		c := cursor{b: request(h, func(b *Batch) { b.Write(3, nil, args("set k v")) })}
		if got := c.requestHead(); got != h || c.err != nil {
			t.Errorf("%+v came back as %+v, %v", h, got, c.err)
		}
		if kind, db := c.op(); kind != opWrite || db != 3 {
			t.Errorf("op %d in database %d", kind, db)
		}
		if argv := c.args(nil); !slices.EqualFunc(argv, args("set k v"), bytes.Equal) || c.more() {
			t.Errorf("arguments %q, %d bytes left", argv, len(c.b))
		}
	}
}

func TestEntrySize(t *testing.T) {
	// What replication costs beside the command: it is paid three times for every
	// write, in memory, on the wire and on disk.
	r := request(requestHead{3, 1000, 1 << 30, 1<<30 - 50}, func(b *Batch) { b.Write(0, nil, args("set key:000000000001 v")) })
	if over := len(r) - len("setkey:000000000001v"); over > 20 {
		t.Errorf("a request costs %d bytes", over)
	}
	e := sealEntry(nil, 1_800_000_000_000, 1, [][]byte{r, r})
	if over := len(e) - 2*len(r); over > 20 {
		t.Errorf("an entry costs %d bytes", over)
	}
	if cap(e) > len(e)+16 {
		t.Errorf("entry of %d bytes has room for %d", len(e), cap(e))
	}
	room := make([]byte, 0, len(e)+4) // it counts with the longest time there is
	if again := sealEntry(room, 1_800_000_000_000, 1, [][]byte{r, r}); &again[0] != &room[:1][0] {
		t.Errorf("an entry of %d bytes does not fit into %d", len(e), cap(room))
	}
}

// sampleEntries are well-formed entries with everything in them.
func sampleEntries() [][]byte {
	write := request(requestHead{1, 1, 1, 1}, func(b *Batch) {
		b.Write(0, nil, args("set k v PX 100"))
		b.Write(15, nil, args("incr n"))
	})
	exec := request(requestHead{2, 1, 1, 1}, func(b *Batch) {
		set := &command.Spec{Write: func(*command.Write) {}}
		b.Exec([]Watched{{DB: 1, Key: []byte("k"), Mark: 0}}, []Queued{
			{DB: 1, Spec: set, Argv: args("set k v")},
			{DB: 2, Spec: set, Argv: args("append k \x00\xff")},
		})
	})
	expire := request(requestHead{1, 1, 2, 2}, func(b *Batch) { b.expire(0, []string{"k", "other", ""}) })
	again := request(requestHead{1, 1, 3, 2}, func(b *Batch) { b.WriteBlocking(0, nil, args("wait k"), true) })
	return [][]byte{
		sealEntry(nil, 1000, 7, [][]byte{write, exec}),
		sealEntry(nil, 2000, 8, [][]byte{expire, again, write}),
		sealEntry(nil, 0, 0, nil),
	}
}

// offline returns a store whose apply loop is the test.
func offline(t testing.TB, cfg Config, incarnation uint64) *Store {
	if cfg.Table == nil {
		cfg.Table = testTable(t)
	}
	s := New(cfg, nil, nil)
	s.node.Store(&node{&fakeNode{log: &fakeLog{}}, incarnation})
	return s
}

func applyData(s *Store, data []byte) error {
	return s.apply(&commit.Batch{Entries: []commit.Entry{{Index: s.AppliedIndex() + 1, Term: 1, Data: data}}})
}

func TestSampleEntriesApply(t *testing.T) {
	s := offline(t, Config{Member: 9}, 1)
	for i, data := range sampleEntries() {
		if err := applyData(s, data); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if got := get(s, 15, "get n") + get(s, 2, "get k"); got != `"1""\x00\xff"` {
		t.Error(got)
	}
}

// A node must never guess at what it cannot read: it would differ from the
// others from then on.
func TestUnreadableEntriesStopTheNode(t *testing.T) {
	for _, data := range sampleEntries()[:2] {
		// Cut off anywhere but at the end of a request, or altered where structure
		// is.
		for n := 1; n < len(data); n++ {
			s := offline(t, Config{Member: 9}, 1)
			if err := applyData(s, data[:n]); err != nil && !errors.Is(err, errEntry) {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
	}
	bad := func(build func(*Batch)) []byte {
		return sealEntry(nil, 1, 1, [][]byte{request(requestHead{1, 1, 1, 1}, build)})
	}
	body := func(b ...byte) []byte {
		return bad(func(batch *Batch) { batch.requestBody(); batch.request = append(batch.request, b...) })
	}
	for name, data := range map[string][]byte{
		"version of the entry":   {2, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"version of the request": sealEntry(nil, 1, 1, [][]byte{{9, 1, 1, 1, 1}}),
		"empty request":          sealEntry(nil, 1, 1, [][]byte{{}}),
		"number 0":               sealEntry(nil, 1, 1, [][]byte{{1, 1, 1, 0, 0}}),
		"floor above number":     sealEntry(nil, 1, 1, [][]byte{{1, 1, 1, 1, 2}}),
		"unknown command":        bad(func(b *Batch) { b.Write(0, nil, args("nosuch k")) }),
		"read as a write":        bad(func(b *Batch) { b.Write(0, nil, args("get k")) }),
		"arity":                  bad(func(b *Batch) { b.Write(0, nil, args("incr")) }),
		"database":               bad(func(b *Batch) { b.Write(16, nil, args("incr k")) }),
		"no arguments":           body(opWrite, 0),
		"huge count":             body(opWrite, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
		"huge length":            body(opWrite, 1, 0xff, 0xff, 0xff, 0xff, 0x7f),
		"endless number":         body(opWrite, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	} {
		s := offline(t, Config{Member: 9}, 1)
		if err := applyData(s, data); !errors.Is(err, errEntry) {
			t.Errorf("%s: %v", name, err)
		}
		if s.AppliedIndex() != 0 {
			t.Errorf("%s: counted as applied", name)
		}
	}
}

func FuzzEntry(f *testing.F) {
	for _, data := range sampleEntries() {
		f.Add(data)
	}
	table := testTable(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		// Whatever it is, two stores make the same of it, and neither panics.
		a, b := offline(t, Config{Member: 9, Table: table}, 1), offline(t, Config{Member: 8, Table: table}, 1)
		if bytes.Contains(data, []byte("boom")) {
			return // the command that panics
		}
		errA, errB := applyData(a, data), applyData(b, data)
		if (errA == nil) != (errB == nil) {
			t.Fatalf("%v, %v", errA, errB)
		}
		if errA == nil && a.capture().digest() != b.capture().digest() {
			t.Fatal("two stores differ")
		}
	})
}
