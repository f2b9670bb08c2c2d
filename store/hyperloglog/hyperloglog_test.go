package hyperloglog

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestModel raises random registers in both forms and in a plain array.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var model Registers
		sparse := New()
		dense, _ := New().ToDense()
		limit := rapid.SampledFrom([]int64{0, 40, 3000}).Draw(t, "limit")
		span := rapid.SampledFrom([]int{10, 300, Count}).Draw(t, "span")
		first := rapid.IntRange(0, Count-span).Draw(t, "first")
		for range rapid.IntRange(0, 300).Draw(t, "n") {
			i := first + rapid.IntRange(0, span-1).Draw(t, "i")
			n := byte(rapid.OneOf(rapid.IntRange(1, 3), rapid.IntRange(1, maxBits+1)).Draw(t, "value"))
			model[i] = max(model[i], n)
			if n > dense.Register(i) {
				dense.SetRegister(i, n)
			}
			if sparse.Dense() {
				if n > sparse.Register(i) {
					sparse.SetRegister(i, n)
				}
				continue
			}
			if was, ok := sparse.SparseRegister(i); !ok {
				t.Fatal("corrupt")
			} else if n > was {
				if sparse, ok = sparse.SparseSet(i, n, limit); !ok {
					t.Fatal("corrupt")
				}
			}
		}
		if !sparse.Valid() || !dense.Valid() {
			t.Fatal("not valid")
		}
		var counts [2]Histogram
		for at, h := range []Sketch{sparse, dense} {
			var got Registers
			if !h.MergeInto(&got) || got != model {
				t.Fatalf("form %d has other registers", at)
			}
			if !h.Histogram(&counts[at]) {
				t.Fatalf("form %d is corrupt", at)
			}
		}
		if counts[0] != counts[1] {
			t.Fatal("histograms differ")
		}
		if d, ok := sparse.ToDense(); !ok || !bytes.Equal(d[header:], dense[header:]) {
			t.Fatal("the sparse form becomes another dense one")
		}
	})
}

// TestError checks the estimate: its standard error is 0.81%.
func TestError(t *testing.T) {
	h, _ := New().ToDense()
	for i := 1; i <= 200_000; i++ {
		index, n := Pattern(fmt.Appendf(nil, "element:%d", i))
		if n > h.Register(index) {
			h.SetRegister(index, n)
		}
		if i != 10 && i != 100 && i != 1000 && i != 10_000 && i != 200_000 {
			continue
		}
		var counts Histogram
		h.Histogram(&counts)
		if got := counts.Cardinality(); math.Abs(float64(got)/float64(i)-1) > 0.03 {
			t.Errorf("%d elements are taken for %d", i, got)
		}
	}
}
