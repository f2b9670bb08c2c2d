package keyspace

import (
	"bytes"
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
		"no database 17":   {17, 0, 0, 0, 0},
		"database twice":   {1, 0, 0, 0, 1, 0, 0, 0, 0},
		"odd buckets":      {1, 0, 5, 0, 0, 0, 0, 0, 0, 0},
		"kind 0":           {1, 0, 0, 1, 0, 1, 'k', 0, 0, 0, 0},
		"kind 99":          {1, 0, 0, 1, 99, 1, 'k', 0, 0, 0, 0},
		"key twice":        {1, 0, 0, 2, 1, 1, 'k', 0, 0, 0, 1, 1, 'k', 0, 0, 0, 0},
		"truncated string": {1, 0, 0, 1, 1, 1, 'k', 0, 0, 200, 1},
		"giant string":     {1, 0, 0, 1, 1, 1, 'k', 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		in = append([]byte{0}, in...) // no limits
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
