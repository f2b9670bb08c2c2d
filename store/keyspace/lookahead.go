package keyspace

// MaxAhead is how many keys LookAhead takes at once: enough for a processor to
// have as many loads under way as it can, few enough that what they bring is
// still in its cache when the turn of the last key comes.
const MaxAhead = 32

// aheadBytes of a value are loaded. Behind them the processor itself looks ahead.
const aheadBytes = 192

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
func (v *View) LookAhead(keys [][]byte) (sum uint64) {
	var records [MaxAhead]*record
	n := v.d.recordsAhead(keys, &records)
	return loadAhead(records[:n], &v.d.boxes.vec)
}

// RemoveAhead is LookAhead for keys that are about to be removed. For that nobody needs the
// values, but the keys that take their places in the order, which are the last ones, and
// what the index says of those.
func (v *View) RemoveAhead(keys [][]byte) (sum uint64) {
	var records [MaxAhead]*record
	d := v.d
	n := d.recordsAhead(keys, &records)
	for _, r := range records[:n] {
		sum += r.state
	}
	n = min(n, d.order.n)
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

// recordsAhead finds the records of keys, as far as it can do so without a wait for each,
// and returns how many. Their contents have not been loaded yet.
func (d *data) recordsAhead(keys [][]byte, records *[MaxAhead]*record) (n int) {
	keys = keys[:min(len(keys), MaxAhead)]
	if d.shards == nil {
		return 0
	}
	var (
		tables [MaxAhead][]uint64
		at     [MaxAhead]uint32
		tags   [MaxAhead]uint32
		slots  [MaxAhead]uint64
	)
	for i, key := range keys {
		x, tag := d.shard(key)
		if size := len(x.cur); size > 0 {
			tables[i], tags[i], at[i] = x.cur, tag, home(tag, size)
			slots[i] = x.cur[at[i]]
		}
	}
	for i := range keys {
		// Where the first slot is another key's, the right one stands in the same
		// cache line nearly always. Keys in the old table of an index that grows are
		// not looked for.
		s := slots[i]
		for at := at[i]; s != 0 && slotTag(s) != tags[i]; {
			at = behind(at, len(tables[i]))
			s = tables[i][at]
		}
		if s != 0 && s != tombstone {
			records[n] = d.at(slotPos(s))
			n++
		}
	}
	return n
}

// lookAhead is LookAhead for the keys from position i on.
func (f *frozenData) lookAhead(i int) (sum uint64) {
	var records [MaxAhead]*record
	n := min(MaxAhead, f.order.n-i)
	for j := range n {
		records[j] = f.at(i + j)
	}
	return loadAhead(records[:n], &f.boxes)
}

// loadAhead loads records and, if they are strings, the beginnings of those.
func loadAhead(records []*record, boxes *vec[box]) (sum uint64) {
	for _, r := range records {
		sum += r.state
	}
	for _, r := range records {
		b := textOf(r, boxes)
		for j := 0; j < min(len(b), aheadBytes); j += 64 {
			sum += uint64(b[j])
		}
	}
	return sum
}
