package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

// trace is what is asked for, as numbers of keys below the footprint.
type trace struct {
	name string
	keys []int32
	// deadline is how long a key may stay, in minutes: the longer the more popular it is,
	// and more than the replay takes. For volatile-ttl.
	deadline []int32
}

// traces makes n requests of each kind. They are the same in every run.
func traces(footprint, n int) []trace {
	all := []trace{
		{name: "Zipf 0.9", keys: zipfTrace(footprint, n, 0.9)},
		{name: "Zipf 1.2", keys: zipfTrace(footprint, n, 1.2)},
		{name: "scans", keys: scanTrace(footprint, n)},
		{name: "shifting", keys: shiftTrace(footprint, n)},
	}
	for i := range all {
		all[i].deadline = make([]int32, footprint)
		for k := range all[i].deadline {
			all[i].deadline[k] = 60
		}
		for _, k := range all[i].keys {
			all[i].deadline[k]++
		}
	}
	return all
}

func chance() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// zipf draws ranks: the i-th is i^-s times as likely as the first.
func zipf(r *rand.Rand, n int, s float64) func() int {
	sums := make([]float64, n)
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -s)
		sums[i] = sum
	}
	return func() int {
		at, _ := slices.BinarySearch(sums, r.Float64()*sum)
		return min(at, n-1)
	}
}

func zipfTrace(footprint, n int, s float64) []int32 {
	r := chance()
	rank, names, out := zipf(r, footprint, s), r.Perm(footprint), make([]int32, n)
	for i := range out {
		out[i] = int32(names[rank()])
	}
	return out
}

// scanTrace: a fifth of the keys is asked for all the time, and somebody walks over the
// rest, round and round, with breaks.
func scanTrace(footprint, n int) []int32 {
	r, hot, at := chance(), footprint/5, 0
	rank, names, out := zipf(r, hot, 0.9), r.Perm(hot), make([]int32, n)
	for i := range out {
		if i%footprint > footprint/3 && i%2 == 0 {
			out[i] = int32(hot + at)
			at = (at + 1) % (footprint - hot)
		} else {
			out[i] = int32(names[rank()])
		}
	}
	return out
}

// shiftTrace: half of the keys is asked for, and which half, and what of it the most,
// changes ten times.
func shiftTrace(footprint, n int) []int32 {
	r := chance()
	rank, names, out := zipf(r, footprint/2, 0.9), r.Perm(footprint), make([]int32, n)
	for i := range out {
		phase := i * 10 / n
		out[i] = int32(names[(phase*footprint/10+(rank()*7919+phase*104729)%(footprint/2))%footprint])
	}
	return out
}
