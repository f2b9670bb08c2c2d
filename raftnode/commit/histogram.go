package commit

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations in buckets each twice as wide as the one before, from
// 16 µs to 17 s. To observe costs two atomic additions, so it may stand in the way of
// every batch; it does not belong in the way of every command. The zero value is empty,
// and any goroutine may use it.
type Histogram struct {
	counts [histogramBuckets + 1]atomic.Uint64
	nanos  atomic.Int64
}

const (
	histogramBuckets = 21
	histogramFirst   = 16 * time.Microsecond
)

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	at := bits.Len64(uint64(max(d-1, 0) / histogramFirst)) // the first whose bound is not below d
	h.counts[min(at, histogramBuckets)].Add(1)
	h.nanos.Add(int64(d))
}

// Read returns what was counted.
func (h *Histogram) Read() Durations {
	d := Durations{Sum: time.Duration(h.nanos.Load()), Buckets: make([]Bucket, histogramBuckets)}
	for i := range h.counts {
		d.Count += h.counts[i].Load()
		if i < histogramBuckets {
			d.Buckets[i] = Bucket{UpTo: histogramFirst << i, Count: d.Count}
		}
	}
	return d
}

// Durations is what a Histogram has counted since the start.
type Durations struct {
	Count   uint64
	Sum     time.Duration
	Buckets []Bucket // what is longer than the last of them is in Count only
}

// Bucket says how many durations were not longer than UpTo.
type Bucket struct {
	UpTo  time.Duration
	Count uint64
}

// Quantile returns the duration that a share q (0 to 1) of all did not exceed, as far as
// the buckets tell: it may be up to twice what it really is. 0 if there was none.
func (d Durations) Quantile(q float64) time.Duration {
	want := uint64(q*float64(d.Count) + 0.5)
	for _, b := range d.Buckets {
		if b.Count > 0 && b.Count >= want {
			return b.UpTo
		}
	}
	if d.Count == 0 || len(d.Buckets) == 0 {
		return 0
	}
	return d.Buckets[len(d.Buckets)-1].UpTo
}
