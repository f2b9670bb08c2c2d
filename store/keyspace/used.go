package keyspace

import "math/bits"

// What a keyspace needs is counted, not measured: a pure function of its contents, so
// that all members come to the same number at every place of the log, and so does one
// that was restored from a snapshot. It is what maxmemory is compared with.
//
// A key counts as keyBytes, and as what is in its box. Objects are changed in place
// behind the keyspace's back: so what each box was counted as
// is kept in it, and those that may have changed are looked at once more when the
// sum is wanted or the next unit begins (settle).

const (
	// placeBytes is what a key costs beside its record: its place in the order and in
	// the index.
	placeBytes = 5 + 11
	// boxBytes is what a box costs beside what is in it.
	boxBytes = 32
	// deadlineBytes is what it costs to know when a key is due.
	deadlineBytes = 24
)

// keyBytes is what a key of that form needs, without what is in a box.
func keyBytes(f form) int64 {
	n := roomFor(f.size()) + placeBytes
	if f.at != 0 {
		n += deadlineBytes
	}
	return int64(n)
}

// heldBytes is what a box needs.
func heldBytes(held any) int64 {
	switch held := held.(type) {
	case *blob:
		return boxBytes + int64(len(held.b))
	case Object:
		return boxBytes + int64(held.Bytes())
	default:
		return 0
	}
}

// usedBytes is what a key needs, as of the last settle.
func (d *data) usedBytes(r *record) int64 {
	n := keyBytes(r.form())
	if r.has(flagBoxed) {
		n += d.boxes.vec.at(int(r.box())).counted
	}
	return n
}

// settleIn has the boxes that may have changed emptied into their records, or counted. That
// one is named twice, or is another key's by now, does no harm.
func (ks *Keyspace) settleIn(d *data) {
	for _, u := range d.boxes.unsettled {
		b := d.boxes.vec.at(int(u.box))
		if b.held == nil || ks.compact(d, u.box, u.ref) {
			continue
		}
		if now := heldBytes(b.held); now != b.counted {
			d.used += now - b.counted
			d.boxes.vec.mut(int(u.box)).counted = now
		}
	}
	d.boxes.unsettled = d.boxes.unsettled[:0]
	if cap(d.boxes.unsettled) > keepUnsettled {
		d.boxes.unsettled = nil
	}
}

const keepUnsettled = 1 << 10

// unsettle says that what the record at pos has in its box may change until the next unit.
func (db *DB) unsettle(pos int) {
	r := db.d.order.at(pos)
	db.d.boxes.changing(db.d.arena.at(r).box(), r)
	db.ks.unsettled |= 1 << db.id
}

func (ks *Keyspace) settle() {
	for ; ks.unsettled != 0; ks.unsettled &= ks.unsettled - 1 {
		ks.settleIn(ks.dbs[bits.TrailingZeros16(ks.unsettled)])
	}
}

// Used is how many bytes the contents need, expired keys included that nobody has
// deleted yet. It is called in a unit, or between two, by whoever may write.
func (ks *Keyspace) Used() (n int64) {
	ks.settle()
	for _, d := range ks.dbs {
		n += d.used
	}
	return n
}

// Overhead is how much of what the database needs is neither names nor values, and how
// much of that is for deadlines.
func (v *View) Overhead() (all, deadlines int64) {
	deadlines = int64(v.Expires()) * deadlineBytes
	return int64(v.Len())*(headBytes+placeBytes) + deadlines, deadlines
}

// UsedBy is how many bytes database db needs as of the unit before the one that is being
// applied. It only reads.
func (ks *Keyspace) UsedBy(db int) int64 { return ks.dbs[db].used }
