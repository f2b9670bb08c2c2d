package keyspace

import (
	"errors"

	"github.com/tidwall/btree"

	"github.com/raftredis/raftredis/store/lhd"
)

// ErrWrongType is Redis's answer to a command against a key of another type.
var ErrWrongType = errors.New("WRONGTYPE Operation against a key holding the wrong kind of value")

// deadline orders keys by when they expire.
type deadline struct {
	at  int64
	key string
}

// data is one database.
type data struct {
	keys    *dict[value]
	expires *btree.BTreeG[deadline] // derived from keys
	swapped uint64                  // when SWAPDB last moved it, which changes all of its keys
	own     map[int]bool            // see private

	used      int64  // bytes, see Keyspace.Used
	unsettled []*box // objects that used may not be right about
}

func newData() *data {
	return &data{
		keys:    newSharded[value](),
		expires: btree.NewBTreeGOptions(earlier, btree.Options{NoLocks: true}),
	}
}

func earlier(a, b deadline) bool { return a.at < b.at || a.at == b.at && a.key < b.key }

// View is one database for reading, as of a time. Keys whose deadline has
// passed are invisible. Any number of views may be used at once under the
// store's read lock.
type View struct {
	d      *data
	db     int
	now    int64
	limits *Limits
	events *Events
	still  bool       // of a Still
	model  *lhd.Model // nil unless the policy learns

	// Chance is what counting accesses goes by: any will do, it is no state. Without one
	// they are not counted.
	Chance *Rand

	// Reads, if not nil, takes some of the keys that are read.
	Reads *Reads

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
func (v *View) lookup(key []byte) (pos int, val *value) {
	pos, val = v.peek(key)
	v.Lookup(key, val != nil)
	return pos, val
}

// peek finds a live key for what is no read of it.
func (v *View) peek(key []byte) (pos int, val *value) {
	pos = v.d.keys.find(key)
	if pos < 0 {
		return -1, nil
	}
	val = &v.d.keys.at(pos).val
	if val.expire != 0 && val.expire <= v.now {
		return -1, nil
	}
	if v.still && val.boxed {
		val = v.d.private(pos)
	}
	return pos, val
}

// Kind returns the type of the value at key, None if there is none. That alone
// does not count as a lookup.
func (v *View) Kind(key []byte) Kind {
	_, val := v.peek(key)
	return val.kind()
}

// Touch notes an access to key and reports whether it is there.
func (v *View) Touch(key []byte) bool {
	_, val := v.lookup(key)
	if val != nil {
		v.read(key, val)
	}
	return val != nil
}

// Exists reports whether key is there.
func (v *View) Exists(key []byte) bool {
	_, val := v.lookup(key)
	return val != nil
}

// Get returns the string at key. The result aliases the keyspace: it is valid
// while the lock is held and until the key is next changed (a write that gives
// the old value as its reply writes that first), and must not be written to. ok is false if there
// is no such key; the error is ErrWrongType.
func (v *View) Get(key []byte) (s []byte, ok bool, err error) {
	_, val := v.lookup(key)
	if val == nil {
		return nil, false, nil
	}
	if val.boxed {
		return nil, false, ErrWrongType
	}
	v.read(key, val)
	return val.bytes(), true, nil
}

// object returns the object at key for reading, nil if there is no such key,
// and ErrWrongType if its kind is another one. The typed accessors (HashAt and
// its like) are what commands use.
func (v *View) object(key []byte, k Kind) (Object, error) {
	_, val := v.lookup(key)
	if val == nil {
		return nil, nil
	}
	if val.kind() != k {
		return nil, ErrWrongType
	}
	v.read(key, val)
	return val.object(), nil
}

// Expire returns the deadline of key in ms, 0 if it has none. ok is false if
// there is no such key.
func (v *View) Expire(key []byte) (at int64, ok bool) {
	_, val := v.lookup(key)
	if val == nil {
		return 0, false
	}
	return val.expire, true
}

// Len returns the number of keys, those included whose deadline has passed but
// that no log entry has deleted yet, as Redis's DBSIZE does.
func (v *View) Len() int { return v.d.keys.len() }

// Expires returns the number of keys that have a deadline.
func (v *View) Expires() int { return v.d.expires.Len() }

// Due calls visit for the keys whose deadline is at or before at, the earliest
// first, until it answers false. The leader proposes their deletion.
func (v *View) Due(at int64, visit func(key string, deadline int64) bool) {
	v.d.expires.Scan(func(d deadline) bool { return d.at <= at && visit(d.key, d.at) })
}

// NextDeadline returns the earliest deadline in the database, 0 if none.
func (v *View) NextDeadline() int64 {
	d, _ := v.d.expires.Min()
	return d.at
}

// Scan visits up to count keys from cursor and returns the next cursor, 0 at
// the end. See dict for what it guarantees.
func (v *View) Scan(cursor uint64, count int, visit func(key string, k Kind)) uint64 {
	return v.d.keys.scan(cursor, count, func(it *item[value]) {
		if it.val.expire == 0 || it.val.expire > v.now {
			visit(it.key, it.val.kind())
		}
	})
}

// At returns the key at position i of [0, Len), "" and false if it is expired.
func (v *View) At(i int) (key string, ok bool) {
	it := v.d.keys.at(i)
	return it.key, it.val.expire == 0 || it.val.expire > v.now
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
	_, val := v.lookup(key)
	if val == nil {
		return Info{}, false
	}
	stamp, hits := val.accessed()
	in := Info{Str: val.bytes(), Raw: val.raw, Freq: v.limits.decayed(stamp, hits, v.now), Bytes: int(keyBytes(len(key), int(val.strLen), val.expire != 0))}
	if stamp != 0 {
		in.Idle = since(stamp, v.now)
	}
	if o := val.object(); o != nil {
		in.Encoding, in.Bytes = o.Encoding(), in.Bytes+o.Bytes()
	}
	return in, true
}

// lookupWrite finds a live key for changing, and deletes it if its deadline has
// passed: only log entries delete, and this is one.
func (db *DB) lookupWrite(key []byte) (pos int, val *value) {
	pos = db.d.keys.find(key)
	if pos < 0 {
		return -1, nil
	}
	val = &db.d.keys.at(pos).val
	if val.expire != 0 && val.expire <= db.now {
		db.removeAt(pos, Expired)
		db.ks.stats.Expired++
		db.Event(EventExpired, "expired", key)
		return -1, nil
	}
	return pos, val
}

// touch returns the value at pos for changing and gives it the current
// version. It is the only way to a writable value, and the place where the
// invariant of value is kept: what a running snapshot may still be reading is
// forked first.
func (db *DB) touch(pos int) *value { return db.touchAs(pos, Changed) }

func (db *DB) touchAs(pos int, change Change) *value {
	it := db.d.keys.mut(pos)
	val := &it.val
	if val.version <= db.ks.frozen {
		val.private = false
		if val.boxed {
			val.fork()
		}
	}
	if val.boxed {
		db.d.changing(val)
	}
	val.version = db.ks.revision
	db.wrote(it.key, val, change == Created)
	db.ks.touched(db.id, it.key, change, val.kind())
	return val
}

// Signal says that the stream at key has something for clients that wait for it:
// not every change of a stream has.
func (db *DB) Signal(key []byte) { db.ks.touched(db.id, string(key), Signalled, Stream) }

// add makes key, which must not be there, to be given contents at once.
func (db *DB) add(key []byte) (pos int) {
	pos = db.d.keys.add(string(key), value{version: db.ks.revision, access: newHits})
	db.ks.born(db.id, db.d.keys.at(pos).key)
	return pos
}

func (db *DB) removeAt(pos int, change Change) {
	it := db.d.keys.at(pos)
	if it.val.expire != 0 {
		db.d.expires.Delete(deadline{it.val.expire, it.key})
	}
	key, kind := it.key, it.val.kind()
	db.d.discount(it)
	db.ks.journal.add(event{revision: db.ks.revision, key: key, kind: died, db: uint8(db.id)})
	db.d.keys.remove(pos)
	db.ks.touched(db.id, key, change, kind)
}

func (db *DB) setExpire(key string, val *value, at int64) {
	if val.expire == at {
		return
	}
	if val.expire != 0 {
		db.d.expires.Delete(deadline{val.expire, key})
	}
	if at != 0 {
		db.d.expires.Set(deadline{at, key})
	}
	val.expire = at
}

// Set makes key the string s, with the given deadline (0: none; KeepTTL: what
// it has). It copies s: arguments are slices of a log entry, and keeping one
// would keep the whole entry.
func (db *DB) Set(key, s []byte, expire int64) {
	pos, val, was := db.replace(key, expire)
	// A value that is overwritten by one of about the same size keeps its memory,
	// if no snapshot and no other key may be looking at it: overwriting is the
	// common case, and what it does not allocate nobody needs to collect.
	if old := val.bytes(); val.private && !val.boxed && len(s) <= cap(old) && cap(old) <= len(s)+len(s)/4+8 {
		val.setBytes(append(old[:0], s...))
	} else {
		val.setBytes(append(make([]byte, 0, len(s)), s...))
		val.private = true
	}
	val.raw = false
	db.replaced(pos, val, was)
}

// SetOwned is Set for a string that was built for this and that nobody else
// holds.
func (db *DB) SetOwned(key, s []byte, expire int64) {
	pos, val, was := db.replace(key, expire)
	val.setBytes(s)
	val.private, val.raw = true, false
	db.replaced(pos, val, was)
}

// SetObject makes key hold o, replacing what was there, with the given deadline
// (0: none; KeepTTL: what it has). o must not be held by another key.
func (db *DB) SetObject(key []byte, o Object, expire int64) {
	pos, val, was := db.replace(key, expire)
	val.setObject(o)
	val.private, val.raw = false, false
	db.replaced(pos, val, was)
}

// replace returns the value of key, a new one if there is none, to be given new
// contents and then to replaced. The two are touch for the case that there is
// nothing to fork: val.private says only whether the old string may be reused.
// was is the kind of what is replaced.
func (db *DB) replace(key []byte, expire int64) (pos int, val *value, was Kind) {
	pos, old := db.lookupWrite(key)
	was = old.kind()
	if pos < 0 {
		pos = db.add(key)
	}
	it := db.d.keys.mut(pos)
	if was != None {
		db.d.discount(it)
	}
	val = &it.val
	if val.version <= db.ks.frozen {
		val.private = false
	}
	if expire != KeepTTL {
		db.setExpire(it.key, val, expire)
	}
	return pos, val, was
}

func (db *DB) replaced(pos int, val *value, was Kind) {
	val.version = db.ks.revision
	it := db.d.keys.at(pos)
	db.wrote(it.key, val, was == None)
	db.d.count(it)
	if was == None {
		db.ks.touched(db.id, it.key, Created, val.kind())
	} else {
		db.ks.touched(db.id, it.key, Replaced, was)
	}
}

// renewed is replaced for a key that counts as deleted and then created.
func (db *DB) renewed(pos int, val *value, was Kind) {
	if was != None {
		db.ks.touched(db.id, db.d.keys.at(pos).key, Deleted, was)
	}
	db.replaced(pos, val, None)
}

// KeepTTL as a deadline leaves the deadline as it is.
const KeepTTL = -1

// StringForUpdate returns a string of at least size bytes at key that may be
// changed in place until the next unit begins, creating or zero-extending it.
// The deadline stays. The error is ErrWrongType.
func (db *DB) StringForUpdate(key []byte, size int) ([]byte, error) {
	old := 0
	pos, val := db.lookupWrite(key)
	switch {
	case val == nil:
		pos = db.add(key)
		db.d.count(db.d.keys.at(pos))
		val = db.touchAs(pos, Created)
	case val.boxed:
		return nil, ErrWrongType
	default:
		val = db.touch(pos)
		old = int(val.strLen)
	}
	val.raw = true
	str := val.bytes()
	switch {
	case size > cap(str):
		// Twice the size, up to a megabyte more, as sds grows: APPEND in a loop is
		// linear.
		grown := make([]byte, size, size+min(size, 1<<20))
		copy(grown, str)
		str = grown
	case !val.private:
		str = append(make([]byte, 0, cap(str)), str...)
	}
	if size > old {
		str = str[:size]
		clear(str[old:])
	}
	it := db.d.keys.at(pos)
	db.d.discount(it)
	val.setBytes(str)
	db.d.count(it)
	val.private = true
	return str, nil
}

// Append appends to the string at key, creating it, and returns its new
// length. The deadline stays. Bytes beyond the length that a snapshot has seen
// may be written in place, so this copies only to grow.
func (db *DB) Append(key, s []byte) (int, error) {
	_, val := db.lookupWrite(key)
	if val == nil {
		db.Set(key, s, 0)
		return len(s), nil
	}
	if val.boxed {
		return 0, ErrWrongType
	}
	buf, err := db.StringForUpdate(key, int(val.strLen)+len(s))
	if err != nil {
		return 0, err
	}
	copy(buf[len(buf)-len(s):], s)
	return len(buf), nil
}

// objectForUpdate returns the object at key for changing. create, if not nil,
// makes one where there is none. The error is ErrWrongType.
func (db *DB) objectForUpdate(key []byte, k Kind, create func() Object) (Object, error) {
	pos, val := db.lookupWrite(key)
	if val == nil {
		if create == nil {
			return nil, nil
		}
		o := create()
		db.SetObject(key, o, 0)
		return o, nil
	}
	if val.kind() != k {
		return nil, ErrWrongType
	}
	return db.touch(pos).object(), nil
}

// SetExpire gives key a deadline (0: none) and reports whether it exists.
func (db *DB) SetExpire(key []byte, at int64) bool {
	pos, _ := db.lookupWrite(key)
	if pos < 0 {
		return false
	}
	val := db.touch(pos)
	it := db.d.keys.at(pos)
	before := val.usedBytes(len(it.key))
	db.setExpire(it.key, val, at)
	db.d.used += val.usedBytes(len(it.key)) - before
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
	val := *db.touch(pos) // a running snapshot keeps its own object from here on
	db.removeAt(pos, Deleted)
	pos, moved, was := to.replace(dst, val.expire)
	if val.boxed {
		moved.setObject(val.object())
	} else {
		moved.setBytes(val.bytes())
	}
	moved.private, moved.raw = val.private, val.raw
	to.renewed(pos, moved, was)
	return true
}

// Copy makes dst of to a copy of the value at key, with its deadline. It
// reports whether key exists.
func (db *DB) Copy(key []byte, to *DB, dst []byte) bool {
	_, val := db.lookupWrite(key)
	if val == nil {
		return false
	}
	expire, s, raw := val.expire, val.bytes(), val.raw // val points elsewhere once dst comes or goes
	var o Object
	if val.boxed {
		o = cloneObject(val.object())
	}
	pos, dup, was := to.replace(dst, expire)
	if o != nil {
		dup.setObject(o)
		dup.private, dup.raw = false, false
	} else {
		dup.setBytes(append(make([]byte, 0, len(s)), s...))
		dup.private, dup.raw = true, raw
	}
	to.renewed(pos, dup, was)
	return true
}

// Flush removes every key.
func (db *DB) Flush() {
	db.ks.swept(db.id) // clients with a cache of their own are told in any case, as in Redis
	if db.d.keys.len() == 0 {
		return // nothing that anybody watches has changed
	}
	db.ks.journal.add(event{revision: db.ks.revision, kind: flushed, db: uint8(db.id)})
	fresh := newData()
	fresh.swapped = db.d.swapped
	db.ks.dbs[db.id] = fresh
	db.d = fresh
}
