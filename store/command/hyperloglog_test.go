package command

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestHLLModel raises random registers in both forms and in a plain array.
func TestHLLModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var model hllRegisters
		sparse := newHLL()
		dense, _ := newHLL().toDense()
		limit := rapid.SampledFrom([]int64{0, 40, 3000}).Draw(t, "limit")
		span := rapid.SampledFrom([]int{10, 300, hllCount}).Draw(t, "span")
		first := rapid.IntRange(0, hllCount-span).Draw(t, "first")
		for range rapid.IntRange(0, 300).Draw(t, "n") {
			i := first + rapid.IntRange(0, span-1).Draw(t, "i")
			n := byte(rapid.OneOf(rapid.IntRange(1, 3), rapid.IntRange(1, hllMaxBits+1)).Draw(t, "value"))
			model[i] = max(model[i], n)
			if n > dense.register(i) {
				dense.setRegister(i, n)
			}
			if sparse.dense() {
				if n > sparse.register(i) {
					sparse.setRegister(i, n)
				}
				continue
			}
			if was, ok := sparse.sparseRegister(i); !ok {
				t.Fatal("corrupt")
			} else if n > was {
				if sparse, ok = sparse.sparseSet(i, n, limit); !ok {
					t.Fatal("corrupt")
				}
			}
		}
		if !sparse.valid() || !dense.valid() {
			t.Fatal("not valid")
		}
		var counts [2]hllHistogram
		for at, h := range []hll{sparse, dense} {
			var got hllRegisters
			if !h.mergeInto(&got) || got != model {
				t.Fatalf("form %d has other registers", at)
			}
			if !h.histogram(&counts[at]) {
				t.Fatalf("form %d is corrupt", at)
			}
		}
		if counts[0] != counts[1] {
			t.Fatal("histograms differ")
		}
		if d, ok := sparse.toDense(); !ok || !bytes.Equal(d[hllHeader:], dense[hllHeader:]) {
			t.Fatal("the sparse form becomes another dense one")
		}
	})
}

// TestHLLError checks the estimate: its standard error is 0.81%.
func TestHLLError(t *testing.T) {
	h, _ := newHLL().toDense()
	for i := 1; i <= 200_000; i++ {
		index, n := hllPattern(fmt.Appendf(nil, "element:%d", i))
		if n > h.register(index) {
			h.setRegister(index, n)
		}
		if i != 10 && i != 100 && i != 1000 && i != 10_000 && i != 200_000 {
			continue
		}
		var counts hllHistogram
		h.histogram(&counts)
		if got := counts.cardinality(); math.Abs(float64(got)/float64(i)-1) > 0.03 {
			t.Errorf("%d elements are taken for %d", i, got)
		}
	}
}

// FuzzHLL feeds what a client may SET: it must not crash anything.
func FuzzHLL(f *testing.F) {
	f.Add([]byte(newHLL()))
	f.Add([]byte("HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f"))
	f.Add([]byte("HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff\x80\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newSpace(t)
		s.call(0, args("SET", "h", b)...)
		for _, line := range []string{"PFCOUNT h", "PFCOUNT h g", "PFADD h a b c", "PFDEBUG DECODE h", "PFMERGE g h", "PFADD g d", "PFDEBUG GETREG h", "PFCOUNT h"} {
			s.do(line)
		}
		s.checkTwin()
	})
}
