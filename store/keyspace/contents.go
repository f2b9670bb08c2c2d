package keyspace

// contents is what a key is given.
type contents struct {
	kind         Kind
	raw, private bool
	held         any // what goes into a box, nil: it is a string that stands in the record
}

// text returns what a key is given to hold the string s, which nobody else has, and that
// part of s that stands in the record.
func text(s []byte) (contents, []byte) {
	if len(s) <= maxInline {
		return contents{kind: String}, s
	}
	return contents{kind: String, private: true, held: &blob{s}}, nil
}

// assign makes key hold c, or a copy of str, with the given deadline (0: none; KeepTTL: what it has), and
// is to be followed by replaced. was is the kind of what it replaces.
func (db *DB) assign(key []byte, c contents, str []byte, expire int64) (pos int, was Kind) {
	pos, r := db.lookupWrite(key)
	was = r.kind()
	f := form{at: max(expire, 0), boxed: c.held != nil, key: len(key), str: len(str)}
	switch {
	case r == nil:
		pos = db.d.add(key, f)
		r = db.d.at(pos)
		db.ks.journal.add(event{revision: db.ks.revision, kind: born, db: uint8(db.id)}, key)
		if f.boxed {
			r.setBox(db.d.boxes.add(c.held))
		}
	default:
		if expire == KeepTTL {
			f.at = r.deadline()
		}
		had := r.has(flagBoxed)
		if had && !f.boxed {
			db.d.used -= db.d.boxes.remove(r.box())
		}
		r = db.ks.reform(db.d, pos, f)
		switch {
		case f.boxed && had:
			db.d.boxes.put(r.box(), c.held)
		case f.boxed:
			r.setBox(db.d.boxes.add(c.held))
		}
	}
	if f.boxed {
		db.unsettle(pos)
	} else {
		copy(r.inline(), str)
	}
	r.setKind(c.kind)
	r.set(flagRaw, c.raw)
	r.set(flagPrivate, c.private)
	return pos, was
}

func (db *DB) replaced(pos int, was Kind) {
	r := db.d.at(pos)
	r.setVersion(db.ks.revision)
	db.wrote(r, was == None)
	if was == None {
		db.ks.touched(db.id, r.key(), Created, r.kind())
	} else {
		db.ks.touched(db.id, r.key(), Replaced, was)
	}
}

// renewed is replaced for a key that counts as deleted and then created.
func (db *DB) renewed(pos int, was Kind) {
	if was != None {
		db.ks.touched(db.id, db.d.at(pos).key(), Deleted, was)
	}
	db.replaced(pos, None)
}

// Set makes key the string s, with the given deadline (0: none; KeepTTL: what
// it has). It copies s: arguments are slices of a log entry, and keeping one
// would keep the whole entry.
func (db *DB) Set(key, s []byte, expire int64) {
	if len(s) > maxInline {
		db.SetOwned(key, append(db.reusable(key, len(s)), s...), expire)
		return
	}
	db.replaced(db.assign(key, contents{kind: String}, s, expire))
}

// reusable returns memory for a long string of size bytes at key: that of one which it is
// to replace and which has about the same size, if no capture and no other key may be
// looking at it.
func (db *DB) reusable(key []byte, size int) []byte {
	if pos, r := db.lookupWrite(key); r != nil && r.has(flagPrivate) && !db.ks.shared(db.d, pos, r) {
		if old := db.d.text(r); size <= cap(old) && cap(old) <= size+size/4 {
			return old[:0]
		}
	}
	return make([]byte, 0, size)
}

// SetOwned is Set for a string that was built for this and that nobody else
// holds.
func (db *DB) SetOwned(key, s []byte, expire int64) {
	c, str := text(s)
	db.replaced(db.assign(key, c, str, expire))
}

// SetObject makes key hold o, replacing what was there, with the given deadline
// (0: none; KeepTTL: what it has). o must not be held by another key.
func (db *DB) SetObject(key []byte, o Object, expire int64) {
	db.replaced(db.assign(key, contents{kind: o.Kind(), held: o}, nil, expire))
}

// contents returns what a record has, without a copy.
func (d *data) contents(r *record) (c contents, str []byte) {
	c = contents{kind: r.kind(), raw: r.has(flagRaw), private: r.has(flagPrivate)}
	if r.has(flagBoxed) {
		c.held = d.boxes.vec.at(int(r.box())).held
	} else {
		str = r.inline()
	}
	return c, str
}
