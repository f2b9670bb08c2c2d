package keyspace

import (
	"runtime"
	"sync/atomic"
)

// The memory of a record that is replaced or deleted is not free at once. Until the
// unit ends, somebody may still be looking at what was there (a command may delete a
// key before it replies with its value); and a capture that was taken before reads
// it for as long as it takes. So records are dead first, and then freed, or laid into
// a grave that is opened when the captures that know them are released.

// corpse is a record that was replaced or deleted in this unit.
type corpse struct {
	*data
	ref
}

// grave is what has died since a capture, and before the next one.
type grave struct {
	capture uint64 // its number
	refs    []ref
}

// digMost is how many records of graves one unit frees.
const digMost = 64

// capture is a Frozen that may be being read.
type capture struct {
	number   uint64
	revision uint64
	released *atomic.Bool
}

// shared reports whether a capture may be reading the record at pos of d, so that it must
// not be changed in place.
func (ks *Keyspace) shared(d *data, pos int, r *record) bool {
	return r.version() <= ks.frozen && !(len(ks.captures) == 1 && d.latest.has(pos, d.order.at(pos)))
}

// die notes that nothing refers to the record at r any more.
func (ks *Keyspace) die(d *data, r ref) {
	atomic.StoreUint32(&d.arena.at(r).access, deadAccess) // for who walks over the slab
	ks.dead = append(ks.dead, corpse{d, r})
}

// bury frees what died in the unit before, or lays it into graves.
func (ks *Keyspace) bury() {
	for i, c := range ks.dead {
		if c.arena.at(c.ref).version() > ks.frozen {
			c.arena.release(c.ref) // no capture knows it
		} else {
			c.lay(c.ref, ks.captured)
		}
		if i+1 == len(ks.dead) || ks.dead[i+1].data != c.data {
			if len(ks.captures) == 0 && c.arena.wasteful() {
				c.sweepSome()
			}
		}
	}
	clear(ks.dead)
	ks.dead = ks.dead[:0]
	if cap(ks.dead) > 1<<12 {
		ks.dead = nil
	}
}

// unmap drops the memory of databases that were flushed, which no capture needs.
func (ks *Keyspace) unmap() {
	for _, m := range ks.dropped {
		m.drop()
	}
	ks.dropped = nil
}

func (d *data) lay(r ref, capture uint64) {
	if n := len(d.graves); n == 0 || d.graves[n-1].capture != capture {
		d.graves = append(d.graves, grave{capture: capture})
	}
	g := &d.graves[len(d.graves)-1]
	g.refs = append(g.refs, r)
}

// forget looks which captures have been released, and opens the graves that only
// they needed, a little with each unit.
func (ks *Keyspace) forget() {
	kept := ks.captures[:0]
	for _, c := range ks.captures {
		if !c.released.Load() {
			kept = append(kept, c)
		}
	}
	if len(kept) < len(ks.captures) {
		if ks.captures[len(ks.captures)-1].released.Load() {
			for _, d := range ks.dbs {
				d.latest = nil
			}
		}
		clear(ks.captures[len(kept):])
		ks.captures, ks.digging = kept, true
		ks.frozen = 0
		if n := len(kept); n > 0 {
			ks.frozen = kept[n-1].revision
		}
	}
}

func (ks *Keyspace) dig() {
	oldest := ks.captured + 1
	if len(ks.captures) > 0 {
		oldest = ks.captures[0].number
	}
	left := digMost
	for _, d := range ks.dbs {
		for left > 0 && len(d.graves) > 0 && d.graves[0].capture < oldest {
			g := &d.graves[0]
			n := min(left, len(g.refs))
			for _, r := range g.refs[len(g.refs)-n:] {
				d.arena.release(r)
			}
			left -= n
			if g.refs = g.refs[:len(g.refs)-n]; len(g.refs) == 0 {
				d.graves[0] = grave{}
				d.graves = d.graves[1:]
			}
		}
	}
	ks.digging = left == 0
}

// Capture freezes the keyspace as it is now. It costs a copy of 8 bytes for
// each orderLen keys, and afterwards one copy of each page that is written to, and of
// each record. Whoever takes it calls Release when it is not read any more.
func (ks *Keyspace) Capture() *Frozen {
	ks.settle()
	ks.bury() // what is dead already is not part of it
	ks.captured++
	f := &Frozen{Revision: ks.revision, limits: ks.limits, events: ks.events, journal: ks.journal.freeze(), released: new(atomic.Bool)}
	for i, d := range ks.dbs {
		f.dbs[i] = d.freeze()
	}
	ks.frozen = ks.revision
	ks.captures = append(ks.captures, capture{ks.captured, ks.revision, f.released})
	// Who drops it on some path of errors keeps memory for a while, and not for ever.
	runtime.AddCleanup(f, func(released *atomic.Bool) { released.Store(true) }, f.released)
	return f
}

// Once says that f is encoded once and not read otherwise, so that what was encoded may
// be changed in place: while a state is written that does not fit into the processor's
// caches many times over, half of what is changed needs no copy.
func (f *Frozen) Once() { f.once = true }

// Release says that f is not read any more. Any goroutine may call it, once or more.
func (f *Frozen) Release() { f.released.Store(true) }
