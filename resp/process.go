package resp

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
)

// memoryNumbers are what INFO memory and MEMORY STATS show, in bytes. Used, peak and
// overhead are the state's: they follow from it, and are alike on all members. The others
// are this process's.
type memoryNumbers struct {
	used     int64 // that the state needs: what maxmemory is compared with
	peak     int64 // the most of it that was seen
	overhead int64 // of used: neither names nor values
	keys     int64 // how many there are

	rss       int64 // of the process
	system    int64 // the machine's
	objects   int64 // of the heap, live or not yet collected
	active    int64 // memory of the heap's spans in use
	resident  int64 // what the runtime holds from the system
	runtime   int64 // of that: no heap but stacks, and the runtime's own
	headroom  int64 // that the heap may yet grow by until it is collected
	clients   int64 // of all connections
	proposals int64 // of requests on their way through the log
	learned   int64 // of the eviction policy
}

func (s *Server) memoryUse() memoryNumbers {
	state := s.store.Memory()
	m := memoryNumbers{
		used: state.Used, learned: state.Learned, peak: s.peakMemory(state.Used),
		clients: s.clientMemory(), proposals: int64(s.store.Stats().PendingBytes), system: systemMemory(),
	}
	for _, db := range s.store.Keyspaces() {
		m.keys += int64(db.Keys)
		m.overhead += db.Overhead
	}
	m.overhead = min(m.overhead, m.used) // they are not of one moment
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/heap/goal:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) int64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int64(min(samples[i].Value.Uint64(), math.MaxInt64))
	}
	m.objects, m.active, m.resident = value(0), value(0)+value(1), value(4)-value(2)
	m.runtime = max(0, m.resident-m.active-value(3))
	m.headroom = max(0, value(5)-m.objects)
	if m.rss = residentMemory(); m.rss == 0 {
		m.rss = m.resident
	}
	return m
}

// peakMemory remembers the most memory that the state was seen to need.
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
