package main

import "testing"

func TestGCRoom(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		room, live uint64
		cost       float64
		want       uint64
	}{
		{16 * mb, 100 * mb, 0.017, 16 * mb},
		{16 * mb, 100 * mb, 0.001, 14 * mb},
		{8 * mb, 100 * mb, 0.001, 8 * mb},
		{16 * mb, 100 * mb, 0.1, 24 * mb},
		{30 * mb, 40 * mb, 0.1, 32 * mb},
		{30 * mb, 1000 * mb, 0.1, 45 * mb},
		{400 * mb, 1000 * mb, 0.1, 1000 * mb / 100 * 50},
	} {
		if got := gcRoom(c.room, c.live, c.cost); got != c.want {
			t.Errorf("%d of %d at %v: %d, want %d", c.room, c.live, c.cost, got, c.want)
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
		{cycles: 1, held: 10 * mb},
		{cycles: 1, held: 15 * mb}, // less than it is about
		{cycles: 2, held: 500 * mb},
		{cycles: 3, held: 500 * mb}, // something is going on
		{cycles: 3, held: 500 * mb, want: true, left: 400 * mb},
		{cycles: 5, held: 400 * mb},
		{cycles: 5, held: 400 * mb, want: true, left: 200 * mb}, // some of it was in use then
		{cycles: 5, held: 200 * mb},
		{cycles: 5, held: 200 * mb},
		{cycles: 5, held: 200 * mb},
		{cycles: 5, held: 200 * mb, want: true, left: 200 * mb}, // less and less often
		{cycles: 5, held: 200 * mb, told: true, want: true, left: 12 * mb},
		{cycles: 5, held: 12 * mb},
		{cycles: 5, held: 12 * mb},
		{cycles: 5, held: 12 * mb}, // it is not worth it
		{cycles: 6, held: 12 * mb, told: true},
		{cycles: 6, held: 12 * mb, want: true, left: 1000 * mb},
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
