package commit

import (
	"testing"
	"time"
)

// TestHistogram: every duration is counted in the first bucket that is not below it.
func TestHistogram(t *testing.T) {
	for _, d := range []time.Duration{
		-1, 0, 1, 16 * time.Microsecond, 16*time.Microsecond + 1, 32 * time.Microsecond, 32*time.Microsecond + 1,
		time.Millisecond, time.Second, 16 * time.Second, histogramFirst << (histogramBuckets - 1), histogramFirst<<(histogramBuckets-1) + 1, time.Hour,
	} {
		var h Histogram
		h.Observe(d)
		got := h.Read()
		if got.Count != 1 || got.Sum != max(d, 0) {
			t.Errorf("%v: count %d, sum %v", d, got.Count, got.Sum)
		}
		for _, b := range got.Buckets {
			if is := b.Count == 1; is != (d <= b.UpTo) {
				t.Errorf("%v: bucket up to %v has %d", d, b.UpTo, b.Count)
			}
		}
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	if got := h.Read().Quantile(0.99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for range 98 {
		h.Observe(100 * time.Microsecond)
	}
	h.Observe(time.Millisecond)
	h.Observe(time.Hour)
	for q, want := range map[float64]time.Duration{0: 128 * time.Microsecond, 0.5: 128 * time.Microsecond, 0.99: 1024 * time.Microsecond, 1: histogramFirst << (histogramBuckets - 1)} {
		if got := h.Read().Quantile(q); got != want {
			t.Errorf("q=%v: %v, want %v", q, got, want)
		}
	}
}
