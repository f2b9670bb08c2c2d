package lhd

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestAgeClasses(t *testing.T) {
	for class := range ages {
		low := uint64(lowestAge(class))
		if low > 1<<32-1 {
			t.Fatalf("class %d begins at %d, which is no age", class, low)
		}
		if got := ageClass(uint32(low)); got != class {
			t.Errorf("%d ms are in class %d, but are the lowest of class %d", low, got, class)
		}
		if low > 0 && ageClass(uint32(low-1)) != class-1 {
			t.Errorf("%d ms are in class %d, not %d", low-1, ageClass(uint32(low-1)), class-1)
		}
	}
	if got := ageClass(1<<32 - 1); got >= ages {
		t.Errorf("the highest age is in class %d of %d", got, ages)
	}
}

func TestGrow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var count uint8
	for i := range 4 {
		if count = grow(count, r.Uint32()); int(count) != i+1 {
			t.Fatalf("after %d uses the count is %d", i+1, count)
		}
	}
	// From here on it doubles: 15 stands for some 4 + 2 + 4 + ... + 2048 uses.
	uses := 4
	for ; count < MaxCount; uses++ {
		count = grow(count, r.Uint32())
	}
	if uses < 1000 || uses > 20000 {
		t.Errorf("it took %d uses to the highest count", uses)
	}
	if grow(MaxCount, 0) != MaxCount {
		t.Error("the highest count grew")
	}
}

// TestGhosts: what was evicted lately is remembered once, while the table grows too.
func TestGhosts(t *testing.T) {
	m, r := New(), rand.New(rand.NewPCG(2, 2))
	if m.Evicted(1, 3, 0); m.Returned(1, 0) != 0 {
		t.Error("something is remembered where there is no room")
	}
	type ghost struct {
		hash  uint64
		count uint8
	}
	var all []ghost
	const keys = 2 * 10 * perChunk
	for len(m.ghosts.chunks) < 10 {
		m.Remember(keys)
		for range 200 {
			g := ghost{r.Uint64(), uint8(r.IntN(4))}
			m.Evicted(g.hash, g.count, 0)
			all = append(all, g)
		}
	}
	if m.Remember(keys); len(m.ghosts.chunks) != 10 {
		t.Errorf("%d chunks for %d keys", len(m.ghosts.chunks), keys)
	}
	found, wrong := 0, 0
	for _, g := range all {
		switch m.Returned(g.hash, 0) {
		case g.count + 1:
			found++
		default:
			wrong++
		}
	}
	// 2,000 in a table for 2,048 at first: a bucket overflows now and then.
	if found < len(all)*95/100 {
		t.Errorf("of %d evicted keys %d are remembered", len(all), found)
	}
	again, strangers := 0, 0
	for _, g := range all {
		if m.Returned(g.hash, 0) > 0 {
			again++
		}
		if m.Returned(r.Uint64(), 0) > 0 {
			strangers++
		}
	}
	if again > len(all)/20 || strangers > len(all)/100 {
		t.Errorf("%d of %d are remembered twice, and %d that never were", again, len(all), strangers)
	}
}

// TestLearn: keys that are used every 100 ms until they are not any more, and keys that
// are used once: what waits longer than usual is worth less than what does not, and
// both are worth more than what nobody asks for again.
func TestLearn(t *testing.T) {
	m := New()
	for range 2 * learnEvery {
		m.Hit(2, 100, 0)
		m.Evicted(7, 2, 5000)
		m.Evicted(7, 0, 5000)
	}
	m.Learn(0)
	if fresh, late, once := m.Density(2, 90), m.Density(2, 200), m.Density(0, 90); fresh <= late || late < once || once != 0 {
		t.Errorf("densities %g, %g, %g", fresh, late, once)
	}
	if used, unused := m.Density(2, 90), m.Density(9, 90); unused >= used {
		t.Errorf("density %g of a count that nobody has had, %g of one that is hit", unused, used)
	}
	for range 2000 { // and it is forgotten
		for range learnEvery {
			m.Evicted(7, 2, 5000)
		}
		m.Learn(0)
	}
	if d := m.Density(2, 90); d > 1e-6 {
		t.Errorf("density %g after a long time without a hit", d)
	}
}

// TestConcurrentHits is for the race detector.
func TestConcurrentHits(t *testing.T) {
	m := New()
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			count := uint8(0)
			for i := range uint32(20000) {
				count = m.Hit(count, i, i*uint32(g+1))
				if m.Density(count, i) < 0 {
					t.Error("a density below 0")
				}
			}
		})
	}
	for i := range 20000 {
		m.Remember(100_000)
		m.Evicted(uint64(i)<<20, 1, 5)
		m.Learn(100)
		_ = m.Bytes()
	}
	all.Wait()
}

func BenchmarkHit(b *testing.B) {
	m := New()
	b.RunParallel(func(p *testing.PB) {
		count := uint8(0)
		for i := rand.Uint32(); p.Next(); i += 12345677 {
			count = m.Hit(count, i, i>>3)
		}
	})
}
