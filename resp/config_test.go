package resp

import (
	"math"
	"testing"
)

// TestReached: no limit that CONFIG SET takes overflows on the way to nanoseconds.
func TestReached(t *testing.T) {
	for _, c := range []struct {
		limit          int64
		ns             int64
		micros, millis bool
	}{
		{-1, 1e9, false, false},
		{0, 0, true, false}, // 0 logs every command, and watches for no event
		{1, 999, false, false},
		{1, 1000, true, false},
		{1, 999_999, true, false},
		{1, 1e6, true, true},
		{math.MaxInt64, math.MaxInt64, false, false},
		{math.MaxInt64/1000 + 1, 1e6, false, false},
	} {
		if got := Micros(c.limit).reached(c.ns); got != c.micros {
			t.Errorf("%d ns are slow by %d us: %v", c.ns, c.limit, got)
		}
		if got := Millis(c.limit).reached(c.ns); got != c.millis {
			t.Errorf("%d ns are an event by %d ms: %v", c.ns, c.limit, got)
		}
	}
}
