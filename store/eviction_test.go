package store

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// TestEvictionRefused: proposals that are refused, because too much is on its way, are made again
// after a pause and not at once, and in the end they make the room.
func TestEvictionRefused(t *testing.T) {
	const pending, maxmemory, bursts = 64 << 10, 1 << 20, 4
	log := newCluster(t, 1)
	m := log.start(1, 1, Config{MaxPendingBytes: pending}, nil)
	defer m.stop()
	m.Level.Store(uint64(command.Level2))
	eventually(t, "the level that eviction needs", func() bool { return m.store.Level() == command.Level2 })
	cl := &client{t: t, s: m.store}
	for i := range 2000 {
		cl.do(fmt.Sprintf("SET key:%d %s", i, strings.Repeat("x", 1000)))
	}
	submit := func(build func(*Batch)) (doneC chan struct{}) {
		b := &Batch{}
		build(b)
		doneC = make(chan struct{})
		m.store.Submit(b, command.Discard{}, func() { close(doneC) })
		return doneC
	}
	log.Allow(0)
	limited := submit(func(b *Batch) {
		b.Write(0, nil, args(fmt.Sprint(command.SetLimits, " maxmemory ", maxmemory, " maxmemory-policy ", int(keyspace.AllKeysLRU))))
	})
	large := submit(func(b *Batch) { add(b, m.store, 0, "SET large "+strings.Repeat("x", pending-2000)) })
	started := time.Now()
	log.Allow(1) // and what is large waits
	<-limited
	refused := func() uint64 { return m.store.Stats().Overloaded }
	eventually(t, "refusals", func() bool { return refused() > bursts*evictFlights })
	// Time may pass for other reasons, but not less of it.
	if took := time.Since(started); took < (bursts-1)*evictedIdle {
		t.Errorf("%d refusals within %v", refused(), took)
	}
	log.Allow(math.MaxInt)
	<-large
	eventually(t, "room", func() bool { return m.store.Memory().Used <= maxmemory })
}
