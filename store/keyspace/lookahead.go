package keyspace

import "hash/maphash"

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
	d := v.d.keys
	var (
		tables [MaxAhead][]uint64
		tags   [MaxAhead]uint32
		slots  [MaxAhead]uint64
		items  [MaxAhead]*item[value]
	)
	for i, key := range keys {
		x, tag := d.hash(maphash.Bytes(hashSeed, key))
		if n := uint32(len(x.cur)); n > 0 {
			tables[i], tags[i], slots[i] = x.cur, tag, x.cur[tag&(n-1)]
		}
	}
	n := 0
	for i := range keys {
		// Where the first slot is another key's, the right one stands in the same
		// cache line nearly always. Keys in the old table of an index that grows are
		// not looked for.
		s := slots[i]
		for at := tags[i]; s != 0 && slotTag(s) != tags[i]; {
			at++
			s = tables[i][at&uint32(len(tables[i])-1)]
		}
		if s != 0 {
			items[n] = d.vec.at(slotPos(s))
			n++
		}
	}
	for _, it := range items[:n] {
		sum += uint64(len(it.key)) + it.val.version
	}
	for _, it := range items[:n] {
		if len(it.key) > 0 {
			sum += uint64(it.key[0])
		}
		if it.val.boxed {
			sum += uint64(it.val.object().Kind())
			continue
		}
		b := it.val.bytes()
		for j := 0; j < min(len(b), aheadBytes); j += 64 {
			sum += uint64(b[j])
		}
	}
	return sum
}
