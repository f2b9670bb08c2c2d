package script

import (
	"math"
	"strings"

	"github.com/raftredis/raftredis/store/script/lua"
)

// Reply takes one reply; it has the methods of command.Reply.
type Reply interface {
	Status(s string)
	Error(err string)
	Int(n int64)
	Bulk(b []byte)
	BulkString(s string)
	Null()
	NullArray()
	Array(n int)
	Map(pairs int)
	Set(n int)
	Push(n int)
	Double(f float64)
	Decimal(s string)
	Bool(b bool)
	BigNumber(s string)
	Verbatim(ext, s string)
	RESP3() bool
}

// toLua makes a Lua value of the reply of a command.
type toLua struct {
	m     *lua.Machine
	resp3 bool
	value lua.Value
	isErr bool // the reply is an error
	open  []openReply
}

// openReply is an aggregate that lacks elements yet.
type openReply struct {
	kind  byte // '*', '%', '~'
	into  *lua.Table
	whole lua.Value
	left  int
	next  int
	key   lua.Value
}

func (r *toLua) begin(kind byte, name string, n int) {
	r.m.Step(1)
	into := r.m.NewTable()
	whole := lua.TableValue(into)
	if name != "" {
		outer := r.m.NewTable()
		r.m.SetString(outer, name, whole)
		whole = lua.TableValue(outer)
	}
	if n == 0 {
		r.put(whole)
		return
	}
	r.open = append(r.open, openReply{kind: kind, into: into, whole: whole, left: n, next: 1})
}

func (r *toLua) put(v lua.Value) {
	r.m.Step(1)
	for len(r.open) > 0 {
		o := &r.open[len(r.open)-1]
		switch {
		case o.kind == '*':
			r.m.Set(o.into, lua.Int(o.next), v)
		case o.kind == '~':
			if !v.IsNil() {
				r.m.Set(o.into, v, lua.Bool(true))
			}
		case o.next%2 == 1:
			o.key = v
		default:
			if !o.key.IsNil() {
				r.m.Set(o.into, o.key, v)
			}
		}
		o.next++
		if o.left--; o.left > 0 {
			return
		}
		v = o.whole
		r.open = r.open[:len(r.open)-1]
	}
	r.value = v
}

// one makes a table of a single field.
func (r *toLua) one(name string, v lua.Value) {
	t := r.m.NewTable()
	r.m.SetString(t, name, v)
	r.put(lua.TableValue(t))
}

// Status makes {ok=s}.
func (r *toLua) Status(s string) { r.one("ok", r.m.NewString(s)) }

// alreadyCounted is the field of an error by which Redis knows that a command has
// replied it.
const alreadyCounted = "ignore_error_stats_update"

// Error makes {err=s}.
func (r *toLua) Error(s string) {
	if len(r.open) == 0 {
		r.isErr = true
	}
	t := errorTable(r.m, "-"+s)
	r.m.SetString(t, alreadyCounted, lua.Bool(true))
	r.put(lua.TableValue(t))
}

// Int makes a number.
func (r *toLua) Int(n int64) { r.put(lua.Number(float64(n))) }

// Bulk makes a string.
func (r *toLua) Bulk(b []byte) { r.put(r.m.NewString(string(b))) }

// BulkString makes a string.
func (r *toLua) BulkString(s string) { r.put(r.m.NewString(s)) }

// Null makes false in RESP2, nil in RESP3.
func (r *toLua) Null() {
	if r.resp3 {
		r.put(lua.Value{})
	} else {
		r.put(lua.Bool(false))
	}
}

// NullArray is Null.
func (r *toLua) NullArray() { r.Null() }

// Array makes a table.
func (r *toLua) Array(n int) { r.begin('*', "", n) }

// Map makes {map={...}}, in RESP2 a table of keys and values in turn.
func (r *toLua) Map(pairs int) {
	if r.resp3 {
		r.begin('%', "map", 2*pairs)
	} else {
		r.begin('*', "", 2*pairs)
	}
}

// Set makes {set={...}}, in RESP2 a table.
func (r *toLua) Set(n int) {
	if r.resp3 {
		r.begin('~', "set", n)
	} else {
		r.begin('*', "", n)
	}
}

// Push is Array.
func (r *toLua) Push(n int) { r.Array(n) }

// Double makes {double=f}, in RESP2 a string.
func (r *toLua) Double(f float64) {
	if r.resp3 {
		r.one("double", lua.Number(f))
	} else {
		r.BulkString(lua.FormatG(f, 17))
	}
}

// Decimal is Double of a double that is written already.
func (r *toLua) Decimal(s string) {
	if !r.resp3 {
		r.BulkString(s)
		return
	}
	f, _ := lua.ParseNumber(s)
	r.one("double", lua.Number(f))
}

// Bool makes a boolean, in RESP2 a number.
func (r *toLua) Bool(b bool) {
	switch {
	case r.resp3:
		r.put(lua.Bool(b))
	case b:
		r.put(lua.Int(1))
	default:
		r.put(lua.Int(0))
	}
}

// BigNumber makes {big_number=s}, in RESP2 a string.
func (r *toLua) BigNumber(s string) {
	if r.resp3 {
		r.one("big_number", r.m.NewString(s))
	} else {
		r.BulkString(s)
	}
}

// Verbatim makes {verbatim_string={string=s, format=ext}}, in RESP2 a string.
func (r *toLua) Verbatim(ext, s string) {
	if !r.resp3 {
		r.BulkString(s)
		return
	}
	t := r.m.NewTable()
	r.m.SetString(t, "string", r.m.NewString(s))
	r.m.SetString(t, "format", r.m.NewString(ext))
	r.one("verbatim_string", lua.TableValue(t))
}

// RESP3 is what redis.setresp has set.
func (r *toLua) RESP3() bool { return r.resp3 }

// fromLua writes a Lua value as a reply.
type fromLua struct {
	m     *lua.Machine
	out   Reply
	resp3 bool // redis.setresp(3) was called
	free  bool // steps and bytes have been paid before

	passed func(t *lua.Table, line string) // told of errors, once they are free
}

// maxReplyDepth is where Lua's stack for C is full.
const maxReplyDepth = 7994

func (w *fromLua) pay(steps, bytes int) {
	if !w.free {
		w.m.Step(steps)
		w.m.Alloc(bytes)
	}
}

// line is what a status or a big number may be: without line ends.
func line(s string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(s) }

// cstring ends where C's strings do.
func cstring(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}

func (w *fromLua) write(v lua.Value, depth int) {
	w.pay(1, 16)
	if depth > maxReplyDepth {
		w.out.Error("ERR reached lua stack limit")
		return
	}
	if s, ok := v.AsString(); ok {
		w.pay(len(s)/64, len(s))
		w.out.BulkString(s)
		return
	}
	if f, ok := v.AsNumber(); ok {
		w.out.Int(lua.ToInt(f))
		return
	}
	if b, ok := v.AsBool(); ok {
		switch {
		case w.resp3:
			w.out.Bool(b)
		case b:
			w.out.Int(1)
		default:
			w.out.Null()
		}
		return
	}
	t, ok := v.AsTable()
	if !ok {
		w.out.Null()
		return
	}
	if !w.special(t, depth) {
		w.array(t, depth)
	}
}

// special writes the tables that stand for something but an array.
func (w *fromLua) special(t *lua.Table, depth int) bool {
	str := func(name string) (string, bool) {
		s, ok := t.GetString(name).AsString()
		if ok {
			w.pay(len(s)/64, len(s))
		}
		return s, ok
	}
	if s, ok := str("err"); ok {
		if w.free {
			w.passed(t, cstring(s))
		}
		w.out.Error(cstring(s))
		return true
	}
	if s, ok := str("ok"); ok {
		w.out.Status(line(cstring(s)))
		return true
	}
	if f, ok := t.GetString("double").AsNumber(); ok {
		w.out.Double(f)
		return true
	}
	if s, ok := str("big_number"); ok {
		w.out.BigNumber(line(s))
		return true
	}
	if v, ok := t.GetString("verbatim_string").AsTable(); ok {
		format, ok1 := v.GetString("format").AsString()
		s, ok2 := v.GetString("string").AsString()
		if ok1 && ok2 {
			w.pay(len(s)/64, len(s))
			w.out.Verbatim(verbatimFormat(format), s)
			return true
		}
	}
	if m, ok := t.GetString("map").AsTable(); ok {
		w.out.Map(w.count(m))
		var k, v lua.Value
		for {
			if k, v, _ = m.Next(k); k.IsNil() {
				return true
			}
			w.write(k, depth+3)
			w.write(v, depth+2)
		}
	}
	if s, ok := t.GetString("set").AsTable(); ok {
		w.out.Set(w.count(s))
		for k := (lua.Value{}); ; {
			if k, _, _ = s.Next(k); k.IsNil() {
				return true
			}
			w.write(k, depth+2)
		}
	}
	return false
}

// verbatimFormat is the three letters that RESP3 has room for.
func verbatimFormat(s string) string {
	s = cstring(s)
	return (s + "\x00\x00\x00")[:3]
}

func (w *fromLua) count(t *lua.Table) int {
	n := 0
	for k := (lua.Value{}); ; n++ {
		if k, _, _ = t.Next(k); k.IsNil() {
			return n
		}
		w.pay(1, 0)
	}
}

func (w *fromLua) array(t *lua.Table, depth int) {
	n := 0
	for n < math.MaxInt32 && !t.GetInt(n+1).IsNil() {
		n++
	}
	w.out.Array(n)
	for i := 1; i <= n; i++ {
		w.write(t.GetInt(i), depth+1)
	}
}

// nobody is the Reply that only counts.
type nobody struct{}

func (nobody) Status(string)           {}
func (nobody) Error(string)            {}
func (nobody) Int(int64)               {}
func (nobody) Bulk([]byte)             {}
func (nobody) BulkString(string)       {}
func (nobody) Null()                   {}
func (nobody) NullArray()              {}
func (nobody) Array(int)               {}
func (nobody) Map(int)                 {}
func (nobody) Set(int)                 {}
func (nobody) Push(int)                {}
func (nobody) Double(float64)          {}
func (nobody) Decimal(string)          {}
func (nobody) Bool(bool)               {}
func (nobody) BigNumber(string)        {}
func (nobody) Verbatim(string, string) {}
func (nobody) RESP3() bool             { return false }
