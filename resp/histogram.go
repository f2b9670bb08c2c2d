package resp

import (
	"math/bits"
	"sync/atomic"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// histogram counts durations in the buckets of the HdrHistogram that Redis keeps
// for each command: from a nanosecond to a second (what is longer counts as one),
// each bucket at most 1/128 wide. A command that is never called costs nothing.
type histogram struct {
	counts atomic.Pointer[[histBuckets]atomic.Int64]
}

const (
	histHalf    = 128 // linear buckets for each power of two
	histMax     = 1_000_000_000
	histBuckets = (30 - 8 + 2) * histHalf // up to 2^30
)

// bucketOf returns the bucket of a duration.
func bucketOf(ns int64) int {
	ns = min(max(ns, 1), histMax)
	shift := max(0, bits.Len64(uint64(ns))-8)
	return shift*histHalf + int(ns>>shift)
}

// bucketTop is the longest duration, in nanoseconds, that falls into a bucket.
func bucketTop(b int) int64 {
	shift := max(0, b/histHalf-1)
	return int64(b-shift*histHalf+1)<<shift - 1
}

// add counts n durations of the same bucket.
func (h *histogram) add(bucket int, n int64) {
	counts := h.counts.Load()
	if counts == nil {
		h.counts.CompareAndSwap(nil, new([histBuckets]atomic.Int64))
		counts = h.counts.Load()
		if counts == nil {
			return // reset at this very moment
		}
	}
	counts[bucket].Add(n)
}

func (h *histogram) reset() { h.counts.Store(nil) }

// each calls visit for the buckets that have something, the shortest first, with
// how many durations are not above it.
func (h *histogram) each(visit func(bucket int, seen int64) (more bool)) {
	counts := h.counts.Load()
	if counts == nil {
		return
	}
	seen := int64(0)
	for b := range counts {
		if n := counts[b].Load(); n != 0 {
			seen += n
			if !visit(b, seen) {
				return
			}
		}
	}
}

func (h *histogram) total() (n int64) {
	h.each(func(_ int, seen int64) bool {
		n = seen
		return true
	})
	return n
}

// cumulative returns what LATENCY HISTOGRAM shows: for powers of two of 1.024 us,
// the ones that something falls between, the bound in microseconds and how many
// durations are not above it.
func (h *histogram) cumulative() (upTo, counts []int64) {
	at := 0
	h.each(func(b int, seen int64) bool {
		moved := false
		for bucketTop(b) > bucketTop(bucketOf(1024<<at)) {
			at, moved = at+1, true
		}
		if moved || len(upTo) == 0 {
			upTo = append(upTo, bucketTop(bucketOf(1024<<at))/1000)
			counts = append(counts, 0)
		}
		counts[len(counts)-1] = seen
		return true
	})
	return upTo, counts
}

// durations adds what was counted to d, whose buckets are powers of two of a nanosecond
// and begin with the shortest. What took a second or longer is counted as a second, and
// so is longer than all of them.
func (h *histogram) durations(d *commit.Durations) {
	before := int64(0)
	h.each(func(b int, seen int64) bool {
		n := uint64(seen - before)
		before = seen
		d.Count += n
		if b == bucketOf(histMax) {
			return true
		}
		for i := len(d.Buckets) - 1; i >= 0 && bucketTop(b) < int64(d.Buckets[i].UpTo); i-- {
			d.Buckets[i].Count += n
		}
		return true
	})
}

// percentile returns the p-th percentile in microseconds.
func (h *histogram) percentile(p float64) (usec float64) {
	want := max(1, int64(p/100*float64(h.total())+0.5))
	h.each(func(b int, seen int64) bool {
		usec = float64(bucketTop(b)) / 1000
		return seen < want
	})
	return usec
}
