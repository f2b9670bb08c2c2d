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
	keys = keys[:min(len(keys), MaxAhead)]
	d := v.d
	if d.shards == nil {
		return 0
	}
	var (
		tables  [MaxAhead][]uint64
		at      [MaxAhead]uint32
		tags    [MaxAhead]uint32
		slots   [MaxAhead]uint64
		records [MaxAhead]*record
	)
	for i, key := range keys {
		x, tag := d.shard(key)
		if size := len(x.cur); size > 0 {
			tables[i], tags[i], at[i] = x.cur, tag, home(tag, size)
			slots[i] = x.cur[at[i]]
		}
	}
	n := 0
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
	for _, r := range records[:n] {
		sum += r.state
	}
	for _, r := range records[:n] {
		b := v.d.text(r)
		for j := 0; j < min(len(b), aheadBytes); j += 64 {
			sum += uint64(b[j])
		}
	}
	return sum
}
