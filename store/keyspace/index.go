package keyspace

// index maps the hash of a key to its position in a vec. It is open addressing
// with linear probing, eight bytes a slot, and grows a few slots at a time, so
// that no write ever pays for a rehash of the whole table.
//
// The hash is seeded anew in every process (against hash flooding), so the
// layout of an index differs between nodes. That is harmless because nothing
// ever iterates over an index: order comes from the vec alone.
type index struct {
	cur  []uint64 // slot: hash tag << 32 | position + 1; 0 is empty
	old  []uint64 // the table being left, nil most of the time; moved slots are tombstones
	next int      // how far old has been moved
	n    int      // slots in use in cur and old together
}

const (
	tombstone   = ^uint64(0) // only in old
	minIndex    = 8
	doubleUnder = 64  // slots: a smaller table doubles, a larger one grows by a quarter
	moveAtOnce  = 128 // slots of old that one write moves
	loadNum     = 4   // grow when more than loadNum/loadDen of cur would be in use
	loadDen     = 5
	shrinkUnder = 4 // shrink when fewer than 1/shrinkUnder are in use
)

func slotOf(tag uint32, pos int) uint64 { return uint64(tag)<<32 | uint64(uint32(pos)+1) }
func slotTag(s uint64) uint32           { return uint32(s >> 32) }
func slotPos(s uint64) int              { return int(uint32(s)) - 1 }

// home is where the search for a tag begins in a table of size slots. The table may
// have any size, so that it can grow by less than twice and be fuller on average.
func home(tag uint32, size int) uint32 { return uint32(uint64(tag) * uint64(size) >> 32) }

// behind returns the slot behind i.
func behind(i uint32, size int) uint32 {
	if i++; int(i) == size {
		return 0
	}
	return i
}

// distance is how many slots to is behind from.
func distance(from, to uint32, size int) uint32 {
	if to >= from {
		return to - from
	}
	return to + uint32(size) - from
}

// add records that the key with this tag is at pos. The key must be absent.
func (x *index) add(tag uint32, pos int) {
	if (x.n+1)*loadDen > len(x.cur)*loadNum {
		x.resize(grown(len(x.cur)))
	}
	x.place(slotOf(tag, pos))
	x.n++
	x.move()
}

// grown is the size of the table that comes after one of size slots.
func grown(size int) int {
	if size < doubleUnder {
		return max(minIndex, 2*size)
	}
	return size + size/4
}

func (x *index) place(s uint64) {
	size := len(x.cur)
	for i := home(slotTag(s), size); ; i = behind(i, size) {
		if x.cur[i] == 0 {
			x.cur[i] = s
			return
		}
	}
}

// replace records that the key known as (tag, from) is now at to.
func (x *index) replace(tag uint32, from, to int) {
	s := slotOf(tag, from)
	if i, ok := find(x.cur, s); ok {
		x.cur[i] = slotOf(tag, to)
		return
	}
	if i, ok := find(x.old, s); ok {
		x.old[i] = slotOf(tag, to)
		return
	}
	panic("keyspace: index lost a position")
}

// remove forgets (tag, pos).
func (x *index) remove(tag uint32, pos int) {
	s := slotOf(tag, pos)
	if i, ok := find(x.cur, s); ok {
		x.closeGap(i)
	} else if i, ok := find(x.old, s); ok {
		x.old[i] = tombstone
	} else {
		panic("keyspace: index lost a position")
	}
	x.n--
	x.move()
	if x.old == nil && len(x.cur) > minIndex && x.n*shrinkUnder < len(x.cur) {
		x.resize(len(x.cur) / 2)
	}
}

// closeGap empties cur[i] and shifts back what probing would no longer reach.
func (x *index) closeGap(i uint32) {
	size := len(x.cur)
	for j := i; ; {
		j = behind(j, size)
		s := x.cur[j]
		if s == 0 {
			break
		}
		// s may move to i unless its home lies cyclically in (i, j].
		if distance(home(slotTag(s), size), j, size) >= distance(i, j, size) {
			x.cur[i] = s
			i = j
		}
	}
	x.cur[i] = 0
}

func find(table []uint64, s uint64) (uint32, bool) {
	if len(table) == 0 {
		return 0, false
	}
	size := len(table)
	for i := home(slotTag(s), size); table[i] != 0; i = behind(i, size) {
		if table[i] == s {
			return i, true
		}
	}
	return 0, false
}

// resize starts a new table. If the previous move is still under way it is
// finished first: by construction (moveAtOnce) only a few slots can be left.
func (x *index) resize(size int) {
	for x.old != nil {
		x.move()
	}
	if len(x.cur) == 0 {
		x.cur = make([]uint64, size)
		return
	}
	x.old, x.cur, x.next = x.cur, make([]uint64, size), 0
}

// move carries some slots from old to cur.
func (x *index) move() {
	if x.old == nil {
		return
	}
	end := min(x.next+moveAtOnce, len(x.old))
	for ; x.next < end; x.next++ {
		if s := x.old[x.next]; s != 0 && s != tombstone {
			x.place(s)
			x.old[x.next] = tombstone // later probes must still pass over it
		}
	}
	if x.next == len(x.old) {
		x.old = nil
	}
}

// search walks the positions that a key with this tag may have.
func (x *index) search(tag uint32) candidates {
	c := candidates{table: x.cur, old: x.old, tag: tag}
	c.begin()
	return c
}

// candidates is where a search stands.
type candidates struct {
	table, old []uint64 // old: to be searched after table
	i, tag     uint32
}

func (c *candidates) begin() {
	if len(c.table) > 0 {
		c.i = home(c.tag, len(c.table))
	}
}

// next returns the next position, -1 if there is none.
func (c *candidates) next() int {
	for len(c.table) > 0 {
		for s := c.table[c.i]; s != 0; s = c.table[c.i] {
			c.i = behind(c.i, len(c.table))
			if slotTag(s) == c.tag && s != tombstone {
				return slotPos(s)
			}
		}
		c.table, c.old = c.old, nil
		c.begin()
	}
	return -1
}
