package keyspace

import "github.com/tidwall/btree"

// Still is a frozen keyspace that is read like a living one. It is for one goroutine,
// and needs no lock. What a database needs to be read is made when it is first looked
// at, which takes some tenths of a microsecond for each of its keys.
type Still struct {
	frozen *Frozen
	dbs    [Databases]*data
}

// Still returns the frozen keyspace for reading.
func (f *Frozen) Still() *Still { return &Still{frozen: f} }

// View returns database db for reading as of now.
func (s *Still) View(db int, now int64) View {
	if s.dbs[db] == nil {
		s.dbs[db] = s.frozen.dbs[db].still()
	}
	return View{d: s.dbs[db], db: db, now: now, limits: &s.frozen.limits, events: &s.frozen.events, still: true}
}

func (f *frozenData) still() *data {
	d := &data{
		keys:    &dict[value]{vec: f.keys.fork(), shards: make([]index, 1<<shardBits)},
		expires: btree.NewBTreeGOptions(earlier, btree.Options{NoLocks: true}),
		swapped: f.swapped,
		own:     make(map[int]bool),
	}
	for i := range f.keys.n {
		it := f.keys.at(i)
		d.keys.enter(it.key, i)
		if it.val.expire != 0 {
			d.expires.Set(deadline{it.val.expire, it.key})
		}
	}
	return d
}

// private returns the value at pos with an object that is the Still's own: that of the
// frozen keyspace can only be iterated, because the living one has taken its index
// along.
func (d *data) private(pos int) *value {
	val := &d.keys.mut(pos).val
	if !d.own[pos] {
		val.setObject(cloneObject(val.object()))
		d.own[pos] = true
	}
	return val
}
