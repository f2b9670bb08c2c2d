package resp

import (
	"math"
	"slices"
	"testing"
)

// TestHistogramBuckets: every duration falls into a bucket that holds it and is at
// most 1/128 wide.
func TestHistogramBuckets(t *testing.T) {
	last := -1
	for ns := int64(1); ns <= histMax; ns += 1 + ns/300 {
		b := bucketOf(ns)
		if b < last || b >= histBuckets {
			t.Fatalf("%d ns is in bucket %d, behind %d of %d", ns, b, last, histBuckets)
		}
		last = b
		top := bucketTop(b)
		if top < ns || float64(top-ns) > float64(ns)/128+1 {
			t.Fatalf("%d ns is in a bucket that ends at %d", ns, top)
		}
		if bucketOf(top) != b || bucketOf(top+1) == b && top < histMax {
			t.Fatalf("bucket %d ends at %d", b, top)
		}
	}
	if bucketOf(math.MaxInt64) != bucketOf(histMax) || bucketOf(0) != bucketOf(1) {
		t.Error("what is out of bounds")
	}
}

// TestHistogramFigures compares with what redis-server 7.0.15 showed for the same
// durations.
func TestHistogramFigures(t *testing.T) {
	var h histogram
	if h.percentile(50) != 0 || h.total() != 0 {
		t.Error("an empty histogram")
	}
	for _, usec := range []int64{1, 1, 6, 22, 43, 55, 98, 290, 1045} {
		h.add(bucketOf(usec*1000), 1)
	}
	upTo, counts := h.cumulative()
	if want := []int64{1, 8, 33, 66, 132, 528, 1056}; !slices.Equal(upTo, want) {
		t.Errorf("bounds %v, wanted %v", upTo, want)
	}
	if want := []int64{2, 3, 4, 6, 7, 8, 9}; !slices.Equal(counts, want) {
		t.Errorf("counts %v, wanted %v", counts, want)
	}
	for p, want := range map[float64]float64{0: 1.003, 50: 43.007, 99: 1048.575} {
		if got := h.percentile(p); got != want {
			t.Errorf("p%v is %v, wanted %v", p, got, want)
		}
	}
	h.reset()
	if h.total() != 0 {
		t.Error("not reset")
	}
}
