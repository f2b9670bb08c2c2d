package keyspace

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
	d := newData()
	d.order, d.arena.memory, d.arena.mem, d.boxes.vec, d.swapped = f.order, f.memory, f.mem, f.boxes.fork(), f.swapped
	d.own = make(map[uint32]bool)
	for i := range d.order.n {
		r := d.at(i)
		d.enter(r.key(), i)
		if at := r.deadline(); at != 0 {
			d.expires.Set(deadline{at, d.order.at(i)})
		}
	}
	return d
}

// private returns the object of a record, the Still's own: that of the
// frozen keyspace can only be iterated, because the living one has taken its index
// along.
func (d *data) private(r *record) Object {
	if !r.has(flagBoxed) {
		return d.object(r)
	}
	if n := r.box(); !d.own[n] {
		d.boxes.vec.mut(int(n)).held = cloneObject(d.object(r))
		d.own[n] = true
	}
	return d.object(r)
}
