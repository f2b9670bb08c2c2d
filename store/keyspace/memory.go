package keyspace

import (
	"runtime"
	"unsafe"
)

// memory is where an arena has its slabs. It is not Go's heap: that keeps a part of
// what it has for what may come, which for memory that lives long is a waste, and
// gives it back when it thinks fit.
//
// It is unmapped when nobody can reach it any more, so whoever reads records holds it;
// or sooner by drop, when somebody knows that nobody will.
type memory struct {
	*regions
	cleanup runtime.Cleanup
	rest    []byte           // of the latest region
	free    []unsafe.Pointer // slabs that were given back
	warm    int              // of those in free, at its end, that take memory still
}

// regions is what is mapped.
type regions struct{ list [][]byte }

const (
	regionLeast = 8 * slabBytes
	regionMost  = 128 * slabBytes
	warmSlabs   = 16 // a slab that is needed again soon should not cost a system call each time
)

func newMemory() *memory {
	m := &memory{regions: &regions{}}
	m.cleanup = runtime.AddCleanup(m, (*regions).unmap, m.regions)
	return m
}

func (r *regions) unmap() {
	for _, b := range r.list {
		unmap(b)
	}
	r.list = nil
}

// drop unmaps all of it, on a goroutine of its own: for a gigabyte it takes a tenth of a
// second. It may be called once, by who knows that nobody will look at it any more.
func (m *memory) drop() {
	m.cleanup.Stop() // while m can be reached, so it has not begun
	go m.regions.unmap()
}

// take returns memory for a slab.
func (m *memory) take() unsafe.Pointer {
	if n := len(m.free); n > 0 {
		p := m.free[n-1]
		m.free, m.warm = m.free[:n-1], max(m.warm-1, 0)
		return p
	}
	if len(m.rest) == 0 {
		size := regionLeast
		if n := len(m.list); n > 0 {
			size = min(2*len(m.list[n-1]), regionMost)
		}
		m.rest = mapped(size)
		m.list = append(m.list, m.rest)
	}
	p := unsafe.Pointer(unsafe.SliceData(m.rest))
	m.rest = m.rest[slabBytes:]
	return p
}

// give takes back what take has returned.
func (m *memory) give(p unsafe.Pointer) {
	if m.warm == warmSlabs {
		discard(unsafe.Slice((*byte)(m.free[len(m.free)-warmSlabs]), slabBytes))
		m.warm--
	}
	m.free = append(m.free, p)
	m.warm++
}
