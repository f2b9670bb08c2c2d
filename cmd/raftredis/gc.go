package main

import (
	"os"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
	"time"
)

// Most of the heap is data that lives long, and garbage that waits beside it is
// memory that the user has paid for twice; but each collection costs CPU, next to none
// for keys and strings, in which there are no pointers, and some for each element of a
// large collection. So the room that the heap may grow by before it is collected
// follows what collecting costs: it becomes smaller while that is less than gcCheap of
// the CPU time, and larger while it is more than gcDear, up to gcPercent of the heap, or
// gcRoomMost if that is more. (GOGC alone cannot say so: it takes a percentage, whatever
// is in the heap.)
const (
	gcCheap     = 0.015
	gcDear      = 0.019
	gcPercent   = 50
	gcRoomMost  = 32 << 20
	gcRoomLeast = 8 << 20
	gcSmallest  = 4 << 20 // a heap that Go takes any other for
)

// paceGC sets the percentage by the size of the heap, after each collection. With
// GOMEMLIMIT set the user has said how much memory there is, and all of it may be
// used; GOGC is the user's own word.
func paceGC(f freed, lend func() (giveBack func())) {
	switch {
	case os.Getenv("GOGC") != "":
	case os.Getenv("GOMEMLIMIT") != "":
		debug.SetGCPercent(200)
	default:
		p := newGCPacer()
		p.adjust()
		p.watch()
		go f.giveBack(time.NewTicker(giveBackEvery).C, lend)
	}
}

// What a large value, or a client that does not read its replies, has needed for a
// moment is garbage until the next collection, which a node that has become quiet may
// not see for minutes, and after that free memory that Go keeps for long. So when
// nothing has been collected for a while, and the heap has become larger since it was
// last looked at, it is collected and what is free is given back to the system; and
// again later, less and less often, since what was in use then may not be any more.
// (Go collects the heap of an idle process every two minutes, too.)
const (
	giveBackEvery = 2 * time.Second
	giveBackFrom  = 16 << 20 // or a quarter of the heap, if that is more
	giveBackMost  = 60       // ticks between two times
)

// freed is told when much memory is not needed any more: see resp.Options.
type freed chan struct{}

func (f freed) tell() {
	select {
	case f <- struct{}{}:
	default:
	}
}

// giveBack does it. The runtime does not let go of the thread meanwhile, and to unmap
// a gigabyte takes longer than a heartbeat may be late: it has to be a thread of its own.
func (f freed) giveBack(tick <-chan time.Time, lend func() (giveBack func())) {
	var m heapMeter
	for range tick {
		select {
		case <-f:
			m.told = true
		default:
		}
		if m.due(readHeap()) {
			done := lend()
			debug.FreeOSMemory()
			done()
			_, m.left = readHeap()
		}
	}
}

// heapMeter finds out when it is worth while to give memory back.
type heapMeter struct {
	told   bool // somebody knows that it is
	cycles uint64
	left   uint64 // what the heap held after that was last done, or less
	every  int    // ticks to wait until it is done again, 0: not at all
	wait   int    // how many of them are left
}

// due takes the number of collections so far and the bytes that the heap holds.
func (m *heapMeter) due(cycles, held uint64) bool {
	quiet := cycles == m.cycles
	m.cycles, m.left = cycles, min(m.left, held)
	m.wait--
	switch {
	case !quiet:
		return false // something is going on, and is being collected
	case m.told, held > m.left+max(giveBackFrom, m.left/4):
		m.every = 1
	case m.every == 0 || m.wait > 0 || held < giveBackFrom:
		return false
	}
	m.told = false
	m.every = min(2*m.every, giveBackMost)
	m.wait = m.every
	return true
}

func readHeap() (cycles, held uint64) {
	samples := []gometrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	gometrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64() + samples[2].Value.Uint64() + samples[3].Value.Uint64()
}

// gcPacer sets the percentage after each collection.
type gcPacer struct {
	percent      int
	room         uint64
	samples      []gometrics.Sample
	spent, total float64 // seconds of CPU at the last collection: for collecting, and altogether
}

func newGCPacer() *gcPacer {
	return &gcPacer{room: gcRoomMost, samples: []gometrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}, // which nobody else wanted
		{Name: "/cpu/classes/user:cpu-seconds"},
	}}
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
	gometrics.Read(p.samples)
	live := p.samples[0].Value.Uint64()
	spent := p.samples[1].Value.Float64() - p.samples[2].Value.Float64()
	total := spent + p.samples[3].Value.Float64()
	if total > p.total {
		p.room = gcRoom(p.room, live, (spent-p.spent)/(total-p.total))
	}
	p.spent, p.total = spent, total
	percent := int(max(p.room*100/max(live, gcSmallest), 1))
	// To set it stops the world for a moment.
	if d := percent - p.percent; d > p.percent/8 || d < -p.percent/8 {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
}

// gcRoom returns the room that comes after one that made collecting cost a part of the
// CPU time.
func gcRoom(room, live uint64, cost float64) uint64 {
	switch {
	case cost > gcDear:
		room += room / 2
	case cost < gcCheap:
		room -= room / 8
	}
	return min(max(room, gcRoomLeast), max(gcRoomMost, live/100*gcPercent))
}
