package keyspace

import "encoding/binary"

// A small collection stands in its key's record, as a string does: the number of its
// entries (varint), and the entries as its small form has them in memory. So it costs
// no allocation, no pointer, and no room to grow. To be changed it is expanded into an
// Object in a box, and when the unit that changes it has ended it goes back (settle).
//
// Whether it does is a function of what is in it, and not of what it was, because
// Keyspace.Used is.

// maxCompact is the longest collection that stands in a record. What is longer is copied
// too often: twice for each unit that changes it.
const maxCompact = 2 << 10

// compactBytes is how long that form of what is in a box is. It reports false if there is
// none, or it is too long.
func compactBytes(held any) (n int, ok bool) {
	var entries, size int
	switch o := held.(type) {
	case *HashObject:
		entries, size, ok = o.pack.n, o.pack.size(), o.dict == nil
	case *ListObject:
		entries, size, ok = o.n, o.size, true
	case *ZSetObject:
		entries, size, ok = o.packed.n, len(o.packed.buf), o.members == nil
	case *SetObject:
		if o.pack != nil { // the width of an intset depends on its history
			entries, size, ok = o.pack.n, o.pack.size(), true
		}
	}
	return varintSize(entries) + size, ok && size <= maxCompact
}

// appendCompact appends what is in a box in that form, if it has one.
func appendCompact(b []byte, held any) (compact []byte, ok bool) {
	if _, ok := compactBytes(held); !ok {
		return b, false
	}
	switch o := held.(type) {
	case *HashObject:
		return appendEntries(b, o.pack.n, o.pack.buf[o.pack.off:]), true
	case *ListObject:
		// Where its nodes end depends on its history.
		b = binary.AppendUvarint(b, uint64(o.n))
		for i := range o.dir.len() {
			p := &o.dir.at(i).pack
			b = append(b, p.buf[p.off:]...)
		}
		return b, true
	case *ZSetObject:
		return appendEntries(b, o.packed.n, o.packed.buf), true
	case *SetObject:
		return appendEntries(b, o.pack.n, o.pack.buf[o.pack.off:]), true
	default:
		return b, false
	}
}

func appendEntries(b []byte, n int, entries []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(n)), entries...)
}

// expanded returns the object that was written to compact, which it aliases.
func expanded(k Kind, compact []byte) Object {
	n, w := binary.Uvarint(compact)
	p := pack{buf: compact[w:], n: int(n)}
	switch k {
	case Hash:
		return &HashObject{HashView{pack: p}}
	case List:
		return &ListObject{ListView{dir: listDir{nodes: []*listNode{{pack: p}}}, n: p.n, size: p.size()}}
	case ZSet:
		return &ZSetObject{ZSetView{packed: packed{buf: p.buf, n: p.n}}}
	case Set:
		return &SetObject{SetView{pack: &p}}
	default:
		panic("keyspace: no such collection stands in a record")
	}
}

// expand puts the collection at pos, whose record r is for changing, into a box.
func (db *DB) expand(pos int, r *record) Object {
	in := r.inline()
	o := expanded(r.kind(), append(make([]byte, 0, len(in)+len(in)/8+16), in...))
	f := r.form()
	f.boxed = true
	db.ks.reform(db.d, pos, f).setBox(db.d.boxes.add(o))
	return o
}

// compact puts what is in box n of d back into its key's record, if it is small enough.
// known is where the record was when the box was put to use.
func (ks *Keyspace) compact(d *data, n uint32, known ref) bool {
	compact, ok := appendCompact(ks.scratch[:0], d.boxes.vec.at(int(n)).held)
	ks.scratch = compact[:0]
	if !ok {
		return false
	}
	// The record may have moved since, or be dead, or its key gone. It is not buried
	// before the unit ends.
	pos := d.find(d.arena.at(known).key())
	if pos < 0 {
		return false
	}
	r := d.at(pos)
	if !r.has(flagBoxed) || r.box() != n {
		return false
	}
	f := r.form()
	f.boxed, f.str = false, len(compact)
	d.used -= d.boxes.remove(n)
	copy(ks.reform(d, pos, f).inline(), compact)
	return true
}
