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

func TestHeapMeter(t *testing.T) {
	const mb = 1 << 20
	var m heapMeter
	for i, c := range []struct {
		cycles, held uint64
		told         bool
		left         uint64 // after it was given back
		want         bool
	}{
		{cycles: 1, held: 30 * mb},
		{cycles: 1, held: 60 * mb}, // less than it is about
		{cycles: 2, held: 500 * mb},
		{cycles: 3, held: 500 * mb}, // something is going on
		{cycles: 3, held: 500 * mb, want: true, left: 400 * mb},
		{cycles: 5, held: 400 * mb},
		{cycles: 5, held: 400 * mb, want: true, left: 200 * mb}, // some of it was in use then
		{cycles: 5, held: 200 * mb},
		{cycles: 5, held: 200 * mb},
		{cycles: 5, held: 200 * mb},
		{cycles: 5, held: 200 * mb, want: true, left: 200 * mb}, // less and less often
		{cycles: 5, held: 200 * mb, told: true, want: true, left: 50 * mb},
		{cycles: 5, held: 50 * mb},
		{cycles: 5, held: 50 * mb},
		{cycles: 5, held: 50 * mb}, // it is not worth it
		{cycles: 6, held: 50 * mb, told: true},
		{cycles: 6, held: 50 * mb, want: true, left: 1000 * mb},
		{cycles: 6, held: 1240 * mb},
		{cycles: 6, held: 1260 * mb, want: true},
	} {
		m.told = m.told || c.told
		if got := m.due(c.cycles, c.held); got != c.want {
			t.Errorf("%d: %v", i, got)
		} else if got {
			m.left = c.left
		}
	}
}
