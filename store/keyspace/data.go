package keyspace

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
	"unsafe"

	"github.com/tidwall/btree"
)

// data is one database: records in an order that is state, and an index from the
// hash of a key to its place in that order.
type data struct {
	order   keyOrder
	arena   arena
	boxes   boxes
	shards  []index // made with the first key
	expires *btree.BTreeG[deadline]
	swapped uint64          // when SWAPDB last moved it, which changes all of its keys
	own     map[uint32]bool // of a Still: see private
	graves  []grave
	used    int64    // bytes, see Keyspace.Used
	latest  *passing // what is being written of it, nil: nothing
}

// shardBits is the logarithm of the number of shards of a database's index. They
// grow each for itself: to grow, a table has to be allocated and cleared, and for
// ten million keys at once that takes longer than a write may.
const shardBits = 10

// deadline is a record that has one.
type deadline struct {
	at int64
	ref
}

// earlier orders records by when they expire, and then by their keys: what is evicted
// goes by it, so it must be the same on every node.
func (d *data) earlier(a, b deadline) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return a.ref != b.ref && bytes.Compare(d.arena.at(a.ref).key(), d.arena.at(b.ref).key()) < 0
}

func newData() *data {
	d := &data{}
	d.expires = btree.NewBTreeGOptions(d.earlier, btree.Options{NoLocks: true})
	return d
}

func (d *data) len() int { return d.order.n }

// shard returns the part of the index that a key is in, and its tag there.
func (d *data) shard(key []byte) (x *index, tag uint32) {
	h := maphash.Bytes(hashSeed, key)
	return &d.shards[h>>(64-shardBits)], uint32(h)
}

// find returns the position of key, or -1.
func (d *data) find(key []byte) int {
	if d.order.n == 0 {
		return -1
	}
	x, tag := d.shard(key)
	for c := x.search(tag); ; {
		if pos := c.next(); pos < 0 || string(d.at(pos).key()) == string(key) {
			return pos
		}
	}
}

// at returns the record at a position.
func (d *data) at(pos int) *record { return d.arena.at(d.order.at(pos)) }

// add makes a record for key, which must be absent, at the end of the order. It has no
// kind and no contents yet.
func (d *data) add(key []byte, f form) (pos int) {
	r := d.arena.alloc(f.size())
	d.arena.at(r).begin(f, key)
	d.used += keyBytes(f)
	if f.at != 0 {
		d.expires.Set(deadline{f.at, r})
	}
	pos = d.order.n
	d.order.push(r)
	d.enter(key, pos)
	return pos
}

// enter enters into the index that key is at pos.
func (d *data) enter(key []byte, pos int) {
	if d.shards == nil {
		d.shards = make([]index, 1<<shardBits)
	}
	x, tag := d.shard(key)
	x.add(tag, pos)
}

// remove takes the record at pos out of the order, where the last one takes its
// place, and out of the index. Its memory is not freed.
func (d *data) remove(pos int) {
	r := d.at(pos)
	d.used -= keyBytes(r.form())
	if at := r.deadline(); at != 0 {
		d.expires.Delete(deadline{at, d.order.at(pos)})
	}
	if r.has(flagBoxed) {
		d.used -= d.boxes.remove(r.box())
	}
	x, tag := d.shard(r.key())
	x.remove(tag, pos)
	if last := d.order.n - 1; pos != last {
		moved := d.order.at(last)
		x, tag := d.shard(d.arena.at(moved).key())
		x.replace(tag, last, pos)
		d.order.set(pos, moved)
	}
	d.order.pop()
}

// moved notes that the record at pos is at to, not at from any more.
func (d *data) moved(pos int, from, to ref) {
	d.order.set(pos, to)
	if at := d.arena.at(to).deadline(); at != 0 {
		d.expires.Delete(deadline{at, from})
		d.expires.Set(deadline{at, to})
	}
}

// scan calls visit for up to count records below cursor (0: from the start) and
// returns the cursor to go on from, 0 at the end. See dict for what it guarantees.
func (d *data) scan(cursor uint64, count int, visit func(*record)) uint64 {
	if cursor == 0 || cursor > uint64(d.order.n) {
		cursor = uint64(d.order.n)
	}
	for ; cursor > 0 && count > 0; count-- {
		cursor--
		visit(d.at(int(cursor)))
	}
	return cursor
}

// text returns the string of a record, nil if it is none.
func (d *data) text(r *record) []byte { return textOf(r, &d.boxes.vec) }

// object returns the object of a record, nil if it is a string.
func (d *data) object(r *record) Object { return objectOf(r, &d.boxes.vec) }

func textOf(r *record, boxes *vec[box]) []byte {
	switch {
	case r.kind() != String:
		return nil
	case r.has(flagBoxed):
		return boxes.at(int(r.box())).held.(*blob).b //nolint:errcheck // what a string has in its box
	default:
		return r.inline()
	}
}

func objectOf(r *record, boxes *vec[box]) Object {
	switch k := r.kind(); {
	case k == String || k == None:
		return nil
	case !r.has(flagBoxed):
		return expanded(k, r.inline())
	}
	return boxes.at(int(r.box())).held.(Object) //nolint:errcheck // what all others have in it
}

// frozenData is a database that does not change: what is needed to read it from its
// first key to its last.
type frozenData struct {
	order   keyOrder
	memory  *memory          // the arena's
	mem     []unsafe.Pointer // the arena's
	boxes   vec[box]
	swapped uint64
	passed  *atomic.Int64 // how many keys were written, if nobody reads it otherwise
}

// passing is a frozenData that is being written: its first keys are not needed any
// more.
type passing struct {
	order  keyOrder
	passed *atomic.Int64
}

func (d *data) freeze() frozenData {
	f := frozenData{d.order.freeze(), d.arena.memory, d.arena.mem, d.boxes.vec.freeze(), d.swapped, new(atomic.Int64)}
	d.latest = &passing{f.order, f.passed}
	return f
}

// has reports whether the record at pos is one that was written.
func (p *passing) has(pos int, r ref) bool {
	return p != nil && int64(pos) < p.passed.Load() && p.order.at(pos) == r
}

func (f *frozenData) at(pos int) *record { return recordAt(f.mem, f.order.at(pos)) }
