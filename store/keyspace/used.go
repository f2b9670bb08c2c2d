package keyspace

// What a keyspace needs is counted, not measured: a pure function of its contents, so
// that all members come to the same number at every place of the log, and so does one
// that was restored from a snapshot. It is what maxmemory is compared with.
//
// A key counts as keyBytes, and as what its object says it takes (Object.Bytes).
// Objects are changed in place behind the keyspace's back: so what each was counted as
// is kept beside it, and those that may have changed are looked at once more when the
// sum is wanted or the next unit begins (settle).

const (
	// slotBytes is what a key costs beside its own and its value's bytes: the slot in
	// the vector and its part of the index.
	slotBytes = 80
	// deadlineBytes is what it costs to know when it is due.
	deadlineBytes = 40
)

// keyBytes is what a key needs: its name's bytes, those of its value if that is a
// string (an object counts for itself), and its deadline if it has one.
func keyBytes(key, str int, expires bool) int64 {
	n := slotBytes + key + str
	if expires {
		n += deadlineBytes
	}
	return int64(n)
}

// usedBytes is what the key and its value need, as of the last settle.
func (v *value) usedBytes(key int) int64 {
	n := keyBytes(key, int(v.strLen), v.expire != 0)
	if v.boxed {
		n += v.box().counted
	}
	return n
}

// box holds an object. What it holds never changes: a snapshot may be looking into it.
type box struct {
	Object

	// counted is what the object is in data.used with, gone if it is not any more. Only
	// the live keyspace, whose box this then is, has any use for it.
	counted int64
}

const gone = -1

// count adds the item to what the database needs, discount takes it away: behind and
// in front of every change of its size.
func (d *data) count(it *item[value]) {
	if it.val.boxed {
		it.val.box().counted = 0
		d.changing(&it.val)
	}
	d.used += it.val.usedBytes(len(it.key))
}

func (d *data) discount(it *item[value]) {
	d.used -= it.val.usedBytes(len(it.key))
	if it.val.boxed {
		it.val.box().counted = gone
	}
}

// changing says that val's object may change its size until the next settle.
func (d *data) changing(val *value) { d.unsettled = append(d.unsettled, val.box()) }

// settle counts the objects that may have changed. Those that were removed since, or
// are named twice, do no harm.
func (d *data) settle() {
	if len(d.unsettled) == 0 {
		return
	}
	for i, b := range d.unsettled {
		if b.counted != gone {
			now := int64(b.Bytes())
			d.used += now - b.counted
			b.counted = now
		}
		d.unsettled[i] = nil
	}
	d.unsettled = d.unsettled[:0]
	if cap(d.unsettled) > keepUnsettled {
		d.unsettled = nil
	}
}

const keepUnsettled = 1 << 10

func (ks *Keyspace) settle() {
	for _, d := range ks.dbs {
		d.settle()
	}
}

// Used is how many bytes the contents need, expired keys included that nobody has
// deleted yet. It is called in a unit, or between two, by whoever may write.
func (ks *Keyspace) Used() (n int64) {
	for _, d := range ks.dbs {
		d.settle()
		n += d.used
	}
	return n
}

// Overhead is how much of what the database needs is neither names nor values, and how
// much of that is for deadlines.
func (v *View) Overhead() (all, deadlines int64) {
	deadlines = int64(v.Expires()) * deadlineBytes
	return int64(v.Len())*slotBytes + deadlines, deadlines
}

// UsedBy is how many bytes database db needs as of the unit before the one that is being
// applied. It only reads.
func (ks *Keyspace) UsedBy(db int) int64 { return ks.dbs[db].used }
