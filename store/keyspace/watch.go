package keyspace

// Mark is what WATCH remembers of a key: twice the revision at which it was looked
// at, plus one if it was there.
type Mark uint64

// Mark returns the mark of a key as of now (ms), which hides what is past its
// deadline.
func (ks *Keyspace) Mark(db int, key []byte, now int64) Mark {
	view := ks.View(db, now)
	m := Mark(2 * ks.revision)
	if view.Exists(key) {
		m++
	}
	return m
}

// Present reports whether the key was there.
func (m Mark) Present() bool { return m&1 != 0 }

// Revision is when the key was looked at.
func (m Mark) Revision() uint64 { return uint64(m / 2) }

// Unchanged reports whether nothing has happened to a key since its mark was
// taken that Redis would count for WATCH: it was not written to, made, deleted,
// expired, flushed away, or exchanged for another or none by SWAPDB. A key that
// was not there and is not there is unchanged unless it has been there meanwhile.
//
// It is exact for a key that was there. For one that was not, it answers false as
// well if the journal does not reach back that far, or if a SWAPDB that the
// journal has may have moved it: one that brought a key past its deadline, or
// something that a FLUSHDB has then taken away.
func (ks *Keyspace) Unchanged(db int, key []byte, m Mark, now int64) bool {
	view := ks.View(db, now)
	_, r := view.peek(key)
	switch {
	case (r != nil) != m.Present():
		return false
	case r != nil:
		return max(r.version(), view.d.swapped) <= m.Revision()
	default:
		return ks.absentSince(db, key, m.Revision())
	}
}

// absentSince walks the journal back to revision since, at which database db did
// not have key, as it does not now. has is what databases had it at each point of
// the walk, which is of interest if db was swapped.
func (ks *Keyspace) absentSince(db int, key []byte, since uint64) bool {
	if since < ks.journal.forgotten {
		return false
	}
	var has uint32
	if ks.dbs[db].swapped > since {
		for i, d := range ks.dbs {
			if d.find(key) >= 0 {
				has |= 1 << i
			}
		}
	}
	absent := true
	ks.journal.back(since, func(e *event, name []byte) bool {
		bit, other := uint32(1)<<e.db, uint32(1)<<e.other
		switch e.kind {
		case born:
			if string(name) == string(key) {
				absent = int(e.db) != db
				has &^= bit
			}
		case died:
			if string(name) == string(key) {
				has |= bit
			}
		case flushed:
			has |= bit
		case swapped:
			if a, b := has&bit != 0, has&other != 0; a != b {
				has ^= bit | other
			}
			absent = !(int(e.db) == db && has&other != 0 || int(e.other) == db && has&bit != 0)
		}
		return absent
	})
	return absent
}
