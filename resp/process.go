package resp

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
)

// memoryNumbers are what INFO memory shows, in bytes.
type memoryNumbers struct {
	used     int64 // live and not yet collected objects
	active   int64 // memory of the heap's spans in use
	resident int64 // what the runtime holds from the system
	overhead int64 // everything but heap objects: stacks, the runtime's own
	rss      int64
	system   int64
}

func memoryUse() memoryNumbers {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) int64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int64(min(samples[i].Value.Uint64(), math.MaxInt64))
	}
	m := memoryNumbers{used: value(0), active: value(0) + value(1), resident: value(3) - value(2)}
	m.overhead = max(0, m.resident-m.active)
	m.rss, m.system = residentMemory(), systemMemory()
	if m.rss == 0 {
		m.rss = m.resident
	}
	return m
}

// peakMemory remembers the most memory that was seen in use.
func (s *Server) peakMemory(used int64) int64 {
	for {
		peak := s.peak.Load()
		if used <= peak {
			return peak
		}
		if s.peak.CompareAndSwap(peak, used) {
			return used
		}
	}
}

// freeMemory gives what is not in use back to the system.
func freeMemory() { debug.FreeOSMemory() }
