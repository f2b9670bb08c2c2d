package keyspace

import "hash/maphash"

// Policy says which keys go when there is no room: maxmemory-policy.
type Policy int64

// The policies, by what is in the snapshot: only ever append.
const (
	VolatileLRU Policy = iota
	VolatileLFU
	VolatileRandom
	VolatileTTL
	AllKeysLRU
	AllKeysLFU
	AllKeysRandom
	NoEviction
	AllKeysLHD
	VolatileLHD
)

// policyNames are Redis's, in the order in which it lists them, and our own.
//
//nolint:gochecknoglobals // a constant that Go cannot write as one
var policyNames = []string{"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction", "allkeys-lhd", "volatile-lhd"}

// String is the name of the policy as CONFIG GET shows it.
func (p Policy) String() string { return policyNames[p] }

// Volatile reports whether only keys with a deadline go.
func (p Policy) Volatile() bool { return p <= VolatileTTL || p == VolatileLHD }

// Counts reports whether it matters how often a key is used: only then it is counted.
func (p Policy) Counts() bool { return p == VolatileLFU || p == AllKeysLFU }

// ByUse reports whether it matters when or how often a key is used.
func (p Policy) ByUse() bool { return p == VolatileLRU || p == AllKeysLRU || p.Counts() || p.Learns() }

// Learns reports whether keys go by what has become of others like them (see package
// lhd).
func (p Policy) Learns() bool { return p == AllKeysLHD || p == VolatileLHD }

// Policy returns the policy in force.
func (l *Limits) Policy() Policy { return Policy(l.MaxMemoryPolicy) }

// Candidate is a key that may be evicted. Key aliases the keyspace.
type Candidate struct {
	Place   Place
	Key     []byte
	Expire  int64 // its deadline, ms, 0 if it has none
	Idle    int64 // ms since it was used on this node, -1 if it never was
	Freq    uint8 // how often, logarithmic, see Limits.LFULogFactor
	Bytes   int64
	Version uint64 // the revision that wrote it

	Density float32 // of hits, if the policy learns
}

// Place is where a candidate was seen, as what. It can be compared.
type Place struct {
	DB int
	ref
	version uint64
}

// Candidates is how many keys the policy may evict.
func (ks *Keyspace) Candidates(p Policy) (n int) {
	for _, d := range ks.dbs {
		n += d.candidates(p)
	}
	return n
}

func (d *data) candidates(p Policy) int {
	if p.Volatile() {
		return d.expires.Len()
	}
	return d.len()
}

// MaxSample is how many candidates Sample looks at together.
const MaxSample = 64

// Sample calls visit for about n candidates, at most MaxSample, as of now (ms): for runs
// of about so many that lie side by side in memory, at places that chance names. It may be
// called by readers. Memory where nobody has been for long takes a few hundred ns to get at,
// and what lies behind it then comes almost for nothing. Who lies side by side came at about
// the same time, or took the place of one that went. When it was used says that not at all,
// or for the whole run, and then as many go as there are in a run, out of as many runs.
func (ks *Keyspace) Sample(p Policy, chance *Rand, n, run int, now int64, visit func(c *Candidate)) {
	n = min(n, MaxSample)
	found := 0
	if !p.Volatile() && run > 1 { // those with a deadline are anywhere
		found = ks.sampleRuns(chance, n, run, now, visit)
	}
	all := ks.Candidates(p)
	if all == 0 || found >= (n+1)/2 {
		return
	}
	var c Candidate // one for all: it is on the heap
	for range n - found {
		c = ks.Candidate(p, chance.Intn(all), now)
		visit(&c)
	}
}

// sampleRuns visits all records that begin in so many pieces of the slabs as should have n
// of them, so that each record has the same chance, whatever its size.
func (ks *Keyspace) sampleRuns(chance *Rand, n, run int, now int64, visit func(c *Candidate)) (found int) {
	slabs, keys, bytes := 0, 0, int64(0)
	for _, d := range ks.dbs {
		slabs, keys, bytes = slabs+len(d.arena.slabs), keys+d.len(), bytes+d.arena.live
	}
	if keys == 0 {
		return 0
	}
	wide := min(int(bytes)/keys*run/8, 1<<slabBits) // at most the whole slab
	var all [2 * MaxSample]Place
	places := all[:0]
	for range n / run {
		at := chance.Intn(slabs)
		db := 0
		for at >= len(ks.dbs[db].arena.slabs) {
			at -= len(ks.dbs[db].arena.slabs)
			db++
		}
		for r := range ks.dbs[db].arena.within(ref(at)<<slabBits|ref(chance.Intn(slabBytes/8)), wide) {
			if len(places) < len(all) {
				places = append(places, Place{DB: db, ref: r})
			}
		}
	}
	// All are loaded before any is looked at, so that the waits for memory overlap.
	for _, at := range places {
		ks.dbs[at.DB].arena.at(at.ref).accessed()
	}
	var c Candidate // one for all: it is on the heap
	for _, at := range places {
		if r := ks.dbs[at.DB].arena.at(at.ref); !r.vacant() && !r.dead() {
			c = ks.candidate(at.DB, at.ref, now)
			visit(&c)
			found++
		}
	}
	return found
}

// placeOf returns where candidate number i is.
func (ks *Keyspace) placeOf(p Policy, i int) (db int, r ref) {
	for db, d := range ks.dbs {
		n := d.candidates(p)
		if i >= n {
			i -= n
			continue
		}
		if p.Volatile() {
			at, _ := d.expires.GetAt(i)
			return db, at.ref
		}
		return db, d.order.at(i)
	}
	panic("keyspace: no such candidate")
}

// Candidate returns number i of Candidates, as of now (ms). It may be called by readers.
func (ks *Keyspace) Candidate(p Policy, i int, now int64) Candidate {
	db, r := ks.placeOf(p, i)
	return ks.candidate(db, r, now)
}

func (ks *Keyspace) candidate(db int, at ref, now int64) Candidate {
	d := ks.dbs[db]
	r := d.arena.at(at)
	stamp, hits := r.accessed()
	c := Candidate{Place: Place{db, at, r.version()}, Key: r.key(), Expire: r.deadline(), Idle: -1, Version: r.version(), Bytes: d.usedBytes(r), Freq: ks.limits.decayed(stamp, hits, now)}
	if stamp != 0 {
		c.Idle = since(stamp, now)
	}
	if ks.model != nil {
		c.Density = ks.model.Density(hits, ageOf(stamp, now))
	}
	return c
}

// Soonest returns the key that expires first.
func (ks *Keyspace) Soonest(now int64) (c Candidate, ok bool) {
	best := -1
	var first deadline
	for db, d := range ks.dbs {
		if at, ok := d.expires.Min(); ok && (best < 0 || at.at < first.at) {
			best, first = db, at
		}
	}
	if best < 0 {
		return c, false
	}
	return ks.candidate(best, first.ref, now), true
}

// Evict deletes key, to make room, if the policy may.
func (db *DB) Evict(key []byte, p Policy) bool {
	pos := db.d.find(key)
	if pos < 0 || p == NoEviction || p.Volatile() && db.d.at(pos).deadline() == 0 {
		return false
	}
	db.ks.settle() // or it would take too little away
	db.ks.stats.Evicted++
	db.ks.stats.EvictedBytes += db.d.usedBytes(db.d.at(pos))
	if m := db.model; m != nil {
		stamp, count := db.d.at(pos).accessed()
		m.Remember(db.ks.Candidates(p))
		m.Evicted(maphash.Bytes(hashSeed, key), count, ageOf(stamp, db.now))
	}
	db.removeAt(pos, Evicted)
	db.Event(EventEvicted, "evicted", key)
	return true
}

// EvictAny evicts a key by what is in the state alone, and reports whether there was
// one: of some that chance names the one that was written longest ago, or the one that
// expires first. Who reads what is not state, so the leader, who knows more, is to keep
// ahead of this.
func (ks *Keyspace) EvictAny(rand *Rand) bool {
	p := ks.limits.Policy()
	n := 0
	if p != NoEviction {
		n = ks.Candidates(p)
	}
	if n == 0 {
		return false
	}
	var worst Candidate
	if p == VolatileTTL {
		worst, _ = ks.Soonest(ks.now)
	} else {
		samples := ks.limits.MaxMemorySamples
		if p == AllKeysRandom || p == VolatileRandom {
			samples = 1
		}
		for i := range min(samples, maxSamples) {
			if c := ks.Candidate(p, rand.Intn(n), ks.now); i == 0 || c.Version < worst.Version {
				worst = c
			}
		}
	}
	db := ks.DB(worst.Place.DB)
	ks.stats.EvictedLate++
	return db.Evict(worst.Key, p)
}

// maxSamples bounds what a setting of a billion samples would take.
const maxSamples = 64

// FindCandidate returns key if the policy may evict it.
func (ks *Keyspace) FindCandidate(db int, key []byte, p Policy, now int64) (c Candidate, ok bool) {
	d := ks.dbs[db]
	pos := d.find(key)
	if pos < 0 || p.Volatile() && d.at(pos).deadline() == 0 {
		return c, false
	}
	return ks.candidate(db, d.order.at(pos), now), true
}

// Again returns what was seen at a place, if it is still there and the policy may evict it.
func (ks *Keyspace) Again(at Place, p Policy, now int64) (c Candidate, ok bool) {
	d := ks.dbs[at.DB]
	if !d.arena.holds(at.ref) {
		return c, false
	}
	r := d.arena.at(at.ref)
	if r.vacant() || r.dead() || r.version() != at.version || p.Volatile() && r.deadline() == 0 {
		return c, false
	}
	return ks.candidate(at.DB, at.ref, now), true
}
