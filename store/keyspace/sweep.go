package keyspace

// A slab may be left with a few records, if many that were there are gone or have
// become larger, and the memory of the others is of no use for records of other
// sizes. So when more than a sixteenth of the memory is free, the emptiest slabs are
// swept: what is in them moves to others of their class, some records with each
// unit, and they are given back.

const (
	sweepFrom  = 1 << 20 // bytes that may be free in any case
	sweepPart  = 16      // and one part in so many
	sweepMoves = 16      // records that one unit moves, four times as many where an eighth is free
	sweepLooks = 64      // slabs that are looked at to find one that is nearly empty
)

// sweep is the slab that is being swept.
type sweep struct {
	on    bool
	slab  uint32
	place uint16 // how far
}

func (s *sweep) at(n uint32) bool { return s.on && s.slab == n }

// wasteful reports whether there is something to sweep.
func (a *arena) wasteful() bool {
	return a.sweep.on || a.held-a.live > max(sweepFrom, a.held/sweepPart)
}

// choose begins with the emptiest slab that it comes across, of the class with most
// free memory. It reports false if there is none that is worth it.
func (a *arena) choose() bool {
	worst, most := -1, 0
	for c := range a.classes {
		cl := &a.classes[c]
		// Less than a slab cannot be gained.
		if free := cl.slabs*(slabBytes/classBytes(c)) - cl.used; len(cl.open) > 1 && free*classBytes(c) > max(most, slabBytes) {
			worst, most = c, free*classBytes(c)
		}
	}
	if worst < 0 {
		return false
	}
	open := a.classes[worst].open
	// The first ones have been open for longest: new records go into the last.
	n := open[0]
	for _, other := range open[:min(len(open), sweepLooks)] {
		if a.slabs[other].used < a.slabs[n].used {
			n = other
		}
	}
	a.close(n)
	a.sweep = sweep{on: true, slab: n}
	return true
}

// sweepSome moves some records out of a slab, if that is worth it. It is called
// between two units, since it moves what they may be looking at, and while nobody
// reads a frozen state, which would keep the memory that it frees.
func (d *data) sweepSome() {
	a := &d.arena
	moves := sweepMoves
	if a.held-a.live > a.held/(sweepPart/2) {
		moves *= 4
	}
	for moves > 0 {
		if !a.sweep.on && !a.choose() {
			return
		}
		s := &a.slabs[a.sweep.slab]
		room := classBytes(int(s.class))
		for ; moves > 0 && a.sweep.on && a.sweep.place < s.fresh; moves-- {
			r := ref(a.sweep.slab)<<slabBits | ref(a.sweep.place)
			a.sweep.place += uint16(room / 8)
			if rec := a.at(r); !rec.vacant() {
				d.moveRecord(r, rec)
			}
		}
		if a.sweep.on && a.sweep.place >= s.fresh {
			n := a.sweep.slab
			a.sweep.on = false
			if s := &a.slabs[n]; s.used == 0 { // it was empty to begin with
				a.giveBack(n)
				continue
			}
			a.reopen(n) // something in it waits to be freed
			return
		}
	}
}

// moveRecord moves the record at r elsewhere, if it is a key's.
func (d *data) moveRecord(r ref, rec *record) {
	pos := d.find(rec.key())
	if pos < 0 || d.order.at(pos) != r {
		return // it is dead, and will be buried
	}
	size := rec.size()
	to := d.arena.alloc(size)
	copyRecord(d.arena.at(to), rec, size)
	d.moved(pos, r, to)
	d.arena.release(r)
}
