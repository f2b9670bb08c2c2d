package store

import (
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/evict"
	"github.com/raftredis/raftredis/store/keyspace"
)

// What goes when there is no room is in the log. The leader names the keys, by what it
// knows of who reads what, and keeps ahead of those who write: there is to be room when
// their writes are applied, or the state makes it by itself, which knows less (see
// machine.makeRoom). Whether a key goes is decided when its entry is applied, so that a
// leader deposed since, or one that saw less than there is, does no harm.

const (
	// evictKeys and evictBytes (of names) bound one proposal, and evictFlights how many
	// are on their way.
	evictKeys    = 1024
	evictBytes   = 64 << 10
	evictFlights = 8

	// evictLook is how many keys are chosen at a stretch, while nothing is applied: some 50 µs.
	evictLook = 64

	// The room that is kept is what writers take while evictAhead and twice a round of the
	// log pass, between these parts of maxmemory, and no less than a pipeline brings at once:
	// with a small maxmemory, writes would always have to make room for themselves. When it is
	// used up, one proposal makes up to half as much again, and others only if that is not
	// enough: each costs something by itself, and what many do at once is felt by who
	// writes. (It is never more than machine.lowWater lets go.)
	evictAhead  = 10 * time.Millisecond
	leastRoom   = 256
	leastBytes  = 64 << 10
	mostRoom    = 32
	rateMemory  = 8                     // how many looks the estimates remember
	rateEvery   = 5 * time.Millisecond  // between two looks
	evictedIdle = 50 * time.Millisecond // after a proposal that came to nothing
)

// pressure is how much memory is used, as of the last batch, and what has come of it. It
// is written by the apply loop, under Store.mu, and read by anybody.
type pressure struct {
	used, limit atomic.Int64
	room        atomic.Int64 // that the loop wants to be left
	full        atomic.Bool  // there is less than none
	evicting    atomic.Bool  // the policy lets keys go
	learned     atomic.Int64 // bytes that the policy has learned
	oom         atomic.Bool  // full, and there is none that could go
	freed       atomic.Int64 // bytes, since the start
	evicted     atomic.Uint64
	late        atomic.Uint64 // of those, not by the leader's choice
	since       atomic.Int64  // µs of clock.mono plus one: when full began, 0 if it is not
	total       atomic.Int64  // µs for which it was, before

	last  keyspace.Stats // as of the last batch, of the keyspace of then
	wakeC chan struct{}  // has room for one
}

// changed notes that the state is another one.
func (p *pressure) changed(ks *keyspace.Keyspace, now micros) {
	limits := ks.Limits()
	p.evicting.Store(limits.MaxMemory > 0 && limits.Policy() != keyspace.NoEviction)
	p.limit.Store(limits.MaxMemory)
	p.learned.Store(ks.LearnedBytes())
	used := ks.Used()
	p.used.Store(used)
	st := ks.Stats()
	if st.Evicted != p.last.Evicted {
		p.evicted.Add(st.Evicted - p.last.Evicted)
		p.late.Add(st.EvictedLate - p.last.EvictedLate)
		p.freed.Add(st.EvictedBytes - p.last.EvictedBytes)
		p.last = st
	}
	full := limits.MaxMemory > 0 && used > limits.MaxMemory
	p.full.Store(full)
	p.oom.Store(full && (!p.evicting.Load() || ks.Candidates(limits.Policy()) == 0))
	switch since := p.since.Load(); {
	case full && since == 0:
		p.since.Store(int64(now) + 1)
	case !full && since != 0:
		p.since.Store(0)
		p.total.Add(int64(now) + 1 - since)
	}
}

// replaced notes that the state is that of a snapshot.
func (p *pressure) replaced(ks *keyspace.Keyspace, now micros) {
	p.last = ks.Stats()
	p.changed(ks, now)
}

// wake is called by the apply loop behind changed, without Store.mu.
func (p *pressure) wake() {
	if p.evicting.Load() && p.used.Load() > p.limit.Load()-p.room.Load() {
		signal(p.wakeC)
	}
}

// evictor is the loop that proposes what goes.
type evictor struct {
	s      *Store
	choose *evict.Chooser
	doneC  chan *eviction
	idle   []*eviction
	flying int
	bytes  int64 // that those on their way will free

	looked micros // when used and freed were
	used   int64
	freed  int64
	rate   float64 // bytes that writers take in a µs
	round  float64 // µs that a proposal takes
}

// eviction is one proposal.
type eviction struct {
	b     Batch
	keys  []evict.Key
	bytes int64
	sent  micros
}

func (s *Store) runEvict() {
	e := &evictor{s: s, choose: evict.NewChooser(s.cfg.seed()), doneC: make(chan *eviction, evictFlights), round: float64(microsOf(evictAhead))}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.stopC:
			for ; e.flying > 0; e.flying-- {
				<-e.doneC // stop ends them
			}
			return
		case <-s.pressure.wakeC:
		case <-timer.C:
		case done := <-e.doneC:
			if !e.done(done) {
				timer.Reset(evictedIdle) // there is too much in flight, say: not at once
				continue
			}
		}
		if !e.keepAhead() {
			timer.Reset(evictedIdle)
		}
	}
}

// keepAhead proposes as much as is needed. It answers false if it found nothing to propose.
func (e *evictor) keepAhead() bool {
	p, n := &e.s.pressure, e.s.node.Load()
	if !p.evicting.Load() || !n.IsLeader() || n.RefusesWrites() {
		e.choose.Forget() // by the time it is needed, all may be otherwise
		return true
	}
	e.look()
	room, limit := p.room.Load(), p.limit.Load()
	target := max(0, limit-room-room/2)
	for e.flying < evictFlights {
		used := p.used.Load() - e.bytes
		if used <= limit-room {
			return true
		}
		if !e.propose(used-target, target) {
			return false
		}
	}
	return true
}

// look estimates how much room there has to be.
func (e *evictor) look() {
	p, now := &e.s.pressure, e.s.clock.mono()
	took := now - e.looked
	if took < microsOf(rateEvery) {
		return
	}
	used, freed := p.used.Load(), p.freed.Load()
	rate := float64(max(0, used-e.used+freed-e.freed)) / float64(took)
	// Up at once, down slowly: writers come in bursts.
	e.rate = max(rate, e.rate+(rate-e.rate)/rateMemory)
	e.looked, e.used, e.freed = now, used, freed
	limit := p.limit.Load()
	ahead := float64(microsOf(evictAhead)) + 2*e.round
	p.room.Store(min(max(int64(e.rate*ahead), limit/leastRoom, leastBytes), limit/mostRoom))
}

func (e *evictor) propose(need, target int64) bool {
	v := e.next()
	names := 0
	for need > 0 && len(v.keys) < evictKeys && names < evictBytes {
		// In small steps: nothing is applied meanwhile.
		var keys []evict.Key
		if !e.s.between(func(ks *keyspace.Keyspace) {
			keys = e.choose.Choose(ks, e.s.Now(), need, min(evictLook, evictKeys-len(v.keys)))
		}) || len(keys) == 0 {
			break
		}
		for _, k := range keys {
			need -= k.Bytes
			v.bytes += k.Bytes
			names += len(k.Name)
		}
		v.keys = append(v.keys, keys...)
	}
	if len(v.keys) == 0 {
		e.idle = append(e.idle, v)
		return false
	}
	v.b.evict(target, v.keys)
	v.sent = e.s.clock.mono()
	e.flying++
	e.bytes += v.bytes
	e.s.Submit(&v.b, command.Discard{}, func() { e.doneC <- v })
	return true
}

func (e *evictor) next() *eviction {
	if n := len(e.idle); n > 0 {
		v := e.idle[n-1]
		e.idle = e.idle[:n-1]
		return v
	}
	return &eviction{}
}

// done takes in what has become of a proposal. It answers false if that was refused, or lost.
func (e *evictor) done(v *eviction) (applied bool) {
	e.flying--
	e.bytes -= v.bytes
	if applied = v.b.Err() == ""; applied {
		e.round += (float64(e.s.clock.mono()-v.sent) - e.round) / rateMemory
	}
	e.choose.Done(v.keys)
	v.b.Reset()
	clear(v.keys)
	v.keys, v.bytes = v.keys[:0], 0
	e.idle = append(e.idle, v)
	return applied
}

// evict asks for keys to be evicted.
func (b *Batch) evict(target int64, keys []evict.Key) {
	names := make([]string, 0, len(keys))
	for db := range keyspace.Databases {
		names = names[:0]
		for _, k := range keys {
			if k.At.DB == db {
				names = append(names, k.Name)
			}
		}
		if len(names) > 0 {
			b.request.Evict(db, target, names)
			b.addWrite()
		}
	}
}

// OutOfMemory reports whether more than maxmemory is used and nothing can be evicted, as
// far as this node knows: a write would be refused. It takes no lock.
func (s *Store) OutOfMemory() bool { return s.pressure.oom.Load() }

// Memory is how much of maxmemory is used, and what has been evicted since the process
// started.
type Memory struct {
	Used, Limit   int64
	Evicted, Late uint64
	Learned       int64         // bytes that this node takes for what its policy has learned
	Exceeded      time.Duration // for how long more than Limit has been used, 0: it is not
	EverExceeded  time.Duration // for how long in all
}

// Memory tells how much of maxmemory is used.
func (s *Store) Memory() Memory {
	p := &s.pressure
	m := Memory{Used: p.used.Load(), Limit: p.limit.Load(), Evicted: p.evicted.Load(), Late: p.late.Load(), EverExceeded: micros(p.total.Load()).span()}
	m.Learned = p.learned.Load()
	if since := p.since.Load(); since != 0 {
		m.Exceeded = max(0, s.clock.mono()+1-micros(since)).span()
		m.EverExceeded += m.Exceeded
	}
	return m
}
