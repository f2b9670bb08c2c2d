package keyspace

import (
	"iter"
	"math/bits"
	"unsafe"
)

// ref says where in an arena a record is: its slab, and its offset there in units
// of eight bytes. Forty bits are used.
type ref uint64

const (
	slabBytes = 32 << 10
	slabBits  = 12 // of a ref for the offset: slabBytes / 8

	// maxSmall is the largest record that shares a slab with others. A larger one
	// has a slab of its own, which is as large as it.
	maxSmall = 4 << 10

	// A record of up to fineBytes takes a multiple of eight bytes, a larger one at
	// most 1/16 more than it needs.
	fineBytes = 256
	fineSteps = fineBytes / 8
	steps     = 16 // from one power of two to the next
	classes   = fineSteps + steps*4
)

const _ = uint(maxSmall - fineBytes<<4)

// classOf returns the class of records of so many bytes, up to maxSmall.
func classOf(size int) int {
	if size <= fineBytes {
		return (size - 1) / 8
	}
	n := uint(size - 1)
	shift := bits.Len(n) - 1 - 4 // so that n>>shift is in [16, 32)
	return fineSteps + (shift-4)*steps + int(n>>shift) - steps
}

// classBytes returns what a record of class c takes.
func classBytes(c int) int {
	if c < fineSteps {
		return (c + 1) * 8
	}
	c -= fineSteps
	return (c%steps + 1 + steps) << (c/steps + 4)
}

// roomFor returns what a record of size bytes takes.
func roomFor(size int) int {
	if size > maxSmall {
		return (size + 7) &^ 7
	}
	return classBytes(classOf(size))
}

// arena is memory for records. There are no pointers in it, and it is not the garbage
// collector's, which has nothing to do for it however many keys there are. It is
// dropped whole with the database that it belongs to.
//
// Whoever holds memory and mem may read what was there when it took
// them, for as long as nobody frees that: see Keyspace.bury.
type arena struct {
	memory  *memory          // made with the first slab
	mem     []unsafe.Pointer // the slabs, nil where there is none any more
	slabs   []slab           // what is known of them
	vacant  []uint32         // numbers of slabs that there are not
	classes [classes]class

	held int64 // bytes of all slabs
	live int64 // of them in records

	sweep sweep
}

// slab is a piece of memory with records of one class.
type slab struct {
	bytes int32  // of it, 0 if there is none; of a large one: bigSlab
	open  int32  // its place in class.open, -1: it has no room, or is being swept
	class uint8  //
	used  uint16 // records in it
	free  uint16 // the first free place + 1, in units of eight bytes
	fresh uint16 // the first place that was never used
}

const bigSlab = -1

// class is what there is for records of one size.
type class struct {
	open  []uint32 // the slabs that have room
	slabs int
	used  int // records
}

// at returns the record at r.
func (a *arena) at(r ref) *record { return recordAt(a.mem, r) }

func recordAt(mem []unsafe.Pointer, r ref) *record {
	return (*record)(unsafe.Add(mem[r>>slabBits], int(r&(1<<slabBits-1))*8))
}

// alloc returns memory for a record of size bytes. What is in it is left over
// from others.
func (a *arena) alloc(size int) ref {
	if size > maxSmall {
		return a.allocBig(size)
	}
	c := classOf(size)
	cl := &a.classes[c]
	if len(cl.open) == 0 {
		a.addSlab(c)
	}
	n := cl.open[len(cl.open)-1]
	s := &a.slabs[n]
	room := classBytes(c)
	place := s.fresh
	if s.free != 0 {
		place, s.free = s.free-1, 0
		if int(s.used)+1 < int(s.fresh)*8/room { // or there is no other, and no need to wait for what is there
			s.free = a.at(ref(n)<<slabBits | ref(place)).nextFree()
		}
	} else {
		s.fresh += uint16(room / 8)
	}
	s.used++
	cl.used++
	a.live += int64(room)
	if s.free == 0 && int(s.fresh)*8+room > slabBytes {
		a.close(n)
	}
	return ref(n)<<slabBits | ref(place)
}

// number returns one for a slab.
func (a *arena) number(mem unsafe.Pointer, s slab) uint32 {
	if n := len(a.vacant); n > 0 {
		num := a.vacant[n-1]
		a.vacant = a.vacant[:n-1]
		a.mem[num], a.slabs[num] = mem, s
		return num
	}
	a.mem, a.slabs = append(a.mem, mem), append(a.slabs, s)
	return uint32(len(a.mem) - 1)
}

func (a *arena) addSlab(c int) {
	if a.memory == nil {
		a.memory = newMemory()
	}
	n := a.number(a.memory.take(), slab{bytes: slabBytes, open: -1, class: uint8(c)})
	a.held += slabBytes
	a.classes[c].slabs++
	a.reopen(n)
}

func (a *arena) allocBig(size int) ref {
	room := roomFor(size)
	// On the heap, which has sizes in between pages.
	n := a.number(unsafe.Pointer(unsafe.SliceData(make([]uint64, room/8))), slab{bytes: bigSlab, open: -1, used: 1})
	a.held += int64(room)
	a.live += int64(room)
	return ref(n) << slabBits
}

// reopen lets records into slab n.
func (a *arena) reopen(n uint32) {
	cl := &a.classes[a.slabs[n].class]
	a.slabs[n].open = int32(len(cl.open))
	cl.open = append(cl.open, n)
}

// close lets no more records into slab n.
func (a *arena) close(n uint32) {
	cl, at := &a.classes[a.slabs[n].class], a.slabs[n].open
	last := cl.open[len(cl.open)-1]
	cl.open[at] = last
	a.slabs[last].open = at
	a.slabs[n].open = -1
	cl.open = cl.open[:len(cl.open)-1]
}

// holds reports whether there may be a record at r, which was one once.
func (a *arena) holds(r ref) bool {
	n, at := int(r>>slabBits), uint16(r&(1<<slabBits-1))
	if n >= len(a.slabs) {
		return false
	}
	switch s := &a.slabs[n]; s.bytes {
	case slabBytes:
		return at < s.fresh && int(at)%(classBytes(int(s.class))/8) == 0
	case bigSlab:
		return at == 0
	default:
		return false
	}
}

// within walks the records, those that are free or dead as well, that begin in a piece of a slab: from r, in units of
// eight bytes, so many; behind the end of the slab it goes on from its beginning. r need not be a
// record. What has a slab of its own counts as if that were like the others.
func (a *arena) within(r ref, wide int) iter.Seq[ref] {
	return func(yield func(ref) bool) {
		n, from := uint32(r>>slabBits), int(r&(1<<slabBits-1))
		s := &a.slabs[n]
		room, end := 1<<slabBits, int(s.fresh)
		switch s.bytes {
		case 0:
			return
		case bigSlab:
			end = 1
		default:
			room = classBytes(int(s.class)) / 8
		}
		last := slabBytes / 8 / room * room
		for at := (from + room - 1) / room * room; ; at += room {
			if at >= last {
				at, from = 0, from-1<<slabBits
			}
			if at-from >= wide {
				return
			}
			if at >= end {
				continue
			}
			if !yield(ref(n)<<slabBits | ref(at)) {
				return
			}
		}
	}
}

// release frees the memory of the record at r. Nobody may read it any more.
func (a *arena) release(r ref) {
	n := uint32(r >> slabBits)
	s := &a.slabs[n]
	if s.bytes == bigSlab {
		room := int64(roomFor(a.at(r).size()))
		a.held -= room
		a.live -= room
		a.drop(n)
		return
	}
	room := classBytes(int(s.class))
	rec := a.at(r)
	poison(rec, room)
	rec.setNextFree(s.free)
	s.free = uint16(r&(1<<slabBits-1)) + 1
	s.used--
	cl := &a.classes[s.class]
	cl.used--
	a.live -= int64(room)
	switch {
	case s.used == 0 && (s.open < 0 || len(cl.open) > 1):
		// The last one with room stays: a key that comes and goes should not cost a slab
		// each time.
		if s.open >= 0 {
			a.close(n)
		}
		a.giveBack(n)
	case s.open < 0 && !a.sweep.at(n):
		a.reopen(n)
	}
}

// giveBack gives up slab n, in which there is nothing and which is not open.
func (a *arena) giveBack(n uint32) {
	a.classes[a.slabs[n].class].slabs--
	a.held -= slabBytes
	a.memory.give(a.mem[n])
	a.drop(n)
}

func (a *arena) drop(n uint32) {
	if a.sweep.at(n) {
		a.sweep.on = false
	}
	a.mem[n], a.slabs[n] = nil, slab{}
	a.vacant = append(a.vacant, n)
}
