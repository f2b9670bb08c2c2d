package keyspace

import (
	"errors"

	"github.com/raftredis/raftredis/store/lhd"
)

// ErrWrongType is Redis's answer to a command against a key of another type.
var ErrWrongType = errors.New("WRONGTYPE Operation against a key holding the wrong kind of value")

// View is one database for reading, as of a time. Keys whose deadline has
// passed are invisible. Any number of views may be used at once under the
// store's read lock.
type View struct {
	d      *data
	db     int
	now    int64
	limits *Limits
	events *Events
	still  bool // of a Still

	applied bool       // it is part of a DB: what is seen may come to be state
	first   bool       // as Keyspace.First
	counted []byte     // of a DB: the key whose use was noted last
	model   *lhd.Model // nil unless the policy learns

	// Chance is what counting accesses goes by: any will do, it is no state. Without one
	// they are not counted.
	Chance *Rand

	// Reads, if not nil, takes some of the keys that are read.
	Reads *Reads

	// NoTouch has only Touch count as a use of what is read: see CLIENT NO-TOUCH.
	NoTouch bool

	// Lookups counts what was looked up for reading. A command for which Redis
	// counts otherwise than it looks keys up here corrects it.
	Lookups Lookups
}

// Lookups are lookups of keys, as INFO's keyspace_hits and keyspace_misses count
// them. Missed are the keys of the misses, while EventMiss is told.
type Lookups struct {
	Hits, Misses uint32
	Missed       []string
}

// Lookup adds a lookup of key to those that count.
func (v *View) Lookup(key []byte, hit bool) {
	if hit {
		v.Lookups.Hits++
		return
	}
	v.Lookups.Misses++
	if *v.events&EventMiss != 0 {
		v.Lookups.Missed = append(v.Lookups.Missed, string(key))
	}
}

// DB is one database for writing: a View that can also change what it shows.
// The compiler thereby keeps a read command, which gets a View, from writing.
type DB struct {
	View
	ks *Keyspace
	id int
}

// Revision is the number of the unit that is being applied: higher in each.
func (db *DB) Revision() uint64 { return db.ks.revision }

// ID is the number of the database, as SELECT knows it.
func (db *DB) ID() int { return db.id }

// Now is the time in ms that this view is taken at: for a write the entry's
// stamp on the state clock, for a read the reader's estimate of it.
func (v *View) Now() int64 { return v.now }

// lookup finds a live key, and counts that.
func (v *View) lookup(key []byte) (pos int, r *record) {
	pos, r = v.peek(key)
	v.Lookup(key, r != nil)
	return pos, r
}

// peek finds a live key for what is no read of it.
func (v *View) peek(key []byte) (pos int, r *record) {
	pos = v.d.find(key)
	if pos < 0 {
		return -1, nil
	}
	r = v.d.at(pos)
	if !r.alive(v.now) {
		return -1, nil
	}
	return pos, r
}

// alive reports whether the record's deadline is not past.
func (r *record) alive(now int64) bool {
	at := r.deadline()
	return at == 0 || at > now
}

// held returns the object of a record.
func (v *View) held(r *record) Object {
	if v.still {
		return v.d.private(r)
	}
	return v.d.object(r)
}

// Kind returns the type of the value at key, None if there is none. That alone
// does not count as a lookup.
func (v *View) Kind(key []byte) Kind {
	_, r := v.peek(key)
	return r.kind()
}

// Touch notes an access to key and reports whether it is there.
func (v *View) Touch(key []byte) bool {
	_, r := v.lookup(key)
	if r != nil {
		v.touch(key, r)
	}
	return r != nil
}

// Exists reports whether key is there.
func (v *View) Exists(key []byte) bool {
	_, r := v.lookup(key)
	return r != nil
}

// Get returns the string at key. The result aliases the keyspace: it is valid
// while the lock is held and until the key is next changed (a write that gives
// the old value as its reply writes that first), and must not be written to. ok is false if there
// is no such key; the error is ErrWrongType.
func (v *View) Get(key []byte) (s []byte, ok bool, err error) {
	_, r := v.lookup(key)
	if r == nil {
		return nil, false, nil
	}
	if r.kind() != String {
		return nil, false, ErrWrongType
	}
	v.read(key, r)
	return v.d.text(r), true, nil
}

// object returns the object at key for reading, nil if there is no such key,
// and ErrWrongType if its kind is another one. The typed accessors (HashAt and
// its like) are what commands use.
func (v *View) object(key []byte, k Kind) (Object, error) {
	_, r := v.lookup(key)
	if r == nil {
		return nil, nil
	}
	if r.kind() != k {
		return nil, ErrWrongType
	}
	v.read(key, r)
	return v.held(r), nil
}

// Expire returns the deadline of key in ms, 0 if it has none. ok is false if
// there is no such key.
func (v *View) Expire(key []byte) (at int64, ok bool) {
	_, r := v.lookup(key)
	if r == nil {
		return 0, false
	}
	return r.deadline(), true
}

// Len returns the number of keys, those included whose deadline has passed but
// that no log entry has deleted yet, as Redis's DBSIZE does.
func (v *View) Len() int { return v.d.len() }

// Expires returns the number of keys that have a deadline.
func (v *View) Expires() int { return v.d.expires.Len() }

// Due calls visit for the keys whose deadline is at or before at, the earliest
// first, until it answers false. The leader proposes their deletion. A key is good
// during the call.
func (v *View) Due(at int64, visit func(key []byte, deadline int64) bool) {
	v.d.expires.Scan(func(d deadline) bool { return d.at <= at && visit(v.d.arena.at(d.ref).key(), d.at) })
}

// NextDeadline returns the earliest deadline in the database, 0 if none.
func (v *View) NextDeadline() int64 {
	d, _ := v.d.expires.Min()
	return d.at
}

// Scan visits up to count keys from cursor and returns the next cursor, 0 at
// the end. See dict for what it guarantees. A key is good for as long as the result
// of Get is.
func (v *View) Scan(cursor uint64, count int, visit func(key []byte, k Kind)) uint64 {
	return v.d.scan(cursor, count, func(r *record) {
		if r.alive(v.now) {
			visit(r.key(), r.kind())
		}
	})
}

// At returns the key at position i of [0, Len), false if it is expired. It is good
// for as long as the result of Get is.
func (v *View) At(i int) (key []byte, ok bool) {
	r := v.d.at(i)
	return r.key(), r.alive(v.now)
}

// Info describes the value at key for OBJECT and MEMORY USAGE.
type Info struct {
	Encoding string // empty for a string: it follows from Str and Raw
	Str      []byte // aliases the keyspace, see Get
	Raw      bool
	Idle     int64 // ms since it was used on this node, 0 if it never was
	Freq     uint8 // how often, logarithmic
	Bytes    int
}

// Info returns what is known about key without counting as an access.
func (v *View) Info(key []byte) (Info, bool) {
	_, r := v.lookup(key)
	if r == nil {
		return Info{}, false
	}
	stamp, hits := r.accessed()
	if r.dead() { // of a Still, whose keys may have gone since
		stamp, hits = 0, newHits
	}
	if v.first {
		return v.firstInfo(r, stamp), true
	}
	if v.applied {
		stamp, hits = 0, newHits // what is applied must not depend on who has read what where
	}
	in := Info{Str: v.d.text(r), Raw: r.has(flagRaw), Freq: v.limits.decayed(stamp, hits, v.now), Bytes: int(keyBytes(r.form()))}
	if stamp != 0 {
		in.Idle = since(stamp, v.now)
	}
	if r.has(flagBoxed) {
		held := v.d.boxes.vec.at(int(r.box())).held
		if n, ok := compactBytes(held); ok { // it stands in its record as soon as the unit has ended
			f := r.form()
			f.boxed, f.str = false, n
			in.Bytes = int(keyBytes(f))
		} else {
			in.Bytes += int(heldBytes(held))
		}
	}
	if r.kind() != String {
		in.Encoding = v.held(r).Encoding()
	}
	return in, true
}

// lookupWrite finds a live key for changing, and deletes it if its deadline has
// passed: only log entries delete, and this is one.
func (db *DB) lookupWrite(key []byte) (pos int, r *record) {
	pos = db.d.find(key)
	if pos < 0 {
		return -1, nil
	}
	r = db.d.at(pos)
	if !r.alive(db.now) {
		db.removeAt(pos, Expired)
		db.ks.stats.Expired++
		db.Event(EventExpired, "expired", key)
		return -1, nil
	}
	return pos, r
}

// reform gives the record at pos the form f, and returns it for changing. The string
// in it stays, as far as there is room, if it stands in the record before and
// afterwards; a box stays. It keeps the invariant of record as far as the record itself
// goes: what a capture may be reading is not changed in place.
func (ks *Keyspace) reform(d *data, pos int, f form) *record {
	from := d.order.at(pos)
	r := d.arena.at(from)
	old := r.form()
	d.used += keyBytes(f) - keyBytes(old)
	same := (old.at != 0) == (f.at != 0) && old.boxed == f.boxed && (f.str == old.str || roomFor(f.size()) == roomFor(old.size()))
	if same && !ks.shared(d, pos, r) {
		if f.at != old.at {
			d.expires.Delete(deadline{old.at, from})
			d.expires.Set(deadline{f.at, from})
			r.setDeadline(f.at)
		}
		if !f.boxed {
			r.setStrLen(f.str)
		}
		return r
	}
	to := d.arena.alloc(f.size())
	n := d.arena.at(to)
	n.begin(f, r.key())
	n.take(r)
	switch {
	case f.boxed && old.boxed:
		n.setBox(r.box())
	case !f.boxed && !old.boxed:
		copy(n.inline(), r.inline())
	}
	d.order.set(pos, to)
	if old.at != 0 {
		d.expires.Delete(deadline{old.at, from})
	}
	if f.at != 0 {
		d.expires.Set(deadline{f.at, to})
	}
	ks.die(d, from)
	return n
}

// touch returns the record at pos for changing and gives it the current
// version. It and assign are the only ways to a record that may be changed, and keep the invariant
// of record: what a running snapshot may still be reading is forked first.
func (db *DB) touch(pos int) *record { return db.touchAs(pos, Changed) }

func (db *DB) touchAs(pos int, change Change) *record {
	r := db.d.at(pos)
	if db.ks.shared(db.d, pos, r) {
		r = db.ks.reform(db.d, pos, r.form())
		r.set(flagPrivate, false)
		if r.has(flagBoxed) && r.kind() != String {
			db.d.boxes.put(r.box(), db.d.object(r).Fork())
		}
	}
	if r.has(flagBoxed) {
		db.unsettle(pos)
	}
	r.setVersion(db.ks.revision)
	db.wrote(r, change == Created)
	db.ks.touched(db.id, r.key(), change, r.kind())
	return r
}

// Signal says that the stream at key has something for clients that wait for it:
// not every change of a stream has.
func (db *DB) Signal(key []byte) { db.ks.touched(db.id, key, Signalled, Stream) }

func (db *DB) removeAt(pos int, change Change) {
	r, at := db.d.at(pos), db.d.order.at(pos)
	kind := r.kind()
	db.ks.journal.add(event{revision: db.ks.revision, kind: died, db: uint8(db.id)}, r.key())
	db.d.remove(pos)
	db.ks.die(db.d, at)
	db.ks.touched(db.id, r.key(), change, kind)
}

// KeepTTL as a deadline leaves the deadline as it is.
const KeepTTL = -1

// StringForUpdate returns a string of at least size bytes at key that may be
// changed in place until the next unit begins, creating or zero-extending it.
// The deadline stays. The error is ErrWrongType.
func (db *DB) StringForUpdate(key []byte, size int) ([]byte, error) {
	pos, r := db.lookupWrite(key)
	switch {
	case r == nil:
		c, str := text(make([]byte, size))
		c.raw = true
		pos, was := db.assign(key, c, str, 0)
		db.replaced(pos, was)
		return db.d.text(db.d.at(pos)), nil
	case r.kind() != String:
		return nil, ErrWrongType
	}
	db.touch(pos)
	r = db.d.at(pos)
	r.set(flagRaw, true)
	str := db.d.text(r)
	old := len(str)
	size = max(size, old)
	if !r.has(flagBoxed) && size <= maxInline {
		f := r.form()
		f.str = size
		str = db.ks.reform(db.d, pos, f).inline()
		clear(str[old:])
		return str, nil
	}
	switch {
	case size > cap(str), !r.has(flagBoxed):
		// Twice the size, up to a megabyte more, as sds grows: APPEND in a loop is
		// linear.
		grown := make([]byte, size, size+min(size, 1<<20))
		copy(grown, str)
		str = grown
	case !r.has(flagPrivate):
		str = append(make([]byte, 0, cap(str)), str...)
	}
	if size > old {
		str = str[:size]
		clear(str[old:])
	}
	if r.has(flagBoxed) {
		db.d.boxes.put(r.box(), &blob{str})
	} else {
		f := r.form()
		f.boxed = true
		r = db.ks.reform(db.d, pos, f)
		r.setBox(db.d.boxes.add(&blob{str}))
	}
	db.unsettle(pos)
	r.set(flagPrivate, true)
	return str, nil
}

// Append appends to the string at key, creating it, and returns its new
// length. The deadline stays. Bytes beyond the length that a snapshot has seen
// may be written in place, so this copies only to grow.
func (db *DB) Append(key, s []byte) (int, error) {
	_, r := db.lookupWrite(key)
	if r == nil {
		db.Set(key, s, 0)
		return len(s), nil
	}
	if r.kind() != String {
		return 0, ErrWrongType
	}
	buf, err := db.StringForUpdate(key, len(db.d.text(r))+len(s))
	if err != nil {
		return 0, err
	}
	copy(buf[len(buf)-len(s):], s)
	return len(buf), nil
}

// objectForUpdate returns the object at key for changing. create, if not nil,
// makes one where there is none. The error is ErrWrongType.
func (db *DB) objectForUpdate(key []byte, k Kind, create func() Object) (Object, error) {
	pos, r := db.lookupWrite(key)
	if r == nil {
		if create == nil {
			return nil, nil
		}
		o := create()
		db.SetObject(key, o, 0)
		return o, nil
	}
	if r.kind() != k {
		return nil, ErrWrongType
	}
	if r = db.touch(pos); r.has(flagBoxed) {
		return db.d.object(r), nil
	}
	o := db.expand(pos, r)
	db.unsettle(pos)
	return o, nil
}

// SetExpire gives key a deadline (0: none) and reports whether it exists.
func (db *DB) SetExpire(key []byte, at int64) bool {
	pos, _ := db.lookupWrite(key)
	if pos < 0 {
		return false
	}
	f := db.touch(pos).form()
	f.at = at
	db.ks.reform(db.d, pos, f)
	return true
}

// Delete removes key and reports whether it was there. It takes no longer for a
// big value: the garbage collector takes that apart in its own time.
func (db *DB) Delete(key []byte) bool {
	pos, _ := db.lookupWrite(key)
	if pos < 0 {
		return false
	}
	db.removeAt(pos, Deleted)
	return true
}

// Move takes the value at key, with its deadline, to the key dst of to,
// replacing what is there. It reports whether key exists. RENAME and MOVE.
func (db *DB) Move(key []byte, to *DB, dst []byte) bool {
	pos, _ := db.lookupWrite(key)
	if pos < 0 {
		return false
	}
	if db.d == to.d && string(key) == string(dst) {
		return true // and no change, as in Redis
	}
	r := db.touch(pos) // a running snapshot keeps its own object from here on
	c, str := db.d.contents(r)
	at := r.deadline()
	db.removeAt(pos, Deleted)
	pos, was := to.assign(dst, c, str, at)
	to.renewed(pos, was)
	return true
}

// Copy makes dst of to a copy of the value at key, with its deadline. It
// reports whether key exists.
func (db *DB) Copy(key []byte, to *DB, dst []byte) bool {
	_, r := db.lookupWrite(key)
	if r == nil {
		return false
	}
	c, str := db.d.contents(r)
	switch held := c.held.(type) {
	case *blob:
		c.private, c.held = true, &blob{append(make([]byte, 0, len(held.b)), held.b...)}
	case Object:
		c.held = cloneObject(held)
	}
	pos, was := to.assign(dst, c, str, r.deadline())
	to.renewed(pos, was)
	return true
}

// Flush removes every key.
func (db *DB) Flush() {
	db.ks.swept(db.id) // clients with a cache of their own are told in any case, as in Redis
	if db.d.len() == 0 {
		return // nothing that anybody watches has changed
	}
	db.ks.journal.add(event{revision: db.ks.revision, kind: flushed, db: uint8(db.id)}, nil)
	if m := db.d.arena.memory; m != nil {
		db.ks.dropped = append(db.ks.dropped, m)
	}
	fresh := newData()
	fresh.swapped = db.d.swapped
	db.ks.dbs[db.id] = fresh
	db.d = fresh
}
