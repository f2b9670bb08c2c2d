package keyspace

// box holds what cannot stand in a record: an Object, or a string that is too long,
// as a *blob.
type box struct {
	held    any
	counted int64 // what data.used has for it
}

// blob is a long string. A box is given another one when it changes.
type blob struct{ b []byte }

// boxes are the boxes of a database, by their numbers. They are copied on write.
type boxes struct {
	vec       vec[box]
	free      []uint32
	unsettled []unsettled
}

// add returns the number of a box with x.
func (b *boxes) add(x any) (n uint32) {
	if last := len(b.free) - 1; last >= 0 {
		n = b.free[last]
		b.free = b.free[:last]
	} else {
		n = uint32(b.vec.n)
		b.vec.push(box{})
	}
	b.put(n, x)
	return n
}

// put puts x into box n instead of what is in it. Whoever puts or adds says changing.
func (b *boxes) put(n uint32, x any) { b.vec.mut(int(n)).held = x }

// unsettled is a box that may have changed, and where the record was that it belongs to:
// see Keyspace.settle.
type unsettled struct {
	box uint32
	ref
}

// changing says that what is in box n may change its size until the next settle.
func (b *boxes) changing(n uint32, r ref) { b.unsettled = append(b.unsettled, unsettled{n, r}) }

// remove empties box n, and returns what it was counted as. A frozen state keeps what was
// in it.
func (b *boxes) remove(n uint32) (counted int64) {
	counted = b.vec.at(int(n)).counted
	*b.vec.mut(int(n)) = box{}
	b.free = append(b.free, n)
	return counted
}
