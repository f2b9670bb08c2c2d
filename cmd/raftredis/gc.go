package main

import (
	"os"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
)

// Most of the heap is data that lives long, and garbage that waits beside it is
// memory that the user has paid for twice; but collecting costs CPU for every key.
// So the heap may grow by gcPercent, or by gcRoom if that is more, before it is
// collected. (GOGC alone cannot say so: a small heap would be collected all the
// time.)
const (
	gcPercent  = 20
	gcRoom     = 32 << 20
	gcSmallest = 4 << 20 // a heap that Go takes any other for
)

// paceGC sets the percentage by the size of the heap, after each collection. With
// GOMEMLIMIT set the user has said how much memory there is, and all of it may be
// used; GOGC is the user's own word.
func paceGC() {
	switch {
	case os.Getenv("GOGC") != "":
	case os.Getenv("GOMEMLIMIT") != "":
		debug.SetGCPercent(200)
	default:
		p := &gcPacer{live: []gometrics.Sample{{Name: "/gc/heap/live:bytes"}}}
		p.adjust()
		p.watch()
	}
}

type gcPacer struct {
	percent int
	live    []gometrics.Sample
}

// watch has adjust called after each collection, which is when the runtime finds
// that nobody holds the object made here.
func (p *gcPacer) watch() {
	type sentinel struct{ *gcPacer }
	runtime.SetFinalizer(&sentinel{p}, func(s *sentinel) {
		s.adjust()
		s.watch()
	})
}

func (p *gcPacer) adjust() {
	gometrics.Read(p.live)
	percent := gcPercentFor(p.live[0].Value.Uint64())
	// To set it stops the world for a moment.
	if d := percent - p.percent; d > p.percent/8 || d < -p.percent/8 {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
}

func gcPercentFor(live uint64) int {
	return int(max(gcPercent, gcRoom*100/max(live, gcSmallest)))
}
