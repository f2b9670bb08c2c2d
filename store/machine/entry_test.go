package machine

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/raftredis/raftredis/store/acl"
)

func TestRequestHeadRoundTrip(t *testing.T) {
	for _, h := range []Head{{1, 1, 1, 1}, {0, 0, 1, 0}, {1 << 63, 1<<64 - 1, maxSeq, maxSeq}, {300, 2, 1 << 20, 1<<20 - 7}} {
		c := cursor{b: request(h, func(b *Request) { b.Write(3, args("set k v")) })}
		if got := c.head(); got != h || c.err != nil {
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
	r := request(Head{3, 1000, 1 << 30, 1<<30 - 50}, func(b *Request) { b.Write(0, args("set key:000000000001 v")) })
	if over := len(r) - len("setkey:000000000001v"); over > 20 {
		t.Errorf("a request costs %d bytes", over)
	}
	e := Seal(nil, 1_800_000_000_000, 1, [][]byte{r, r})
	if over := len(e) - 2*len(r); over > 20 {
		t.Errorf("an entry costs %d bytes", over)
	}
	if cap(e) > len(e)+16 {
		t.Errorf("entry of %d bytes has room for %d", len(e), cap(e))
	}
	room := make([]byte, 0, len(e)+4) // it counts with the longest time there is
	if again := Seal(room, 1_800_000_000_000, 1, [][]byte{r, r}); &again[0] != &room[:1][0] {
		t.Errorf("an entry of %d bytes does not fit into %d", len(e), cap(room))
	}
}

// sampleEntries are well-formed entries with everything in them.
func sampleEntries() [][]byte {
	write := request(Head{1, 1, 1, 1}, func(b *Request) {
		b.Write(0, args("set k v PX 100"))
		b.Write(15, args("incr n"))
	})
	exec := request(Head{2, 1, 1, 1}, func(b *Request) {
		b.Exec([]Watched{{DB: 1, Key: []byte("k"), Mark: 0}}, 2)
		b.ExecWrite(1, args("set k v"))
		b.ExecWrite(2, args("append k \x00\xff"))
	})
	expire := request(Head{1, 1, 2, 2}, func(b *Request) { b.Expire(0, []string{"k", "other", ""}) })
	wait := request(Head{1, 1, 3, 2}, func(b *Request) {
		b.Settle([]Settlement{{1, Claim}, {2, Return}})
		b.GiveUp(2, 1)
		b.Users(acl.DelUser([]string{"nobody"}))
		b.Block(0, args("blpop l k 0"), true, 1500)
	})
	return [][]byte{
		Seal(nil, 1000, 7, [][]byte{write, exec}),
		Seal(nil, 2000, 8, [][]byte{expire, wait, write}),
		Seal(nil, 0, 0, nil),
	}
}

func TestSampleEntriesApply(t *testing.T) {
	r := newRun(t, 9)
	for i, data := range sampleEntries() {
		if err := r.apply(data); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	n, k := r.ks.View(15, 0), r.ks.View(2, 0)
	if got, _, _ := n.Get([]byte("n")); string(got) != "1" {
		t.Errorf("n is %q", got)
	}
	if got, _, _ := k.Get([]byte("k")); string(got) != "\x00\xff" {
		t.Errorf("k is %q", got)
	}
}

// Whoever asked is told in the order of the ops, and nobody else is.
func TestAsker(t *testing.T) {
	r := newRun(t, 1)
	ops := func(q *Request) {
		q.Write(0, args("set k 1"))
		q.Exec(nil, 2)
		q.ExecWrite(0, args("incr k"))
		q.ExecWrite(0, args("append k x"))
		q.Exec([]Watched{{Key: []byte("k"), Mark: 0}}, 1)
		q.ExecWrite(0, args("incr hit"))
		q.Expire(0, []string{"k"})
		q.Block(0, args("blpop q 0"), true, 0)
	}
	for _, x := range []struct {
		head Head
		want string
	}{
		{Head{1, 1, 1, 1}, "OK exec=true 2 2 executed exec=false waits"},
		{Head{1, 1, 1, 1}, ""}, // again
		{Head{2, 1, 1, 1}, ""}, // somebody else's
	} {
		if err := r.apply(Seal(nil, 1000, 1, [][]byte{request(x.head, ops)})); err != nil {
			t.Fatal(err)
		}
		if got := r.w.replies(); got != x.want {
			t.Errorf("%+v: %s, want %s", x.head, got, x.want)
		}
	}
	if r.w.duplicates != 1 || r.w.waits != 1 || r.w.paused != 2*5 {
		t.Errorf("%d doubles, %d waits, %d pauses", r.w.duplicates, r.w.waits, r.w.paused)
	}
}

// A node must never guess at what it cannot read: it would differ from the
// others from then on.
func TestUnreadableEntriesStopTheNode(t *testing.T) {
	for _, data := range sampleEntries()[:2] {
		// Cut off anywhere but at the end of a request, or altered where structure
		// is.
		for n := 1; n < len(data); n++ {
			r := newRun(t, 9)
			if err := r.apply(data[:n]); err != nil && !errors.Is(err, ErrEntry) {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
	}
	bad := func(build func(*Request)) []byte {
		return Seal(nil, 1, 1, [][]byte{request(Head{1, 1, 1, 1}, build)})
	}
	body := func(b ...byte) []byte {
		return bad(func(r *Request) { r.Begin(0); r.b = append(r.b, b...) })
	}
	for name, data := range map[string][]byte{
		"version of the entry":   {2, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"version of the request": Seal(nil, 1, 1, [][]byte{{9, 1, 1, 1, 1}}),
		"empty request":          Seal(nil, 1, 1, [][]byte{{}}),
		"number 0":               Seal(nil, 1, 1, [][]byte{{requestVersion, 1, 1, 0, 0}}),
		"floor above number":     Seal(nil, 1, 1, [][]byte{{requestVersion, 1, 1, 1, 2}}),
		"unknown operation":      body(opKinds),
		"unknown settlement":     body(opSettle, 1, 1, byte(whats)),
		"blocks, and cannot":     bad(func(b *Request) { b.Block(0, args("incr k"), false, 0) }),
		"blocks, and goes on":    bad(func(b *Request) { b.Block(0, args("blpop k 0"), false, 0); b.Write(0, args("incr k")) }),
		"unknown command":        bad(func(b *Request) { b.Write(0, args("nosuch k")) }),
		"read as a write":        bad(func(b *Request) { b.Write(0, args("get k")) }),
		"arity":                  bad(func(b *Request) { b.Write(0, args("incr")) }),
		"database":               bad(func(b *Request) { b.Exec(nil, 1); b.ExecWrite(16, args("incr k")) }),
		"no arguments":           body(opWrite, 0),
		"huge count":             body(opWrite, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
		"huge length":            body(opWrite, 1, 0xff, 0xff, 0xff, 0xff, 0x7f),
		"endless number":         body(opWrite, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	} {
		r := newRun(t, 9)
		if err := r.apply(data); !errors.Is(err, ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
		if r.Index() != 0 {
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
		// Whatever it is, two machines make the same of it, and neither panics.
		a, b := New(table, &watcher{member: 1}), New(table, &watcher{member: 2})
		if bytes.Contains(data, []byte("boom")) {
			return // the command that panics
		}
		errA, errB := a.Apply(1, 1, data), b.Apply(1, 1, data)
		if (errA == nil) != (errB == nil) {
			t.Fatalf("%v, %v", errA, errB)
		}
		if errA == nil && a.Capture().Digest() != b.Capture().Digest() {
			t.Fatal("two machines differ")
		}
	})
}
