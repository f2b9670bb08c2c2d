package evict

import (
	"math"
	"slices"

	"github.com/raftredis/raftredis/store/keyspace"
)

// Score is how gladly a policy lets a key go: the highest of those that were looked at
// goes first. It is the one place that tells the policies apart.
func Score(p keyspace.Policy, c *keyspace.Candidate) uint64 {
	// What was restored from a snapshot and not used since has been idle for longer than
	// anything else; of two the one that was written earlier.
	idle := math.MaxUint64 - c.Version
	if c.Idle >= 0 {
		idle = uint64(c.Idle)
	}
	switch p {
	case keyspace.AllKeysLFU, keyspace.VolatileLFU:
		// Of those that were used as often, any, as in Redis: to let the one go that was not
		// used for longest would lose all of a loop that does not fit.
		return uint64(255 - c.Freq)
	case keyspace.AllKeysLHD, keyspace.VolatileLHD:
		// A density is not negative, so its bits are in its order.
		return uint64(math.MaxInt32-math.Float32bits(c.Density))<<33 | idle&(1<<33-1)
	case keyspace.VolatileTTL:
		return math.MaxInt64 - uint64(c.Expire)
	case keyspace.AllKeysLRU, keyspace.VolatileLRU:
		return idle
	default:
		return 0
	}
}

// poolSize is how many of those that were looked at and not chosen are remembered, as in
// Redis: with them five samples are nearly as good as knowing all keys.
const poolSize = 16

// Key is a key that was chosen.
type Key struct {
	At    keyspace.Place
	Name  string
	Bytes int64 // that it needs
}

// Chooser chooses keys. It is for one goroutine.
type Chooser struct {
	pool    []entry                     // the lowest score first
	pending map[keyspace.Place]struct{} // chosen, and not gone yet
	rand    keyspace.Rand
}

type entry struct {
	at    keyspace.Place
	score uint64
}

// NewChooser returns one that goes by that chance.
func NewChooser(seed uint64) *Chooser {
	return &Chooser{pending: make(map[keyspace.Place]struct{}), rand: keyspace.NewRand(seed)}
}

// Choose returns keys that need about need bytes together, at most n of them, fewer if it
// does not find any more. They are not chosen again before Done. Nobody may change ks
// meanwhile.
func (c *Chooser) Choose(ks *keyspace.Keyspace, now, need int64, n int) (keys []Key) {
	p := ks.Limits().Policy()
	if p == keyspace.NoEviction {
		return nil
	}
	samples := int(min(ks.Limits().MaxMemorySamples, maxSamples))
	if p == keyspace.AllKeysRandom || p == keyspace.VolatileRandom {
		samples = 1
	}
	ks.Learn()
	// Several at a time, so that what they need of memory is waited for together.
	several := max(1, min(atATime, maxSamples/samples))
	for misses := 0; need > 0 && len(keys) < n && misses < maxMisses; {
		if ks.Candidates(p) == 0 {
			break
		}
		// One is taken as soon as samples for one have been offered. Of several that are all as
		// good the pool would remember the same few, whichever came first: they are
		// what is chosen from under LFU, where that is most of what there is.
		offered, taken, missed := 0, 0, 0
		take := func() {
			taken++
			if need <= 0 || len(keys) == n {
				return
			}
			if k, ok := c.take(ks, p, now); ok {
				keys, need = append(keys, k), need-k.Bytes
			} else {
				missed = 1
			}
		}
		ks.Sample(p, &c.rand, several*samples, min(samples, side), now, func(cand *keyspace.Candidate) {
			c.offer(p, cand)
			if offered++; offered%samples == 0 && taken < several {
				take()
			}
		})
		for taken < several {
			take()
		}
		misses += missed
	}
	return keys
}

const (
	maxSamples = keyspace.MaxSample
	side       = 5 // samples that lie side by side in memory
	atATime    = poolSize / 2
	maxMisses  = 64 // nearly everything that is left has been chosen already
)

// offer puts a candidate into the pool if it is better than what is there.
func (c *Chooser) offer(p keyspace.Policy, cand *keyspace.Candidate) {
	score := Score(p, cand)
	if len(c.pool) == poolSize && score <= c.pool[0].score {
		return
	}
	if c.chosen(cand.Place) {
		return
	}
	at, _ := slices.BinarySearchFunc(c.pool, score, func(e entry, s uint64) int {
		if e.score < s {
			return -1
		}
		return 1
	})
	e := entry{cand.Place, score}
	if len(c.pool) < poolSize {
		c.pool = slices.Insert(c.pool, at, e)
		return
	}
	copy(c.pool, c.pool[1:at])
	c.pool[at-1] = e
}

// take takes the best of the pool that is still as good as it was.
func (c *Chooser) take(ks *keyspace.Keyspace, p keyspace.Policy, now int64) (Key, bool) {
	for len(c.pool) > 0 {
		e := c.pool[len(c.pool)-1]
		c.pool = c.pool[:len(c.pool)-1]
		cand, ok := ks.Again(e.at, p, now)
		if !ok || Score(p, &cand) < e.score || c.chosen(e.at) {
			continue // it has gone, or somebody has used it
		}
		c.pending[e.at] = struct{}{}
		return Key{e.at, string(cand.Key), cand.Bytes}, true
	}
	return Key{}, false
}

func (c *Chooser) chosen(at keyspace.Place) bool {
	_, ok := c.pending[at]
	return ok
}

// Done says that what was to become of keys has.
func (c *Chooser) Done(keys []Key) {
	for _, k := range keys {
		delete(c.pending, k.At)
	}
}

// Forget forgets what was looked at: it may be of another policy, or long ago.
func (c *Chooser) Forget() { c.pool = c.pool[:0] }
