package keyspace

import "hash/maphash"

// hashSeed differs in every process; see index for why that is harmless.
var hashSeed = maphash.MakeSeed() //nolint:gochecknoglobals // one seed for all dicts of the process saves 8 bytes in each, and never changes

// tagOf returns what an index knows a key by.
func tagOf(key []byte) uint32 { return uint32(maphash.Bytes(hashSeed, key)) }

type item[T any] struct {
	key string
	val T
}

// dict is a hash table whose iteration order is state: items stand in a dense
// vector in order of insertion, and a deletion moves the last one into the gap.
// The order is therefore the same on every node that has seen the same
// operations, and a snapshot that lists the items in order restores it.
//
// It also gives SCAN its guarantee for nothing: a scan walks positions
// downwards, and an item that it has not reached yet can only move further
// down.
type dict[T any] struct {
	vec vec[item[T]]
	idx index
}

func (d *dict[T]) len() int { return d.vec.n }

// find returns the position of key, or -1.
func (d *dict[T]) find(key []byte) int {
	for c := d.idx.search(tagOf(key)); ; {
		if pos := c.next(); pos < 0 || d.vec.at(pos).key == string(key) {
			return pos
		}
	}
}

// index and name are for looks ahead: see members.
func (d *dict[T]) index() *index        { return &d.idx }
func (d *dict[T]) name(pos int) *string { return &d.vec.at(pos).key }

// at returns item i for reading, mut for writing its value.
func (d *dict[T]) at(i int) *item[T] { return d.vec.at(i) }
func (d *dict[T]) mut(i int) *item[T] {
	d.idx.move() // or a dict that stops growing at the wrong moment has two tables for good
	return d.vec.mut(i)
}

// add appends a key, which must be absent, and returns its position.
func (d *dict[T]) add(key string, val T) int {
	pos := d.vec.n
	d.vec.push(item[T]{key, val})
	d.idx.add(tagOf(stringBytes(key)), pos)
	return pos
}

// remove deletes the item at pos; the last item takes its place.
func (d *dict[T]) remove(pos int) {
	d.idx.remove(tagOf(stringBytes(d.vec.at(pos).key)), pos)
	if last := d.vec.n - 1; pos != last {
		moved := *d.vec.at(last)
		d.idx.replace(tagOf(stringBytes(moved.key)), last, pos)
		*d.vec.mut(pos) = moved
	}
	d.vec.pop()
}

// fork returns a dict that goes on living, and d becomes a frozen picture that
// may only be iterated: its index is the other's from here on. It does not
// write to d, because a snapshot may be reading d at this moment.
func (d *dict[T]) fork() *dict[T] {
	return &dict[T]{vec: d.vec.fork(), idx: d.idx}
}

// scan calls visit for up to count items below cursor (0: from the start) and
// returns the cursor to go on from, 0 at the end. Every item that is present
// from the first call to the last is visited at least once, whatever is added
// or removed in between.
func (d *dict[T]) scan(cursor uint64, count int, visit func(*item[T])) uint64 {
	if cursor == 0 || cursor > uint64(d.vec.n) {
		cursor = uint64(d.vec.n)
	}
	for ; cursor > 0 && count > 0; count-- {
		cursor--
		visit(d.vec.at(int(cursor)))
	}
	return cursor
}
