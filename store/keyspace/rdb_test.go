package keyspace

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// redisDump is a line of testdata/dump.txt: what redis-server 7.0.15 dumped with
// and without compression of strings.
type redisDump struct {
	name           string
	loose          bool // the same value may be laid out in other ways
	packed, simple []byte
}

func redisDumps(t testing.TB) (dumps []redisDump) {
	t.Helper()
	file, err := os.ReadFile("testdata/dump.txt")
	if err != nil {
		t.Fatal(err)
	}
	decode := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for line := range strings.Lines(string(file)) {
		words := strings.Fields(line)
		if words[0] == "#" {
			continue
		}
		d := redisDump{name: strings.TrimPrefix(words[0], "~"), loose: words[0][0] == '~', packed: decode(words[1])}
		if d.simple = d.packed; words[2] != "=" {
			d.simple = decode(words[2])
		}
		dumps = append(dumps, d)
	}
	return dumps
}

// restored returns a keyspace whose key "k" was restored from payload.
func restored(payload []byte) (*Keyspace, error) {
	ks := New()
	ks.Begin(1, 1000)
	d, err := ParseDump(payload, ks.Limits())
	if err != nil {
		return nil, err
	}
	db := ks.DB(0)
	db.Restore([]byte("k"), d, 0, -1, -1)
	return ks, nil
}

func redump(ks *Keyspace) []byte {
	v := ks.View(0, 1000)
	b, _ := v.Dump([]byte("k"))
	return b
}

// What Redis dumped is dumped again byte for byte, compression aside.
func TestDumpAsRedis(t *testing.T) {
	for _, d := range redisDumps(t) {
		t.Run(d.name, func(t *testing.T) {
			for _, payload := range [][]byte{d.packed, d.simple} {
				ks, err := restored(payload)
				if err != nil {
					t.Fatal(err)
				}
				got := redump(ks)
				if !d.loose && !bytes.Equal(got, d.simple) {
					t.Errorf("got  %x\nwant %x", got, d.simple)
				}
				again, err := restored(got)
				if err != nil {
					t.Fatalf("own payload: %v", err)
				}
				if !bytes.Equal(encodingOf(ks), encodingOf(again)) {
					t.Error("a dump of what was restored restores something else")
				}
				checkSnapshot(t, ks)
			}
		})
	}
}

func encodingOf(ks *Keyspace) []byte {
	var e Encoder
	ks.Capture().Encode(&e)
	return e.Take()
}

// checkSnapshot checks that a snapshot restores what is in ks, and that it is
// the same to DUMP.
func checkSnapshot(t interface{ Fatalf(string, ...any) }, ks *Keyspace) {
	image := encodingOf(ks)
	twin, err := Decode(NewDecoder(image))
	if err != nil {
		t.Fatalf("cannot decode a snapshot: %v", err)
	}
	twin.Begin(ks.Revision(), 1000)
	if !bytes.Equal(image, encodingOf(twin)) {
		t.Fatalf("a snapshot restores something else")
	}
	if !bytes.Equal(redump(ks), redump(twin)) {
		t.Fatalf("a restored snapshot dumps something else")
	}
	a, b := ks.View(0, 1000), twin.View(0, 1000)
	x, _ := a.Info([]byte("k"))
	y, _ := b.Info([]byte("k"))
	if x.Bytes != y.Bytes {
		t.Fatalf("a restored snapshot has %d bytes, not %d", y.Bytes, x.Bytes)
	}
}

// Payloads of Redis before 7.0, put together by hand.
func TestDumpOfOldRedis(t *testing.T) {
	// One element of each way to write one.
	elements := "\x00\x01a" + "\x03\xf2" + "\x02\xfe\x80" + "\x03\xc0\x00\x01" + "\x04\xf0\x00\x00\x01" +
		"\x05\xd0\x00\x00\x00\x01" + "\x06\xe0\x00\x00\x00\x00\x00\x00\x00\x01" + "\x0a\x40\x02xy"
	last := len(elements) - 5
	ziplist := binary.LittleEndian.AppendUint32(nil, uint32(10+len(elements)+1))
	ziplist = binary.LittleEndian.AppendUint32(ziplist, uint32(10+last))
	ziplist = append(ziplist, 8, 0)
	ziplist = append(append(ziplist, elements...), 0xff)
	want := []string{"a", "1", "-128", "256", "65536", "16777216", "72057594037927936", "xy"}
	sealed := func(kind byte, body ...[]byte) []byte {
		b := append([]byte{kind}, bytes.Join(body, nil)...)
		b = append(b, 6, 0)
		return binary.LittleEndian.AppendUint64(b, rdbChecksum(b))
	}
	str := func(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }
	for name, payload := range map[string][]byte{
		"ziplist":   sealed(rdbListZiplist, str(ziplist)),
		"quicklist": sealed(rdbQuicklist, []byte{1}, str(ziplist)),
	} {
		t.Run(name, func(t *testing.T) {
			ks, err := restored(payload)
			if err != nil {
				t.Fatal(err)
			}
			v := ks.View(0, 1000)
			l, err := v.ListAt([]byte("k"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for b := range l.From(0) {
				got = append(got, string(b))
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	ks, err := restored(sealed(rdbHashZiplist, str(ziplist)))
	if err != nil {
		t.Fatal(err)
	}
	v := ks.View(0, 1000)
	h, err := v.HashAt([]byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := h.Get([]byte("-128")); string(b) != "256" || h.Len() != 4 {
		t.Errorf("got %d fields and %q", h.Len(), b)
	}
	if _, err := restored(sealed(rdbList, []byte("\x02\x01a\x01b"))); err != nil {
		t.Error(err)
	}
	if _, err := restored(sealed(rdbZSet, []byte("\x02\x01a\x031.5\x01b\xfe"))); err != nil {
		t.Error(err)
	}
}

func TestDumpRefusesFooter(t *testing.T) {
	good := redisDumps(t)[0].simple
	for name, change := range map[string]func([]byte) []byte{
		"short":    func([]byte) []byte { return []byte("123456789") },
		"empty":    func([]byte) []byte { return nil },
		"checksum": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"version":  func(b []byte) []byte { b[len(b)-10]++; return seal(b[:len(b)-8]) },
		"contents": func(b []byte) []byte { b[2] ^= 1; return b },
	} {
		if _, err := restored(change(bytes.Clone(good))); !errors.Is(err, ErrDumpChecksum) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// seal puts a checksum behind b.
func seal(b []byte) []byte {
	b = bytes.Clone(b)
	return binary.LittleEndian.AppendUint64(b, rdbChecksum(b))
}

// FuzzParseDump gives payloads with a right footer and any contents to the
// decoder. What it takes must dump to something that restores the same.
func FuzzParseDump(f *testing.F) {
	for _, d := range redisDumps(f) {
		f.Add(d.packed[:len(d.packed)-rdbFooter])
		f.Add(d.simple[:len(d.simple)-rdbFooter])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ks, err := restored(seal(append(bytes.Clone(body), rdbVersion, 0)))
		if err != nil {
			return
		}
		again, err := restored(redump(ks))
		if err != nil {
			t.Fatalf("own payload: %v", err)
		}
		if !bytes.Equal(encodingOf(ks), encodingOf(again)) {
			t.Fatal("a dump of what was restored restores something else")
		}
		checkSnapshot(t, ks)
		exerciseStream(ks)
	})
}

// exerciseStream runs everything over a stream that came from outside.
func exerciseStream(ks *Keyspace) {
	db := ks.DB(0)
	s, err := db.StreamForUpdate([]byte("k"), false)
	if err != nil || s == nil {
		return
	}
	var ids []StreamID
	all := StreamRange{End: MaxStreamID()}
	s.Visit(all, func(e *StreamEntry) bool {
		e.Each(func(_, _ []byte) {})
		ids = append(ids, e.ID)
		return true
	})
	if len(ids) != s.Len() || s.Count(all, 0) != len(ids) {
		panic("wrong length")
	}
	n := 0
	s.Visit(StreamRange{End: MaxStreamID(), Reverse: true}, func(e *StreamEntry) bool {
		n++
		if ids[len(ids)-n] != e.ID {
			panic("other order backwards")
		}
		return true
	})
	s.RadixNodes()
	s.EachGroup(func(g GroupView) {
		g.Lag()
		g.EachConsumer(func(c Consumer) {
			n := 0
			g.EachPendingOf(c.Name, StreamID{}, func(Pending) bool { n++; return true })
			if n != c.Pending {
				panic("wrong number of pending entries")
			}
		})
	})
	if next, ok := s.Last().Next(); ok {
		if err := s.Add(next, [][]byte{[]byte("f"), []byte("v")}, db.Limits()); err != nil {
			panic(err)
		}
	}
	for i, id := range ids {
		if i%3 == 1 && !s.Delete(id) {
			panic("cannot delete an entry")
		}
	}
	s.Trim(StreamTrim{MaxLen: int64(s.Len() / 2)})
	s.Trim(StreamTrim{ByID: true, MinID: s.Last()})
}

// LZF that a random encoder made expands to what it was made from, and nothing
// makes the decoder allocate more than the input could fill.
func TestExpandLZF(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in, want []byte
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			if len(want) == 0 || rapid.Bool().Draw(t, "literal") {
				run := rapid.SliceOfN(rapid.Byte(), 1, 32).Draw(t, "run")
				in = append(append(in, byte(len(run)-1)), run...)
				want = append(want, run...)
				continue
			}
			size := rapid.IntRange(3, 264).Draw(t, "size")
			back := rapid.IntRange(1, min(len(want), 1<<13)).Draw(t, "back")
			for range size {
				want = append(want, want[len(want)-back])
			}
			if size -= 2; size < 7 {
				in = append(in, byte(size<<5|(back-1)>>8), byte(back-1))
			} else {
				in = append(in, byte(7<<5|(back-1)>>8), byte(size-7), byte(back-1))
			}
		}
		got, ok := expandLZF(in, uint64(len(want)))
		if !ok || !bytes.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		for _, n := range []uint64{0, uint64(len(want)) - 1, uint64(len(want)) + 1, 1 << 40} {
			if _, ok := expandLZF(in, n); ok {
				t.Fatalf("expands to %d bytes as well", n)
			}
		}
	})
}
