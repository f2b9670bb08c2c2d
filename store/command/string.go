package command

import (
	"math"
	"strconv"

	"github.com/raftredis/raftredis/store/cfloat"
	"github.com/raftredis/raftredis/store/keyspace"
)

// maxString is the longest string there may be: Redis's proto-max-bulk-len. It
// is a constant because whether a command is applied must not depend on how a
// node is configured.
const maxString = 512 << 20

func get(r *Read) { replyString(&r.Call, r.DB, r.Args[1]) }

// replyString replies the string at key, or null, and reports whether there was
// no error. It is written out before the key may be changed: see View.Get.
func replyString(c *Call, v *keyspace.View, key []byte) bool {
	switch s, ok, err := v.Get(key); {
	case err != nil:
		c.Fail(err)
		return false
	case !ok:
		c.Reply.Null()
	default:
		c.Reply.Bulk(s)
	}
	return true
}

func set(w *Write) {
	if len(w.Args) == 3 {
		w.setString(w.Args[1], w.Args[2], 0)
		w.OK()
		return
	}
	o, ok := parseSetOptions(&w.Call, 3, true)
	if !ok {
		return
	}
	deadline := o.deadline
	if o.keepTTL {
		deadline = keyspace.KeepTTL
	}
	if o.get && !replyString(&w.Call, &w.DB.View, w.Args[1]) {
		return
	}
	if exists := (o.nx || o.xx) && w.DB.Kind(w.Args[1]) != keyspace.None; o.nx && exists || o.xx && !exists {
		if !o.get {
			w.Reply.Null()
		}
		return
	}
	setUntil(w, w.Args[1], w.Args[2], deadline)
	if !o.get {
		w.OK()
	}
}

// setKeys knows that SET reads the old value only with GET.
func setKeys(argv [][]byte) []KeyRef {
	for _, a := range argv[3:] {
		if EqualFold(a, "get") {
			return []KeyRef{{1, "RW ACCESS UPDATE"}}
		}
	}
	return []KeyRef{{1, "OW UPDATE"}}
}

// setUntil sets key, or deletes it if the deadline has passed already: in Redis it
// is there for a moment then, which is a change for those who watch it.
func setUntil(w *Write, key, value []byte, deadline int64) {
	if deadline > 0 && deadline <= w.Now {
		w.setString(key, nil, 0)
		w.DB.Delete(key)
		w.event(keyspace.EventGeneric, "expire", key)
		w.event(keyspace.EventExpired, "expired", key)
		return
	}
	w.setString(key, value, deadline)
	if deadline > 0 {
		w.event(keyspace.EventGeneric, "expire", key)
	}
}

// setString is setArg, and tells of it.
func (w *Write) setString(key, arg []byte, expire int64) {
	w.setArg(key, arg, expire)
	w.event(keyspace.EventString, "set", key)
}

// setOptions are what SET and GETEX take after their key and value.
type setOptions struct {
	nx, xx, get      bool
	keepTTL, persist bool
	deadline         int64 // absolute, 0 if none was given
	expireArg        int   // position of the time, 0 if none was given
	unit             int64
	relative         bool
}

// time notes that argument i is a time and returns i.
func (o *setOptions) time(i int, unit int64, relative bool) int {
	o.expireArg, o.unit, o.relative = i, unit, relative
	return i
}

// parseSetOptions parses the arguments from i on, for SET or else for GETEX.
func parseSetOptions(c *Call, i int, forSet bool) (o setOptions, ok bool) {
	var expire string // the option that was given
	for ; i < len(c.Args); i++ {
		more := i+1 < len(c.Args)
		free := func(option string) bool {
			return more && !o.keepTTL && !o.persist && (expire == "" || expire == option)
		}
		switch {
		case forSet && c.Is(i, "nx") && !o.xx:
			o.nx = true
		case forSet && c.Is(i, "xx") && !o.nx:
			o.xx = true
		case forSet && c.Is(i, "get"):
			o.get = true
		case forSet && c.Is(i, "keepttl") && expire == "":
			o.keepTTL = true
		case !forSet && c.Is(i, "persist") && expire == "":
			o.persist = true
		case c.Is(i, "ex") && free("ex"):
			expire, i = "ex", o.time(i+1, 1000, true)
		case c.Is(i, "px") && free("px"):
			expire, i = "px", o.time(i+1, 1, true)
		case c.Is(i, "exat") && free("exat"):
			expire, i = "exat", o.time(i+1, 1000, false)
		case c.Is(i, "pxat") && free("pxat"):
			expire, i = "pxat", o.time(i+1, 1, false)
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
	}
	if o.expireArg == 0 || !forSet { // GETEX looks at its key first
		return o, true
	}
	o.deadline, ok = parseDeadline(c, o.expireArg, o.unit, o.relative)
	return o, ok
}

// parseDeadline parses a time of the given unit, in ms, into a deadline. It must
// be positive.
func parseDeadline(c *Call, i int, unit int64, relative bool) (int64, bool) {
	n, ok := c.Int(i)
	if !ok {
		return 0, false
	}
	base := int64(0)
	if relative {
		base = c.Now
	}
	if n <= 0 || n > math.MaxInt64/unit || n*unit > math.MaxInt64-base {
		c.Reply.Error(errExpireTime(c))
		return 0, false
	}
	return n*unit + base, true
}

// setsIfAbsent reports whether a call of SET has NX, if it is one that makes sense.
func setsIfAbsent(argv [][]byte) bool {
	for _, option := range argv[3:] {
		if EqualFold(option, "nx") {
			return true
		}
	}
	return false
}

// setUnchanged is set with NX where there is something, and without GET: to tell what
// there was is a lookup.
func setUnchanged(r *Read) bool {
	c := Call{Args: r.Args, Now: r.Now, Reply: Discard{}}
	o, ok := parseSetOptions(&c, 3, true)
	if !ok || !o.nx || o.get || r.DB.Kind(r.Args[1]) == keyspace.None {
		return false
	}
	r.Reply.Null()
	return true
}

// setnxUnchanged is setnx where there is something.
func setnxUnchanged(r *Read) bool { return r.DB.Exists(r.Args[1]) && r.none() }

func setnx(w *Write) {
	if w.DB.Exists(w.Args[1]) {
		w.Reply.Int(0)
		return
	}
	w.setString(w.Args[1], w.Args[2], 0)
	w.Reply.Int(1)
}

func setex(w *Write) { setexUnit(w, 1000) }

func psetex(w *Write) { setexUnit(w, 1) }

func setexUnit(w *Write, unit int64) {
	deadline, ok := parseDeadline(&w.Call, 2, unit, true)
	if !ok {
		return
	}
	w.setString(w.Args[1], w.Args[3], deadline)
	w.event(keyspace.EventGeneric, "expire", w.Args[1])
	w.OK()
}

func getset(w *Write) {
	if replyString(&w.Call, &w.DB.View, w.Args[1]) {
		w.setString(w.Args[1], w.Args[2], 0)
	}
}

func getdel(w *Write) {
	if replyString(&w.Call, &w.DB.View, w.Args[1]) {
		w.remove(w.Args[1])
	}
}

func getex(w *Write) {
	o, ok := parseSetOptions(&w.Call, 2, false)
	if !ok {
		return
	}
	key := w.Args[1]
	s, ok, err := w.DB.Get(key)
	switch {
	case err != nil:
		w.Fail(err)
		return
	case !ok:
		w.Reply.Null()
		return
	}
	if o.expireArg > 0 {
		if o.deadline, ok = parseDeadline(&w.Call, o.expireArg, o.unit, o.relative); !ok {
			return
		}
	}
	w.Reply.Bulk(s)
	switch {
	case o.deadline > 0 && o.deadline <= w.Now:
		w.remove(key)
	case o.deadline > 0:
		w.DB.SetExpire(key, o.deadline)
		w.event(keyspace.EventGeneric, "expire", key)
	case o.persist:
		lookups := w.DB.Lookups
		persistKey(w, key)
		w.DB.Lookups = lookups // it was looked up already
	}
}

func mget(r *Read) {
	r.Reply.Array(len(r.Args) - 1)
	for _, key := range r.Args[1:] {
		if s, ok, err := r.DB.Get(key); ok && err == nil {
			r.Reply.Bulk(s)
		} else {
			r.Reply.Null()
		}
	}
}

func mset(w *Write) {
	if len(w.Args)%2 == 0 {
		w.Reply.Error(ErrArity("mset"))
		return
	}
	msetAll(w)
	w.OK()
}

// msetnxUnchanged is msetnx where one of the keys is there.
func msetnxUnchanged(r *Read) bool {
	return len(r.Args)%2 == 1 && anyThere(r.DB, r.Args) && r.none()
}

// anyThere reports whether one of MSET's keys is there.
func anyThere(v *keyspace.View, argv [][]byte) bool {
	for i := 1; i < len(argv); i += 2 {
		if v.Exists(argv[i]) {
			return true
		}
	}
	return false
}

func msetnx(w *Write) {
	switch {
	case len(w.Args)%2 == 0:
		w.Reply.Error(ErrArity("msetnx"))
	case anyThere(&w.DB.View, w.Args):
		w.Reply.Int(0)
	default:
		msetAll(w)
		w.Reply.Int(1)
	}
}

func msetAll(w *Write) {
	for i := 1; i < len(w.Args); i += 2 {
		w.DB.Set(w.Args[i], w.Args[i+1], 0)
		w.event(keyspace.EventString, "set", w.Args[i])
	}
}

func incrby(w *Write) {
	if n, ok := w.Int(2); ok {
		incrBy(w, n)
	}
}

func decrby(w *Write) {
	n, ok := w.Int(2)
	switch {
	case !ok:
	case n == math.MinInt64: // has no negative
		w.Reply.Error("ERR decrement would overflow")
	default:
		incrBy(w, -n)
	}
}

func incrBy(w *Write, by int64) {
	s, ok, err := w.DB.Get(w.Args[1])
	if err != nil {
		w.Fail(err)
		return
	}
	var n int64
	if ok {
		if n, ok = ParseInt(s); !ok {
			w.Reply.Error(ErrNotInteger)
			return
		}
	}
	if by < 0 && n < math.MinInt64-by || by > 0 && n > math.MaxInt64-by {
		w.Reply.Error(ErrOverflow)
		return
	}
	n += by
	var buf [20]byte
	w.DB.Set(w.Args[1], strconv.AppendInt(buf[:0], n, 10), keyspace.KeepTTL)
	w.event(keyspace.EventString, "incrby", w.Args[1])
	w.Reply.Int(n)
}

func incrbyfloat(w *Write) {
	s, ok, err := w.DB.Get(w.Args[1])
	if err != nil {
		w.Fail(err)
		return
	}
	var old cfloat.LongDouble
	if ok {
		old, ok = cfloat.ParseLongDouble(s)
	} else {
		ok = true
	}
	by, byOK := cfloat.ParseLongDouble(w.Args[2])
	if !ok || !byOK {
		w.Reply.Error(ErrNotFloat)
		return
	}
	sum, ok := old.Add(by)
	if !ok {
		w.Reply.Error(errNaNOrInf)
		return
	}
	result := sum.Append(nil)
	w.DB.Set(w.Args[1], result, keyspace.KeepTTL)
	w.event(keyspace.EventString, "incrbyfloat", w.Args[1])
	w.Reply.Bulk(result)
}
