package main

import "testing"

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 800}, {4 << 20, 800}, {32 << 20, 100}, {100 << 20, 32}, {160 << 20, 20}, {10 << 30, 20}} {
		if got := gcPercentFor(c.live); got != c.want {
			t.Errorf("%d live: %d%%, want %d%%", c.live, got, c.want)
		}
	}
}
