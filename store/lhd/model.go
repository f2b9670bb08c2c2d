package lhd

import (
	"math"
	"math/bits"
	"sync/atomic"
)

const (
	counts = 16  // a key's count of accesses, 0 to 15
	ages   = 124 // classes of ages, four for each power of two (see ageClass)

	// MaxCount is the highest count that a key can have.
	MaxCount = counts - 1

	recordEvery = 4    // hits for one that is recorded, a power of two
	learnEvery  = 5000 // the least number of events to learn from at a time
	memory      = 0.9  // how much of what was known is kept each time
)

// Model is what is known about keys of each count and age. Hit may be called by any
// number of goroutines at any time, Density beside that; Evicted and Returned by one at
// a time (whoever applies the log), and Learn by one at a time.
type Model struct {
	hits      [counts][ages]atomic.Uint32 // since the last Learn, one in recordEvery
	evictions [counts][ages]atomic.Uint32
	events    atomic.Int64

	density [counts][ages]atomic.Uint32 // bits of a float32

	// Learn's own: what the counters above have come to, fading.
	pastHits, pastEvictions [counts][ages]float64

	ghosts ghosts
}

// New makes a model that knows nothing: it prefers keys that were used often and
// lately.
func New() *Model {
	m := &Model{}
	for c := range counts {
		for a := range ages {
			// Far below what is ever learned, so that the two do not compete for long.
			m.setDensity(c, a, 1e-9*float64(c+1)/(lowestAge(a)+1))
		}
	}
	return m
}

// Hit notes that a key was used, age milliseconds after the last time, and returns its
// new count. chance is 32 bits that are different each time: most hits are not recorded,
// and a high count grows seldom.
func (m *Model) Hit(count uint8, age uint32, chance uint32) uint8 {
	count = min(count, MaxCount)
	if chance%recordEvery == 0 {
		m.hits[count][ageClass(age)].Add(1)
		m.events.Add(recordEvery)
	}
	return grow(count, chance/recordEvery)
}

// grow counts exactly to 4, and then every second, fourth, ... use.
func grow(count uint8, chance uint32) uint8 {
	if count < MaxCount && (count < 4 || chance&(1<<(count-3)-1) == 0) {
		return count + 1
	}
	return count
}

// Evicted notes that a key was evicted, age milliseconds after its last use. hash is
// any hash of its name, always the same on this node.
func (m *Model) Evicted(hash uint64, count uint8, age uint32) {
	count = min(count, MaxCount)
	m.evictions[count][ageClass(age)].Add(1)
	m.events.Add(1)
	m.ghosts.put(hash, count)
}

// Returned is the count that a new key begins with: 0, or one more than it had when it
// was evicted not long ago.
func (m *Model) Returned(hash uint64, chance uint32) uint8 {
	count, ok := m.ghosts.take(hash)
	if !ok {
		return 0
	}
	return grow(count, chance)
}

// Density says how many hits a key is likely to bring for each unit of time that it is
// kept, in a unit of its own: the lower, the sooner it should go.
func (m *Model) Density(count uint8, age uint32) float32 {
	return math.Float32frombits(m.density[min(count, MaxCount)][ageClass(age)].Load())
}

func (m *Model) setDensity(count, age int, d float64) {
	m.density[count][age].Store(math.Float32bits(float32(d)))
}

// Learn takes in what has happened, if that is enough, for a cache that holds so many
// keys. To be called now and then by who asks for densities: it costs nothing as a rule,
// some 10 us otherwise.
func (m *Model) Learn(keys int) {
	if m.events.Load() < int64(max(learnEvery, keys)) {
		return
	}
	m.events.Store(0)
	for c := range counts {
		// From the oldest age down: what becomes of those that have come to this age,
		// and for how long, all of them together, they are kept from here on.
		var hits, ends, time float64
		for a := ages - 1; a >= 0; a-- {
			h, e := &m.pastHits[c][a], &m.pastEvictions[c][a]
			*h = memory**h + recordEvery*float64(m.hits[c][a].Swap(0))
			*e = memory**e + float64(m.evictions[c][a].Swap(0))
			hits += *h
			ends += *h + *e
			time += ends * (lowestAge(a+1) - lowestAge(a))
			density := 0.0 // nobody has come to this age: it is high time
			if time > 0 {
				density = hits / time
			}
			m.setDensity(c, a, density)
		}
	}
}

// Remember says how many keys fit into the cache. Half as many of those that were evicted
// are remembered: a byte for each that fits. The room grows by 4 KiB at a call and is never
// less; it is to be called often, by who calls Evicted.
func (m *Model) Remember(keys int) { m.ghosts.grow(keys / 2) }

// Bytes is the memory that the model takes. Safe beside all other calls.
func (m *Model) Bytes() int64 {
	return int64(counts*ages*(4+4+4+8+8)) + m.ghosts.bytes.Load()
}

// ageClass is 0, 1, 2 for the first milliseconds, and then there are four classes for
// each power of two.
func ageClass(age uint32) int {
	a := uint64(age) + 1
	if a < 4 {
		return int(a) - 1
	}
	octave := bits.Len64(a) - 1
	return octave*4 + int(a>>(octave-2))&3 - 5
}

// lowestAge is the lowest age of a class.
func lowestAge(class int) float64 {
	if class < 3 {
		return float64(class)
	}
	octave, quarter := (class+5)/4, (class+5)%4
	return float64(uint64(4+quarter)<<(octave-2)) - 1
}
