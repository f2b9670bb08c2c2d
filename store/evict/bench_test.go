package evict

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/raftredis/raftredis/store/keyspace"
)

const (
	benchKeys = 700_000 // many more than the processor's caches hold
	benchStep = 256     // keys that go together
)

// churn is a full keyspace in which keys come and go.
type churn struct {
	*store
	names   [][]byte // that are there, and behind them others
	value   []byte
	r       *rand.Rand
	evicted time.Duration
	made    time.Duration
}

func newChurn() *churn {
	c := &churn{store: newStore(keyspace.AllKeysLRU, 5), value: make([]byte, 64), r: rand.New(rand.NewPCG(1, 2))}
	for i := range 2 * benchKeys {
		c.names = append(c.names, fmt.Appendf(nil, "key:%012d", i))
	}
	c.r.Shuffle(len(c.names), func(i, j int) { c.names[i], c.names[j] = c.names[j], c.names[i] })
	c.set(c.names[:benchKeys])
	for range 2 * benchKeys / benchStep { // until what is new is in the places of what has gone
		c.replace()
	}
	c.evicted, c.made = 0, 0
	return c
}

// ahead does something with names, as the machine does.
func ahead(names [][]byte, look func(names [][]byte) uint64, do func(name []byte)) {
	for len(names) > 0 {
		some := names[:min(len(names), keyspace.MaxAhead)]
		names = names[len(some):]
		look(some)
		for _, name := range some {
			do(name)
		}
	}
}

func (c *churn) set(names [][]byte) {
	view := c.ks.View(0, c.now)
	ahead(names, view.LookAhead, func(name []byte) {
		c.write(0, func(db *keyspace.DB) { db.Set(name, c.value, 0) })
	})
}

// replace evicts some keys that chance names, in one unit, and makes as many.
func (c *churn) replace() {
	gone, come := c.names[benchKeys-benchStep:benchKeys], c.names[benchKeys:][c.r.IntN(benchKeys-benchStep):][:benchStep]
	for i := range gone {
		at := c.r.IntN(benchKeys)
		c.names[at], gone[i] = gone[i], c.names[at]
	}
	began := time.Now()
	c.write(0, func(db *keyspace.DB) {
		ahead(gone, db.RemoveAhead, func(name []byte) { db.Evict(name, keyspace.AllKeysLRU) })
	})
	evicted := time.Now()
	c.set(come)
	c.evicted += evicted.Sub(began)
	c.made += time.Since(evicted)
	for i := range gone {
		gone[i], come[i] = come[i], gone[i]
	}
}

// BenchmarkReplace: what it costs that a key goes, and that another one comes.
func BenchmarkReplace(b *testing.B) {
	c := newChurn()
	b.ResetTimer()
	n := 0
	for ; n < b.N; n += benchStep {
		c.replace()
	}
	b.ReportMetric(float64(c.evicted.Nanoseconds())/float64(n), "ns/evicted")
	b.ReportMetric(float64(c.made.Nanoseconds())/float64(n), "ns/made")
}

// BenchmarkChoose: what it costs to choose one.
func BenchmarkChoose(b *testing.B) {
	c := newChurn()
	ch := NewChooser(1)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += benchStep {
		var all []Key
		for len(all) < benchStep {
			all = append(all, ch.Choose(c.ks, c.now, 1<<40, benchStep/4)...)
		}
		ch.Done(all)
	}
}
