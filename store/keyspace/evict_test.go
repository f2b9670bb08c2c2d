package keyspace

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// evictModel is a keyspace in which keys of all sizes come and go, also while captures are
// read, and what there is at any time.
type evictModel struct {
	t        *testing.T
	rng      *rand.Rand
	ks       *Keyspace
	keys     [2]map[string]uint64 // by database: the revision that wrote each key
	revision uint64
	frozen   []*Frozen
}

func newEvictModel(t *testing.T) *evictModel {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m := &evictModel{t: t, rng: rand.New(rand.NewPCG(seed, 3)), ks: New()}
	for i := range m.keys {
		m.keys[i] = map[string]uint64{}
	}
	return m
}

func (m *evictModel) unit(db int) DB {
	m.revision++
	m.ks.Begin(m.revision, int64(m.revision))
	return m.ks.DB(db)
}

// set makes key number i, whose name and value are as long as it says.
func (m *evictModel) set(db, i int) {
	name := fmt.Sprintf("key:%d", i)
	if i%97 == 0 {
		name += string(make([]byte, maxSmall)) // a slab of its own
	}
	d := m.unit(db)
	d.Set([]byte(name), make([]byte, i*7%400), int64(i%2)<<50)
	m.keys[db][name] = m.revision
}

func (m *evictModel) delete(db int, name string) {
	d := m.unit(db)
	d.Delete([]byte(name))
	delete(m.keys[db], name)
}

// step changes something.
func (m *evictModel) step() {
	db := m.rng.IntN(2)
	switch n := m.rng.IntN(1000); {
	case n == 0:
		d := m.unit(db)
		d.Flush()
		clear(m.keys[db])
	case n < 5:
		m.frozen = append(m.frozen, m.ks.Capture())
	case n < 15 && len(m.frozen) > 0:
		m.frozen[0].Release()
		m.frozen = m.frozen[1:]
	case n < 450:
		for name := range m.keys[db] { // any
			m.delete(db, name)
			break
		}
	default:
		m.set(db, m.rng.IntN(3000))
	}
}

func (m *evictModel) check(c *Candidate) {
	m.t.Helper()
	if version, ok := m.keys[c.Place.DB][string(c.Key)]; !ok || version != c.Version {
		m.t.Fatalf("revision %d: key %.20q of revision %d is a candidate; there: %v, of %d", m.revision, c.Key, c.Version, ok, version)
	}
}

// TestCandidates: whatever has happened to the memory that keys are in, what Sample comes
// across and what Again finds where it was seen long ago are keys that there are.
func TestCandidates(t *testing.T) {
	m := newEvictModel(t)
	chance := NewRand(1)
	var seen []Place
	again := 0
	for range 30_000 {
		m.step()
		policy := AllKeysLRU
		if m.rng.IntN(4) == 0 {
			policy = VolatileLRU
		}
		if m.ks.Candidates(policy) == 0 {
			continue
		}
		n := 0
		m.ks.Sample(policy, &chance, 1+m.rng.IntN(MaxSample), 1+m.rng.IntN(5), int64(m.revision), func(c *Candidate) {
			m.check(c)
			if policy.Volatile() != (c.Expire != 0) && policy.Volatile() {
				t.Fatalf("key %q without a deadline", c.Key)
			}
			if n++; n == 1 {
				seen = append(seen, c.Place)
			}
		})
		if n == 0 {
			t.Fatalf("of %d candidates none is seen", m.ks.Candidates(policy))
		}
		if len(seen) > 500 {
			seen = seen[m.rng.IntN(len(seen)):]
		}
		for _, at := range seen {
			if c, ok := m.ks.Again(at, AllKeysLRU, int64(m.revision)); ok {
				m.check(&c)
				again++
			}
		}
	}
	if again == 0 {
		t.Error("nothing was ever found again")
	}
}

// TestSampleIsFair: a key that takes much memory is seen as often as one that takes little.
func TestSampleIsFair(t *testing.T) {
	m := newEvictModel(t)
	const n, looks = 3000, 200_000
	for i := range n {
		d := m.unit(i % 2)
		d.Set(fmt.Appendf(nil, "key:%d", i), make([]byte, i%3*300), 0)
	}
	chance := NewRand(m.rng.Uint64())
	var seen [3]int
	for range looks / 40 {
		m.ks.Sample(AllKeysLRU, &chance, 40, 5, int64(m.revision), func(c *Candidate) {
			var i int
			if _, err := fmt.Sscanf(string(c.Key), "key:%d", &i); err != nil {
				t.Fatal(err)
			}
			seen[i%3]++
		})
	}
	all := seen[0] + seen[1] + seen[2]
	for size, k := range seen {
		if part := float64(k) / float64(all); part < 0.28 || part > 0.39 {
			t.Errorf("of %v that were seen %.2f are of size %d, where a third of all are", seen, part, size)
		}
	}
	if all < looks/2 || all > looks*2 {
		t.Errorf("%d are seen, where %d were asked for", all, looks)
	}
}

// TestSampleOfLongNames: where a run would be longer than a slab nobody is seen twice in one.
func TestSampleOfLongNames(t *testing.T) {
	m := newEvictModel(t)
	d := m.unit(0)
	d.Set([]byte("short"), nil, 0)
	d = m.unit(0)
	d.Set(make([]byte, 10<<20), nil, 0)
	chance := NewRand(1)
	for range 100 {
		seen := 0
		m.ks.Sample(AllKeysLRU, &chance, 40, 5, int64(m.revision), func(*Candidate) { seen++ })
		if seen == 0 || seen > 48 {
			t.Fatalf("%d are seen, where 40 were asked for", seen)
		}
	}
}
