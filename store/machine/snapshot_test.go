package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// body returns a snapshot's body with a bit of everything.
func body(t testing.TB) (*Machine, []byte) {
	m := New(testTable(t), &watcher{})
	big := request(Head{4, 1, 9, 2}, func(r *Request) {
		r.Write(3, args("set big "+strings.Repeat("x", 2*maxBlock+17)))
		r.Write(3, [][]byte{[]byte("set"), {0, 0xff, '\r', '\n'}, {0xfe, 0, 0x80}, []byte("PX"), []byte("100000")})
		r.Once(3, args("incr n"), args("incr n"), Attempt{ID: []byte("id"), Keep: MaxKeep, RESP3: true})
	})
	for i, data := range append(sampleEntries(), Seal(nil, 5000, 1, [][]byte{big})) {
		if err := m.Apply(uint64(i)+1, 1, data); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := m.Capture().Write(&b); err != nil {
		t.Fatal(err)
	}
	return m, b.Bytes()
}

func TestSnapshotRoundTrip(t *testing.T) {
	m, b := body(t)
	fresh, err := Load(m.table, &watcher{}, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if fresh.Index() != 4 || fresh.Term() != 1 || fresh.Now() != 5000 || fresh.revision != m.revision || fresh.RunOf(4) != 1 || !fresh.Applied(4, 1, 9) {
		t.Errorf("index %d, term %d, clock %d, revision %d", fresh.Index(), fresh.Term(), fresh.Now(), fresh.revision)
	}
	if fresh.Capture().Digest() != m.Capture().Digest() {
		t.Error("another digest")
	}
	w := Watched{DB: 3, Key: []byte("big"), Mark: keyspace.Mark(2*m.revision + 1)}
	if !fresh.Unchanged([]Watched{w}, 5000) {
		t.Error("WATCH would see another version")
	}
}

// A damaged body is an error, wherever the damage is.
func TestDamagedSnapshot(t *testing.T) {
	m, b := body(t)
	check := func(what string, b []byte) {
		t.Helper()
		if _, err := Load(m.table, &watcher{}, bytes.NewReader(b)); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range 100 { // heads, and the small sections
		for _, i := range []int{i, len(b) - 1 - i, i * len(b) / 100} {
			flipped := bytes.Clone(b)
			flipped[i] ^= 0x10
			check(fmt.Sprintf("bit flipped at %d", i), flipped)
			check(fmt.Sprintf("cut at %d", i), b[:i])
		}
	}
	check("something behind the end", append(bytes.Clone(b), 0))
	at := bytes.Index(b, []byte("keyspace")) + len("keyspace") + 1 + 8
	size := blockHead + maxBlock
	first, second := b[at:at+size], b[at+size:at+2*size]
	swapped := append(bytes.Clone(b[:at]), second...)
	swapped = append(swapped, first...)
	check("blocks swapped", append(swapped, b[at+2*size:]...))
	check("a block missing", append(bytes.Clone(b[:at]), b[at+size:]...))
}

// What a newer version of the program has written is refused by name.
func TestUnknownSection(t *testing.T) {
	m, _ := body(t)
	for _, x := range []struct {
		name    string
		version byte
	}{{"functions", 1}, {"position", 9}, {"sessions", 1}} {
		var b bytes.Buffer
		bw := bodyWriter{w: &b}
		bw.write([]byte(snapshotMagic))
		bw.section(x.name, x.version)
		bw.end()
		bw.section("", 0)
		_, err := Load(m.table, &watcher{}, &b)
		if !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), fmt.Sprintf("%q of version %d", x.name, x.version)) {
			t.Errorf("section %q of version %d: %v", x.name, x.version, err)
		}
	}
	var b bytes.Buffer
	bw := bodyWriter{w: &b}
	bw.write([]byte(snapshotMagic))
	bw.section("", 0)
	if _, err := Load(m.table, &watcher{}, &b); !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), `"position" is missing`) {
		t.Error(err)
	}
}

func TestSnapshotThatCannotBeWritten(t *testing.T) {
	m, b := body(t)
	for _, n := range []int{0, 8, 30, len(b) - 1} { // the disk is full after n bytes
		if err := m.Capture().Write(&limited{n: n}); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

type limited struct{ n int }

func (l *limited) Write(b []byte) (int, error) {
	if len(b) > l.n {
		return l.n, io.ErrShortWrite
	}
	l.n -= len(b)
	return len(b), nil
}

func FuzzSnapshot(f *testing.F) {
	table := testTable(f)
	small := New(table, &watcher{})
	for i, data := range sampleEntries() {
		if err := small.Apply(uint64(i)+1, 1, data); err != nil {
			f.Fatal(err)
		}
	}
	var whole bytes.Buffer
	if err := small.Capture().Write(&whole); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes(), uint8(0))
	for i, s := range sections(command.Latest) {
		e := keyspace.Encoder{}
		s.encode(small.Capture(), &e)
		f.Add(e.Take(), uint8(i))
	}
	f.Fuzz(func(t *testing.T, b []byte, part uint8) {
		// As a body: hardly anything gets past the checksums.
		if _, err := Load(table, &watcher{}, bytes.NewReader(b)); err != nil && !errors.Is(err, ErrSnapshot) {
			t.Fatal(err)
		}
		// As the contents of a section that passed them.
		all := sections(command.Latest)
		s := all[int(part)%len(all)]
		var body bytes.Buffer
		bw := bodyWriter{w: &body}
		bw.section(s.name, s.version)
		bw.blocks(b)
		bw.end()
		br := &bodyReader{r: &body}
		if _, _, err := br.next(); err != nil {
			t.Fatal(err)
		}
		m := New(table, &watcher{})
		if m.section(s, br) != nil || m.loaded(bytes.NewReader(nil)) != nil {
			return
		}
		if got := restored(t, m, &watcher{}).Capture().Digest(); got != m.Capture().Digest() {
			t.Fatal("what was read and written again differs")
		}
	})
}
