package command

import (
	"testing"

	"pgregory.net/rapid"
)

// TestBitsAgainstNaive compares what goes word by word with what goes bit by bit.
func TestBitsAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0xff, 1, 0x80, 0x55}), 0, 80).Draw(t, "s")
		n := int64(len(s)) * 8
		from := rapid.Int64Range(0, n).Draw(t, "from")
		to := rapid.Int64Range(from, n).Draw(t, "to")
		bit := byte(rapid.IntRange(0, 1).Draw(t, "bit"))
		want := int64(-1)
		for i := to - 1; i >= from; i-- {
			if bitAt(s, i) == bit {
				want = i
			}
		}
		if got := findBit(s, from, to, bit); got != want {
			t.Fatalf("first %d in [%d, %d) of %x is %d, want %d", bit, from, to, s, got, want)
		}
		count := int64(0)
		for i := range n {
			count += int64(bitAt(s, i))
		}
		if got := popcount(s); got != count {
			t.Fatalf("%d bits in %x, want %d", got, s, count)
		}
		a := rapid.SliceOfN(rapid.Byte(), len(s), len(s)+40).Draw(t, "a")
		for name, op := range map[string]struct {
			fast func(dst, src []byte)
			slow func(a, b byte) byte
		}{
			"and": {andBytes, func(a, b byte) byte { return a & b }},
			"or":  {orBytes, func(a, b byte) byte { return a | b }},
			"xor": {xorBytes, func(a, b byte) byte { return a ^ b }},
			"not": {func(dst, _ []byte) { notBytes(dst) }, func(a, _ byte) byte { return ^a }},
		} {
			dst := append([]byte(nil), a...)
			op.fast(dst, s)
			for i := range dst {
				var b byte
				if i < len(s) {
					b = s[i]
				}
				if want := op.slow(a[i], b); dst[i] != want {
					t.Fatalf("%s: byte %d is %x, want %x", name, i, dst[i], want)
				}
			}
		}
	})
}

// TestBitfieldLoadStore checks that a number comes back, and that nothing else
// has changed.
func TestBitfieldLoadStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op := bitfieldOp{signed: rapid.Bool().Draw(t, "signed")}
		op.width = uint(rapid.IntRange(1, map[bool]int{true: 64, false: 63}[op.signed]).Draw(t, "width"))
		op.offset = rapid.Int64Range(0, 40).Draw(t, "offset")
		s := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "s")
		before := append([]byte(nil), s...)
		value := op.wrap(rapid.Int64().Draw(t, "value"))
		op.store(s, value)
		if got := op.load(s); got != value {
			t.Fatalf("%d comes back as %d", value, got)
		}
		for i := range int64(128) {
			if (i < op.offset || i >= op.offset+int64(op.width)) && bitAt(s, i) != bitAt(before, i) {
				t.Fatalf("bit %d has changed", i)
			}
		}
	})
}

func BenchmarkPopcount(b *testing.B) {
	s := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		popcount(s)
	}
}
