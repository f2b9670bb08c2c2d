package evict

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/raftredis/raftredis/store/keyspace"
)

// policies are those that let keys go.
func policies() []keyspace.Policy {
	return []keyspace.Policy{
		keyspace.VolatileLRU, keyspace.VolatileLFU, keyspace.VolatileRandom, keyspace.VolatileTTL, keyspace.VolatileLHD,
		keyspace.AllKeysLRU, keyspace.AllKeysLFU, keyspace.AllKeysRandom, keyspace.AllKeysLHD,
	}
}

// TestScore: each policy lets the first go rather than the second, and so on; those that
// stand together are the same to it.
func TestScore(t *testing.T) {
	type same []keyspace.Candidate
	lru := []same{
		{{Idle: -1, Version: 3, Freq: 200}}, // not used since it was restored
		{{Idle: -1, Version: 7}},
		{{Idle: 5000, Expire: 1, Density: 1, Version: 1}, {Idle: 5000, Version: 9}},
		{{Idle: 100}},
		{{Idle: 0}},
	}
	lfu := []same{
		{{Freq: 0, Idle: 0}, {Freq: 0, Idle: 9000}, {Freq: 0, Idle: -1}},
		{{Freq: 1}},
		{{Freq: 5}},
		{{Freq: 255}},
	}
	lhd := []same{
		{{Density: 0, Idle: 10}, {Density: 0, Idle: 10, Freq: 3}},
		{{Density: 0, Idle: 9}},
		{{Density: 1e-9, Idle: 9000}},
		{{Density: 0.5, Idle: 9000}},
		{{Density: 0.5, Idle: 1}},
		{{Density: 2}},
		{{Density: 1e9, Idle: 9000}},
	}
	ttl := []same{{{Expire: 1000}}, {{Expire: 1001, Idle: 9000}, {Expire: 1001, Freq: 9}}, {{Expire: 1 << 50}}}
	random := []same{{{Idle: 1}, {Freq: 7}, {Density: 3}, {Expire: 9}, {Idle: -1}}}
	for _, p := range policies() {
		order := map[keyspace.Policy][]same{
			keyspace.VolatileLRU: lru, keyspace.AllKeysLRU: lru,
			keyspace.VolatileLFU: lfu, keyspace.AllKeysLFU: lfu,
			keyspace.VolatileLHD: lhd, keyspace.AllKeysLHD: lhd,
			keyspace.VolatileRandom: random, keyspace.AllKeysRandom: random,
			keyspace.VolatileTTL: ttl,
		}[p]
		for i, class := range order {
			score := Score(p, &class[0])
			for _, c := range class[1:] {
				if got := Score(p, &c); got != score {
					t.Errorf("%v: %+v has %d, %+v %d", p, class[0], score, c, got)
				}
			}
			if i > 0 {
				if before := Score(p, &order[i-1][0]); before <= score {
					t.Errorf("%v: %+v has %d, and %+v, which is to stay longer, %d", p, order[i-1][0], before, class[0], score)
				}
			}
		}
	}
}

// store is a keyspace whose keys are used.
type store struct {
	ks       *keyspace.Keyspace
	revision uint64
	now      int64
	chance   keyspace.Rand
}

// newStore makes one with a policy that looks at so many samples.
func newStore(p keyspace.Policy, samples int64) *store {
	s := &store{ks: keyspace.New(), now: 1_000_000, chance: keyspace.NewRand(1)}
	s.write(0, func(db *keyspace.DB) {
		l := *s.ks.Limits()
		l.MaxMemory, l.MaxMemoryPolicy, l.MaxMemorySamples = 1, int64(p), samples
		l.LFULogFactor, l.LFUDecayTime = 0, 0 // every use counts, for ever
		db.SetLimits(l)
	})
	return s
}

func (s *store) write(db int, do func(*keyspace.DB)) {
	s.revision++
	s.ks.Begin(s.revision, s.now)
	d := s.ks.DB(db)
	do(&d)
}

// set makes a key, with a deadline some ms ahead, 0: none.
func (s *store) set(db int, key string, ahead int64) {
	s.now += 1000
	s.write(db, func(d *keyspace.DB) {
		if ahead > 0 {
			ahead += s.now
		}
		d.Set([]byte(key), []byte("value"), ahead)
	})
}

func (s *store) use(db int, key string, times int) {
	v := s.ks.View(db, s.now)
	v.Chance = &s.chance
	v.Use([]byte(key), uint64(times))
}

// fill makes n keys in two databases, every other with a deadline, and uses them
// differently: which one is to go first is another one under each policy.
func (s *store) fill(n int) {
	for i := range n {
		s.set(i%2, fmt.Sprint("keeps", i), 0)
		s.set(i%2, fmt.Sprint("expires", i), 1<<20+int64(i*7919%n)<<13)
	}
	for i := range n {
		s.now += 1000
		s.use(i*31%n%2, fmt.Sprint("keeps", i*31%n), i*17%n)
		s.use(i*13%n%2, fmt.Sprint("expires", i*13%n), i*11%n)
	}
}

// all returns the candidates and their scores.
func (s *store) all(p keyspace.Policy) map[Key]uint64 {
	scores := make(map[Key]uint64)
	for i := range s.ks.Candidates(p) {
		c := s.ks.Candidate(p, i, s.now)
		scores[Key{c.Place, string(c.Key), c.Bytes}] = Score(p, &c)
	}
	return scores
}

// TestChooses: who looks at enough of them chooses the worst there is, then the next, and
// every key once; a volatile policy those with a deadline.
func TestChooses(t *testing.T) {
	const n = 5 // so few that none is overlooked
	for _, p := range policies() {
		t.Run(p.String(), func(t *testing.T) {
			s := newStore(p, maxSamples)
			s.fill(n)
			left := s.all(p)
			want := 2 * n
			if p.Volatile() {
				want = n
			}
			if len(left) != want {
				t.Fatalf("%d candidates, not %d", len(left), want)
			}
			c := NewChooser(7)
			var chosen []Key
			for len(left) > 0 {
				keys := c.Choose(s.ks, s.now, 1, 10)
				if len(keys) != 1 {
					t.Fatalf("%v are chosen for a byte, with %d left", keys, len(left))
				}
				score, ok := left[keys[0]]
				if !ok {
					t.Fatalf("%v is chosen, which is none of those left", keys[0])
				}
				delete(left, keys[0])
				for k, better := range left {
					if better > score {
						t.Errorf("%v has %d and is chosen, %v has %d", keys[0], score, k, better)
					}
				}
				chosen = append(chosen, keys...)
			}
			if more := c.Choose(s.ks, s.now, 1, 10); len(more) > 0 {
				t.Errorf("%v is chosen once more", more)
			}
			c.Done(chosen[3:5])
			if again := c.Choose(s.ks, s.now, 1<<30, 10); len(again) != 2 || !sameKeys(again, chosen[3:5]) {
				t.Errorf("of %v nothing has come, and %v are chosen", chosen[3:5], again)
			}
		})
	}
}

func sameKeys(a, b []Key) bool {
	in := func(k Key) bool { return slices.Contains(b, k) }
	return len(a) == len(b) && !slices.ContainsFunc(a, func(k Key) bool { return !in(k) })
}

// TestChoosesEnough: as many as are needed, and no more than may be.
func TestChoosesEnough(t *testing.T) {
	s := newStore(keyspace.AllKeysLRU, 5)
	if keys := NewChooser(1).Choose(s.ks, s.now, 1, 1); len(keys) > 0 {
		t.Fatalf("of nothing %v are chosen", keys)
	}
	for i := range 50 {
		s.set(0, fmt.Sprint("key", 10+i), 0)
	}
	c := NewChooser(1)
	each := c.Choose(s.ks, s.now, 1, 1)[0].Bytes
	for _, x := range []struct {
		need int64
		n    int
		want int
	}{{0, 9, 0}, {-1, 9, 0}, {1, 9, 1}, {each, 9, 1}, {4*each + 1, 9, 5}, {5 * each, 9, 5}, {1 << 30, 9, 9}, {1, 0, 0}} {
		keys := c.Choose(s.ks, s.now, x.need, x.n)
		if len(keys) != x.want {
			t.Errorf("%d bytes are needed, of at most %d keys of %d bytes: %d are chosen, not %d", x.need, x.n, each, len(keys), x.want)
		}
	}
	s = newStore(keyspace.NoEviction, 5)
	s.fill(5)
	if keys := NewChooser(1).Choose(s.ks, s.now, 1<<30, 9); len(keys) > 0 {
		t.Errorf("under noeviction %v are chosen", keys)
	}
	s = newStore(keyspace.VolatileLRU, 5)
	s.set(0, "no deadline", 0)
	if keys := NewChooser(1).Choose(s.ks, s.now, 1<<30, 9); len(keys) > 0 {
		t.Errorf("without a deadline %v are chosen", keys)
	}
}

// TestLooksAgain: what was remembered and has been used, has gone or has lost its deadline
// meanwhile is not chosen.
func TestLooksAgain(t *testing.T) {
	s := newStore(keyspace.VolatileLRU, maxSamples)
	for i := range 6 {
		s.set(0, fmt.Sprint("k", i), 1<<30)
	}
	c := NewChooser(3)
	next := func(want string) {
		t.Helper()
		if keys := c.Choose(s.ks, s.now, 1, 1); len(keys) != 1 || keys[0].Name != want {
			t.Fatalf("%v is chosen, not %s; remembered are %v", keys, want, c.pool)
		}
	}
	next("k0")
	if len(c.pool) == 0 {
		t.Fatal("nothing is remembered")
	}
	s.use(0, "k1", 1)
	next("k2")
	s.write(0, func(db *keyspace.DB) { db.SetExpire([]byte("k3"), 0) })
	next("k4")
	s.write(0, func(db *keyspace.DB) { db.Delete([]byte("k5")) })
	next("k1")
	c.Forget()
	if keys := c.Choose(s.ks, s.now, 1, 1); len(keys) > 0 {
		t.Errorf("%v is chosen, and there is nothing left", keys)
	}
}

// TestPool: the best of those that were not chosen are remembered, at most poolSize, the
// best last. With them five samples do better than without.
func TestPool(t *testing.T) {
	const n, choices, samples = 2000, 250, 5
	oldest := func(forget bool) (hits int) {
		s := newStore(keyspace.AllKeysLRU, samples)
		for i := range n {
			s.set(i%3, fmt.Sprint(i), 0)
		}
		c := NewChooser(11)
		for range choices {
			if forget {
				c.Forget()
			}
			keys := c.Choose(s.ks, s.now, 1, 1)
			if len(keys) != 1 {
				t.Fatalf("%v are chosen", keys)
			}
			if len(c.pool) > poolSize || !slices.IsSortedFunc(c.pool, func(a, b entry) int {
				if a.score < b.score {
					return -1
				}
				return 1
			}) {
				t.Fatalf("remembered are %v", c.pool)
			}
			s.write(keys[0].At.DB, func(db *keyspace.DB) {
				if !db.Evict([]byte(keys[0].Name), keyspace.AllKeysLRU) {
					t.Fatalf("there is no %v", keys[0])
				}
			})
			c.Done(keys)
			var i int
			if _, err := fmt.Sscan(keys[0].Name, &i); err != nil {
				t.Fatal(err)
			}
			if i < n/4 {
				hits++
			}
		}
		return hits
	}
	with, without := oldest(false), oldest(true)
	t.Logf("of %d choices of %d keys, %d are of the oldest quarter; %d without a pool", choices, n, with, without)
	if with <= without || with < choices*9/10 {
		t.Errorf("of %d choices %d are good, %d without a pool", choices, with, without)
	}
}

// TestDetermined: the same chance chooses the same, another one others.
func TestDetermined(t *testing.T) {
	for _, p := range policies() {
		run := func(seed uint64) []Key {
			s := newStore(p, 3)
			s.fill(100)
			return NewChooser(seed).Choose(s.ks, s.now, 1<<30, 30)
		}
		a, b, other := run(5), run(5), run(6)
		if len(a) != 30 || !reflect.DeepEqual(a, b) {
			t.Errorf("%v: %v and then %v", p, a, b)
		}
		if reflect.DeepEqual(a, other) {
			t.Errorf("%v: whatever the seed it chooses %v", p, a)
		}
	}
}
