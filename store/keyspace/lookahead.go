package keyspace

// MaxAhead is how many keys LookAhead takes at once: enough for a processor to
// have as many loads under way as it can, few enough that what they bring is
// still in its cache when the turn of the last key comes.
const MaxAhead = 32

// aheadBytes of a value are loaded. Behind them the processor itself looks ahead.
const aheadBytes = 192

// maxMemberAhead is the longest member that is looked for: to hash a longer one twice
// costs more than its lookup waits.
const maxMemberAhead = 256

// LookAhead brings keys that are about to be looked up, at most MaxAhead of
// them, into the processor's caches. A lookup among many keys is four loads from
// memory, each of which needs what the one before it brought: the slot of the
// index, the item, the bytes of the key, those of the value. A command that comes
// after another waits for all four. LookAhead takes the same step for all keys
// before it takes the next one for any, so that their waits overlap.
//
// It changes nothing and what it finds may be out of date by the time of the
// lookup. The number that it returns means nothing either: with it the compiler
// cannot leave out loads whose result nobody uses.
func (v *View) LookAhead(keys [][]byte) (sum uint64) { return v.CallsAhead(keys, nil) }

// CallsAhead is LookAhead for calls of commands, of which it knows the keys and the first
// and the last argument behind each. In a big hash or set these are what will be looked
// up next, which is three more loads: the slot, the item, the bytes of the member.
//
// REQUIRES: the view is of the living keyspace. Big collections of a Still share their
// indexes with it until somebody looks into them.
func (v *View) CallsAhead(keys [][]byte, args [][2][]byte) (sum uint64) {
	var records [MaxAhead]*record
	v.d.recordsAhead(keys, &records)
	n := min(len(keys), MaxAhead)
	sum, collections := loadAhead(records[:n], &v.d.boxes.vec)
	if collections && args != nil {
		sum += membersAhead(records[:n], args, &v.d.boxes.vec)
	}
	return sum
}

// RemoveAhead is LookAhead for keys that are about to be removed. For that nobody needs the
// values, but the keys that take their places in the order, which are the last ones, and
// what the index says of those.
func (v *View) RemoveAhead(keys [][]byte) (sum uint64) {
	var records [MaxAhead]*record
	d := v.d
	d.recordsAhead(keys, &records)
	n := min(len(keys), MaxAhead, d.order.n)
	for _, r := range records {
		if r != nil {
			sum += r.state
		}
	}
	for i := range n {
		records[i] = d.at(d.order.n - 1 - i)
	}
	for _, r := range records[:n] {
		sum += r.state
	}
	for _, r := range records[:n] {
		if x, tag := d.shard(r.key()); len(x.cur) > 0 {
			sum += x.cur[home(tag, len(x.cur))]
		}
	}
	return sum
}

// recordsAhead finds the record of each of keys, as far as it can do so without a wait.
// Their contents have not been loaded yet.
func (d *data) recordsAhead(keys [][]byte, records *[MaxAhead]*record) {
	if d.shards == nil {
		return
	}
	var probes [MaxAhead]probe
	keys = keys[:min(len(keys), MaxAhead)]
	for i, key := range keys {
		x, tag := d.shard(key)
		probes[i].begin(x, tag)
	}
	for i := range keys {
		if pos := probes[i].pos(); pos >= 0 {
			records[i] = d.at(pos)
		}
	}
}

// probe is the first step of a search in an index.
type probe struct {
	table   []uint64
	at, tag uint32
	slot    uint64
}

// begin loads the slot at which a search begins.
func (p *probe) begin(x *index, tag uint32) {
	if size := len(x.cur); size > 0 {
		p.table, p.tag, p.at = x.cur, tag, home(tag, size)
		p.slot = x.cur[p.at]
	}
}

// pos is where the key probably is, or -1. Where the first slot is another key's, the
// right one stands in the same cache line nearly always. Keys in the old table of an
// index that grows are not looked for.
func (p *probe) pos() int {
	s := p.slot
	for at := p.at; s != 0 && slotTag(s) != p.tag; s = p.table[at] {
		at = behind(at, len(p.table))
	}
	if s == tombstone {
		return -1
	}
	return slotPos(s)
}

// membersAhead loads what args name in the big collections among records.
func membersAhead(records []*record, args [][2][]byte, boxes *vec[box]) (sum uint64) {
	var (
		dicts  [MaxAhead]members
		probes [MaxAhead]probe
		names  [MaxAhead]*string
		n      int
	)
	for i, r := range records {
		d, member := membersOf(r, boxes, args[i])
		if d != nil && len(member) <= maxMemberAhead {
			dicts[n] = d
			probes[n].begin(d.index(), tagOf(member))
			n++
		}
	}
	for i := range n {
		if pos := probes[i].pos(); pos >= 0 {
			names[i] = dicts[i].name(pos)
		}
	}
	for _, name := range names[:n] {
		if name != nil {
			sum += uint64(len(*name))
		}
	}
	for _, name := range names[:n] {
		if name != nil && len(*name) > 0 {
			sum += uint64((*name)[0])
		}
	}
	return sum
}

// members is what a look ahead needs of the dicts of all types.
type members interface {
	index() *index
	name(pos int) *string
}

// membersOf returns the dict of a big collection, nil if r is none, and which of the first
// and the last argument of a call is a member there: a score may stand before it in a call
// that has to do with a sorted set, and a value behind it in one with a hash.
func membersOf(r *record, boxes *vec[box], args [2][]byte) (members, []byte) {
	if r == nil || r.kind() == String || !r.has(flagBoxed) {
		return nil, nil
	}
	switch o := boxes.at(int(r.box())).held.(type) {
	case *HashObject:
		if o.dict != nil {
			return o.dict, args[0]
		}
	case *SetObject:
		if o.dict != nil {
			return o.dict, args[0]
		}
	case *ZSetObject:
		if o.members != nil {
			return o.members, args[1]
		}
	}
	return nil, nil
}

// lookAhead is LookAhead for the keys from position i on.
func (f *frozenData) lookAhead(i int) (sum uint64) {
	var records [MaxAhead]*record
	n := min(MaxAhead, f.order.n-i)
	for j := range n {
		records[j] = f.at(i + j)
	}
	sum, _ = loadAhead(records[:n], &f.boxes)
	return sum
}

// loadAhead loads records and, if they are strings, the beginnings of those. It reports
// whether there are others among them.
func loadAhead(records []*record, boxes *vec[box]) (sum uint64, collections bool) {
	for _, r := range records {
		if r != nil {
			sum += r.state
		}
	}
	for _, r := range records {
		switch {
		case r == nil:
		case r.kind() != String:
			collections = true
		default:
			b := textOf(r, boxes)
			for j := 0; j < min(len(b), aheadBytes); j += 64 {
				sum += uint64(b[j])
			}
		}
	}
	return sum, collections
}
