package keyspace

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestCodecRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, f := rapid.Uint64().Draw(t, "n"), rapid.Float64().Draw(t, "f")
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		big := bytes.Repeat([]byte("x"), rapid.SampledFrom([]int{0, flushAt - 1, flushAt, 3 << 20}).Draw(t, "big"))
		var out bytes.Buffer
		e := Encoder{Flush: func(b []byte) { out.Write(b) }}
		e.Uvarint(n)
		e.Float(f)
		e.Bytes(b)
		e.Bytes(big)
		e.String(string(b))
		e.Byte(7)
		out.Write(e.Take())
		d := NewStreamDecoder(iotest.HalfReader(bytes.NewReader(out.Bytes())))
		if got := d.Uvarint(); got != n {
			t.Fatalf("uvarint %d, want %d", got, n)
		}
		if got := d.Float(); math.Float64bits(got) != math.Float64bits(f) {
			t.Fatalf("float %v, want %v", got, f)
		}
		if got := d.Bytes(); !bytes.Equal(got, b) {
			t.Fatalf("bytes %q", got)
		}
		if got := d.Bytes(); !bytes.Equal(got, big) {
			t.Fatalf("big bytes: %d of %d", len(got), len(big))
		}
		if d.String() != string(b) || d.Byte() != 7 || d.Err() != nil {
			t.Fatal(d.Err())
		}
		if d.Byte(); d.Err() != io.ErrUnexpectedEOF {
			t.Fatal(d.Err())
		}
	})
}

func TestDecoderRefuses(t *testing.T) {
	for name, in := range map[string][]byte{
		"overlong number":  {0x80, 0x00},
		"65 bits":          bytes.Repeat([]byte{0xff}, 10),
		"no database 17":   {17, 0, 0, 0},
		"database twice":   {1, 0, 0, 1, 0, 0, 0},
		"kind 0":           {1, 0, 1, 0, 1, 'k', 0, 0, 0, 0},
		"kind 99":          {1, 0, 1, 99, 1, 'k', 0, 0, 0, 0},
		"key twice":        {1, 0, 2, 1, 1, 'k', 0, 0, 0, 1, 1, 'k', 0, 0, 0, 0},
		"truncated string": {1, 0, 1, 1, 1, 'k', 0, 0, 200, 1},
		"giant string":     {1, 0, 1, 1, 1, 'k', 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		in = append([]byte{0, 0, 0, 0}, in...) // no limits, and a journal without events
		if _, err := Decode(NewDecoder(in)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	long := binary.AppendUvarint([]byte{0, 0}, journalEvents+1)
	for name, in := range map[string][]byte{
		"journal too long":   append(long, bytes.Repeat([]byte{byte(flushed) << 4, 0}, journalEvents+1)...),
		"no such event":      {0, 0, 1, 0x50, 0, 0, 0},
		"swapped with 17":    {0, 0, 1, byte(swapped) << 4, 0, 16, 0, 0},
		"journal goes back":  {0, 1, 1, byte(flushed) << 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0},
		"journal breaks off": {0, 0, 1, byte(born) << 4, 0, 3, 'k'},
	} {
		if _, err := Decode(NewDecoder(in)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzDecode: Decode neither panics nor runs away on any input, and what it
// accepts is a keyspace that survives a snapshot unchanged.
func FuzzDecode(f *testing.F) {
	ks := New()
	ks.Begin(7, 1000)
	for i := range 70 {
		db := ks.DB(i % 3)
		db.Set(fmt.Append(nil, "key", i), bytes.Repeat([]byte{byte(i)}, i), int64(i%2*5000))
		if i%5 == 0 {
			db.Delete(fmt.Append(nil, "key", i/2))
		}
	}
	f.Add(encode(ks.Capture()))
	f.Add(encode(everyType(f, 8, 3, 12).Capture()))
	f.Add(encode(New().Capture()))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := NewDecoder(in)
		ks, err := Decode(d)
		if err != nil {
			return
		}
		out := encode(ks.Capture())
		again, err := Decode(NewDecoder(out))
		if err != nil {
			t.Fatalf("decoded %q, but not %q: %v", in, out, err)
		}
		if second := encode(again.Capture()); !bytes.Equal(second, out) {
			t.Fatalf("decoded %q, encoded %q, then %q", in, out, second)
		}
	})
}

// everyType returns a keyspace with values of each type, of the given sizes.
// Beyond limit they are in the form for big ones.
func everyType(t testing.TB, limit int64, sizes ...int) *Keyspace {
	ks := New()
	ks.Begin(9, 1000)
	db, lim := ks.DB(0), ks.Limits()
	lim.HashMaxListpackEntries, lim.SetMaxIntsetEntries, lim.ZSetMaxListpackEntries = limit, limit, limit
	for _, n := range sizes {
		key := func(kind string) []byte { return fmt.Append(nil, kind, n) }
		list, err := db.ListForUpdate(key("list"), true)
		if err != nil {
			t.Fatal(err)
		}
		set, err := db.SetForUpdate(key("set"), true)
		if err != nil {
			t.Fatal(err)
		}
		ints, err := db.SetForUpdate(key("intset"), true)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := db.HashForUpdate(key("hash"), true)
		if err != nil {
			t.Fatal(err)
		}
		zset, err := db.ZSetForUpdate(key("zset"), true)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			member := fmt.Append(nil, "member", i)
			list.PushBack(member, lim)
			set.Add(member, lim)
			ints.Add(fmt.Append(nil, i*i), lim)
			hash.Set(member, fmt.Append(nil, i), lim)
			zset.Put(member, float64(i)/3, lim)
		}
	}
	return ks
}

// Values of every type survive a snapshot, stay as they were captured while they
// are changed, and are copies after COPY.
func TestEveryType(t *testing.T) {
	ks := everyType(t, 128, 3, 600)
	f := ks.Capture()
	want := encode(f)
	ks.Begin(10, 1000)
	db, lim := ks.DB(0), ks.Limits()
	for i := range db.Len() {
		key, _ := db.At(i)
		if !db.Copy(key, &db, append([]byte("copy of "), key...)) {
			t.Fatalf("cannot copy %q", key)
		}
	}
	copied := ks.Capture()
	ks.Begin(11, 1000)
	for _, n := range []int{3, 600} {
		key := func(kind string) []byte { return fmt.Append(nil, kind, n) }
		list, _ := db.ListForUpdate(key("list"), false)
		list.PopFront()
		list.Set(0, []byte("changed"), lim)
		set, _ := db.SetForUpdate(key("set"), false)
		set.Remove([]byte("member1"))
		ints, _ := db.SetForUpdate(key("intset"), false)
		ints.Add([]byte("7"), lim)
		hash, _ := db.HashForUpdate(key("hash"), false)
		hash.Set([]byte("member1"), []byte("changed"), lim)
		hash.Delete([]byte("member2"))
		zset, _ := db.ZSetForUpdate(key("zset"), false)
		zset.Put([]byte("member1"), -1, lim)
		zset.Remove([]byte("member2"))
	}
	if !bytes.Equal(encode(f), want) {
		t.Error("the capture has changed")
	}
	for i, f := range []*Frozen{f, copied, ks.Capture()} {
		encoded := encode(f)
		restored, err := Decode(NewDecoder(encoded))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encode(restored.Capture()), encoded) {
			t.Errorf("capture %d is not what its snapshot restores", i)
		}
	}
}
