package keyspace

import (
	"bytes"
	"hash/maphash"
	"math"
	"sync/atomic"

	"github.com/raftredis/raftredis/store/lhd"
)

// When and how often a key is read and written is a node's own bookkeeping: reads change
// it, side by side, and it is in no snapshot. OBJECT IDLETIME and FREQ tell it, and the
// leader goes by it when it proposes what to evict. What is applied never looks at it.

const (
	// A stamp counts stampUnit ms, and goes round after 19 days: what has not been used
	// for longer than that may be taken for younger. 0 is a key that was restored and not
	// used since.
	stampBits = 24
	stampUnit = 100

	// newHits is what a new key begins with, so that it is not the first to go.
	newHits = 5
	minute  = 60 * 1000
)

func stampOf(now int64) uint32 { return max(1, uint32(now/stampUnit)&(1<<stampBits-1)) }

// since is the time in ms from a stamp to now, 0 if that lies before it.
func since(stamp uint32, now int64) int64 {
	n := (stampOf(now) - stamp) & (1<<stampBits - 1)
	if n > 1<<stampBits-1<<10 { // it was made by a clock that is a little ahead
		return 0
	}
	return int64(n) * stampUnit
}

// accessed returns when and how often the key was used: its stamp, and the logarithmic
// counter as of then.
func (r *record) accessed() (stamp uint32, hits uint8) {
	w := atomic.LoadUint32(&r.access)
	return w >> 8, uint8(w)
}

// setAccessed may be called by readers side by side: one's note may be lost
// in another's, which does not matter.
func (r *record) setAccessed(stamp uint32, hits uint8) {
	if w := min(stamp<<8|uint32(hits), deadAccess-1); atomic.LoadUint32(&r.access) != w {
		atomic.StoreUint32(&r.access, w)
	}
}

// deadAccess is what is noted of a record that no key has any more, and of none that one has.
const deadAccess = 1<<32 - 1

func (r *record) dead() bool { return atomic.LoadUint32(&r.access) == deadAccess }

// Reads are some of the keys that were read, for others to know as well: every one that
// Every divides. The zero value takes none.
type Reads struct {
	Every, n uint32
	Keys     []Read
}

// Read is a key that was read.
type Read struct {
	DB  int
	Key string
}

// read notes an access by who reads.
func (v *View) read(key []byte, r *record) {
	if !v.NoTouch {
		v.touch(key, r)
	}
}

func (v *View) touch(key []byte, r *record) {
	v.used(r)
	if v.applied {
		v.counted = key
	}
	if r := v.Reads; r != nil && r.Every > 0 {
		if r.n++; r.n >= r.Every {
			r.n = 0
			r.Keys = append(r.Keys, Read{v.db, string(key)})
		}
	}
}

// used notes an access.
func (v *View) used(r *record) {
	if v.still {
		return
	}
	stamp, hits := r.accessed()
	switch {
	case v.Chance == nil:
	case v.model != nil:
		hits = v.model.Hit(hits, ageOf(stamp, v.now), uint32(v.Chance.Uint64()))
	case v.limits.Policy().Counts():
		hits = v.limits.counted(stamp, hits, v.now, v.Chance)
	}
	r.setAccessed(stampOf(v.now), hits)
}

// wrote notes that a key was written to, or made.
func (db *DB) wrote(r *record, made bool) {
	if made {
		hits := uint8(newHits)
		if db.model != nil {
			hits = db.model.Returned(maphash.Bytes(hashSeed, r.key()), uint32(db.Chance.Uint64()))
		}
		r.setAccessed(stampOf(db.now), hits)
		return
	}
	if db.counted == nil || !bytes.Equal(db.counted, r.key()) { // a command that reads a key and then writes it uses it once
		db.used(r)
		db.counted = r.key()
	}
}

// ageOf is since for a model, which knows nobody who is older than a key that was
// restored and not used.
func ageOf(stamp uint32, now int64) uint32 {
	if stamp == 0 {
		return math.MaxUint32
	}
	return uint32(since(stamp, now))
}

// learn begins or ends what only the policies need that learn.
func (ks *Keyspace) learn() {
	switch learns := ks.limits.Policy().Learns(); {
	case !learns:
		ks.model = nil
	case ks.model == nil:
		ks.model = lhd.New()
	}
}

// Inherit takes over what another keyspace of this node has learned.
func (ks *Keyspace) Inherit(from *Keyspace) {
	if ks.model != nil && from.model != nil {
		ks.model = from.model
	}
}

// Learn has the policy take in what has become of keys. It is called by whoever chooses
// candidates, who may be a reader, and there is one.
func (ks *Keyspace) Learn() {
	if ks.model != nil {
		ks.model.Learn(ks.Candidates(ks.limits.Policy()))
	}
}

// LearnedBytes is the memory that this takes on this node. It is no part of Used.
func (ks *Keyspace) LearnedBytes() int64 {
	if ks.model == nil {
		return 0
	}
	return ks.model.Bytes()
}

// counted is the counter after one more access: as Redis's LFULogIncr, which the higher
// it stands the less often goes up.
func (l *Limits) counted(stamp uint32, hits uint8, now int64, chance *Rand) uint8 {
	hits = l.decayed(stamp, hits, now)
	if hits == 255 {
		return hits
	}
	above := max(0, int64(hits)-newHits)
	if chance.Float64() < 1/(float64(above)*float64(l.LFULogFactor)+1) {
		hits++
	}
	return hits
}

// decayed is what is left of a counter: one less for each lfu-decay-time minutes in
// which nobody came.
func (l *Limits) decayed(stamp uint32, hits uint8, now int64) uint8 {
	if l.LFUDecayTime == 0 || stamp == 0 {
		return hits
	}
	return uint8(max(0, int64(hits)-since(stamp, now)/minute/l.LFUDecayTime))
}

// Use notes that key was used n times on another member.
func (v *View) Use(key []byte, n uint64) {
	_, r := v.peek(key)
	if r == nil {
		return
	}
	for range min(n, maxUses) {
		v.used(r)
	}
}

// maxUses bounds what one note of another member may take: the counter is logarithmic.
const maxUses = 1000
