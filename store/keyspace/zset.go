package keyspace

import (
	"bytes"
	"math"
	"slices"
	"unsafe"
)

// ZSetView is a sorted set for reading. The members that it hands out
// alias the keyspace: they are valid while the lock is held and nothing is
// written, and must not be written to.
type ZSetView struct {
	// The small form, if members is nil.
	packed packed

	// The big form. members is the truth, order is derived from it; their
	// strings share memory. A frozen set has no order.
	members *dict[float64]
	order   *order
	size    int // bytes of all members together
}

// ZSetObject is a sorted set for changing. The zero value is an empty one.
type ZSetObject struct{ ZSetView }

var _ Object = (*ZSetObject)(nil)

// ZSetAt returns the sorted set at key for reading, nil if there is none. The
// error is ErrWrongType.
func (v *View) ZSetAt(key []byte) (*ZSetView, error) {
	o, err := v.object(key, ZSet)
	if o == nil {
		return nil, err
	}
	return &o.(*ZSetObject).ZSetView, nil //nolint:errcheck // the kinds were compared
}

// ZSetForUpdate returns the sorted set at key for changing, nil if there is none
// and create is not set. Whoever empties a set deletes its key.
func (db *DB) ZSetForUpdate(key []byte, create bool) (*ZSetObject, error) {
	o, err := db.objectForUpdate(key, ZSet, creator(create, func() Object { return &ZSetObject{} }))
	if o == nil {
		return nil, err
	}
	return o.(*ZSetObject), nil //nolint:errcheck // the kinds were compared
}

// Member is a member of a sorted set with its score.
type Member struct {
	Name  []byte
	Score float64
}

// NewZSet makes a set of members, which it sorts and copies. No name may
// occur twice. The set is big only if it is above the limits.
func NewZSet(members []Member, lim *Limits) *ZSetObject {
	slices.SortFunc(members, func(a, b Member) int {
		x := scored{a.Score, zsetString(a.Name)}
		return x.compare(&scored{b.Score, zsetString(b.Name)})
	})
	z := &ZSetObject{}
	small := int64(len(members)) <= lim.ZSetMaxListpackEntries
	for i := range members {
		small = small && int64(len(members[i].Name)) <= lim.ZSetMaxListpackValue
	}
	if small {
		for i := range members {
			z.packed.append(members[i].Name, members[i].Score)
		}
		return z
	}
	items := make([]scored, len(members))
	for i, m := range members {
		items[i] = scored{m.Score, string(m.Name)}
	}
	z.grow(items)
	return z
}

// grow gives z the big form with items, which are in order, instead of what is
// in it.
func (z *ZSetObject) grow(items []scored) {
	z.packed, z.size = packed{}, 0
	z.members = &dict[float64]{}
	for _, it := range items {
		z.members.add(it.member, it.score)
		z.size += len(it.member)
	}
	z.order = newOrder(items)
}

// zsetString returns b as a string without a copy, for use while b is not
// written to.
func zsetString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Len returns the number of members.
func (z *ZSetView) Len() int {
	if z.members == nil {
		return z.packed.n
	}
	return z.members.len()
}

// Small reports whether the set has its small form.
func (z *ZSetView) Small() bool { return z.members == nil }

// Score returns the score of a member.
func (z *ZSetView) Score(member []byte) (float64, bool) {
	if z.members == nil {
		off, score, _ := z.packed.find(member)
		return score, off >= 0
	}
	if i := z.members.find(member); i >= 0 {
		return z.members.at(i).val, true
	}
	return 0, false
}

// Rank returns how many members stand before member.
func (z *ZSetView) Rank(member []byte) (int, bool) {
	if z.members == nil {
		_, _, rank := z.packed.find(member)
		return rank, rank >= 0
	}
	i := z.members.find(member)
	if i < 0 {
		return 0, false
	}
	it := z.members.at(i)
	return z.order.rank(&scored{it.val, it.key}), true
}

// At returns member i of [0, Len) in an order of its own that is the same on
// every node. It is not the rank, and faster.
func (z *ZSetView) At(i int) (member []byte, score float64) {
	if z.members == nil {
		member, score, _ = z.packed.entry(z.packed.offset(i))
		return member, score
	}
	it := z.members.at(i)
	return stringBytes(it.key), it.val
}

// Range visits the members of ranks [lo, hi), from the last to the first if
// rev, until visit answers false.
func (z *ZSetView) Range(lo, hi int, rev bool, visit func(member []byte, score float64) bool) {
	lo, hi = max(lo, 0), min(hi, z.Len())
	if lo >= hi {
		return
	}
	item := func(it *scored) bool { return visit(stringBytes(it.member), it.score) }
	switch {
	case z.members == nil && rev:
		z.packed.walkBack(lo, hi, visit)
	case z.members == nil:
		z.packed.walk(lo, hi, visit)
	case rev:
		z.order.root.node.walkBack(lo, hi, z.order.root.n, item)
	default:
		z.order.root.node.walk(lo, hi, item)
	}
}

// Scan visits up to count members from cursor and returns the next cursor, 0 at
// the end. A small set is visited whole. See dict for what it guarantees.
func (z *ZSetView) Scan(cursor uint64, count int, visit func(member []byte, score float64)) uint64 {
	if z.members == nil {
		z.packed.walk(0, z.packed.n, func(m []byte, s float64) bool { visit(m, s); return true })
		return 0
	}
	return z.members.scan(cursor, count, func(it *item[float64]) { visit(stringBytes(it.key), it.val) })
}

// Put gives member a score, which must not be NaN, adding it if it is absent.
func (z *ZSetObject) Put(member []byte, score float64, lim *Limits) {
	if z.members == nil {
		off, _, _ := z.packed.find(member)
		if off >= 0 {
			z.packed.removeAt(off)
			z.packed.insert(member, score)
			return
		}
		if int64(z.packed.n) < lim.ZSetMaxListpackEntries && int64(len(member)) <= lim.ZSetMaxListpackValue {
			z.packed.insert(member, score)
			return
		}
		items := make([]scored, 0, z.packed.n)
		z.packed.walk(0, z.packed.n, func(m []byte, s float64) bool {
			items = append(items, scored{s, string(m)})
			return true
		})
		z.grow(items)
	}
	i := z.members.find(member)
	if i < 0 {
		s := string(member)
		z.members.add(s, score)
		z.order.insert(scored{score, s})
		z.size += len(s)
		return
	}
	it := z.members.mut(i)
	z.order.remove(scored{it.val, it.key})
	it.val = score
	z.order.insert(scored{score, it.key})
}

// Remove deletes a member and reports whether it was there. A set that it has
// emptied must be deleted by the caller.
func (z *ZSetObject) Remove(member []byte) bool {
	if z.members == nil {
		off, _, _ := z.packed.find(member)
		if off >= 0 {
			z.packed.removeAt(off)
		}
		return off >= 0
	}
	i := z.members.find(member)
	if i < 0 {
		return false
	}
	it := z.members.at(i)
	z.size -= len(it.key)
	z.order.remove(scored{it.val, it.key})
	z.members.remove(i)
	return true
}

// rebuildFrom: where more than one member in so many goes at once, it is quicker
// to make the set anew from those that stay.
const rebuildFrom = 8

// RemoveRange deletes the members of ranks [lo, hi).
func (z *ZSetObject) RemoveRange(lo, hi int) {
	if lo >= hi {
		return
	}
	if z.members == nil {
		z.packed.removeRange(lo, hi)
		return
	}
	n := z.Len()
	if (hi-lo)*rebuildFrom > n {
		items := make([]scored, 0, n-(hi-lo))
		keep := func(it *scored) bool { items = append(items, *it); return true }
		z.order.root.node.walk(0, lo, keep)
		z.order.root.node.walk(hi, n, keep)
		z.grow(items)
		return
	}
	names := make([]string, 0, hi-lo)
	z.order.root.node.walk(lo, hi, func(it *scored) bool {
		names = append(names, it.member)
		return true
	})
	for _, name := range names {
		z.Remove(stringBytes(name))
	}
}

// Kind is ZSet.
func (z *ZSetObject) Kind() Kind { return ZSet }

// Encoding is listpack or skiplist: Redis's words for small and big.
func (z *ZSetObject) Encoding() string {
	if z.members == nil {
		return "listpack"
	}
	return "skiplist"
}

// Fork implements Object. The order goes with the live set: nobody asks a
// frozen one for ranks.
func (z *ZSetObject) Fork() Object {
	live := &ZSetObject{ZSetView{size: z.size}}
	if z.members == nil {
		live.packed = packed{bytes.Clone(z.packed.buf), z.packed.n}
		return live
	}
	live.members, live.order = z.members.fork(), z.order
	z.order = nil
	return live
}

// Bytes implements Object.
func (z *ZSetObject) Bytes() int {
	const (
		set    = 96 // the struct
		member = 88 // slot in the vector, part of the index, item in the order
	)
	if z.members == nil {
		return set + len(z.packed.buf)
	}
	return set + z.size + z.members.len()*member
}

// Encode implements Object: the form, and the members in the order of ranks or,
// for the big form, of the vector.
func (z *ZSetObject) Encode(e *Encoder) {
	if z.members == nil {
		e.Byte(0)
		e.Uvarint(uint64(z.packed.n))
		z.packed.walk(0, z.packed.n, func(m []byte, s float64) bool {
			e.Bytes(m)
			e.Float(s)
			return true
		})
		return
	}
	e.Byte(1)
	n := z.members.len()
	e.Uvarint(uint64(n))
	for i := range n {
		it := z.members.at(i)
		e.String(it.key)
		e.Float(it.val)
	}
}

func decodeZSet(d *Decoder) *ZSetObject {
	z := &ZSetObject{}
	form, n := d.Byte(), d.Uvarint()
	if form > 1 {
		d.fail("unknown form of sorted set")
	}
	if form == 1 {
		z.members = &dict[float64]{}
	}
	var items []scored
	for ; n > 0 && d.Err() == nil; n-- {
		it := scored{member: d.String(), score: d.Float()}
		switch {
		case d.Err() != nil:
		case math.IsNaN(it.score):
			d.fail("score is not a number")
		case form == 0:
			last := len(items) - 1
			if last >= 0 && items[last].compare(&it) >= 0 {
				d.fail("sorted set out of order")
			}
			items = append(items[:0], it) // only the last is compared with
			z.packed.append(stringBytes(it.member), it.score)
		case z.members.find(stringBytes(it.member)) >= 0:
			d.fail("member listed twice")
		default:
			z.members.add(it.member, it.score)
			z.size += len(it.member)
			items = append(items, it)
		}
	}
	if form == 1 && d.Err() == nil {
		slices.SortFunc(items, func(a, b scored) int { return a.compare(&b) })
		z.order = newOrder(items)
	}
	return z
}
