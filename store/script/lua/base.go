package lua

import (
	"math"
	"strings"
)

// register adds Go functions to a table, in order.
func (m *Machine) register(t *Table, funcs []Entry) {
	for _, e := range funcs {
		m.SetString(t, e.Name, m.NewFunction(e.Func))
	}
}

// Entry is a function of a library.
type Entry struct {
	Name string
	Func GoFunc
}

// NewLibrary makes a table of Go functions.
func (m *Machine) NewLibrary(funcs []Entry) *Table {
	t := m.NewTable()
	m.register(t, funcs)
	return t
}

func (m *Machine) openBase() {
	g := m.Globals
	m.SetString(g, "_G", TableValue(g))
	m.SetString(g, "_VERSION", String("Lua 5.1"))
	next := m.NewFunction(baseNext)
	step := m.NewFunction(ipairsStep)
	m.register(g, []Entry{
		{"assert", baseAssert}, {"collectgarbage", baseCollectgarbage}, {"error", baseError}, {"gcinfo", baseGcinfo},
		{"getmetatable", baseGetmetatable}, {"load", baseLoad}, {"loadstring", baseLoadstring},
		{"pcall", basePcall}, {"rawequal", baseRawequal}, {"rawget", baseRawget},
		{"rawset", baseRawset}, {"select", baseSelect}, {"setmetatable", baseSetmetatable},
		{"tonumber", baseTonumber}, {"tostring", baseTostring}, {"type", baseType}, {"unpack", baseUnpack}, {"xpcall", baseXpcall},
		{"ipairs", func(t *Thread, args []Value) []Value {
			return []Value{step, TableValue(t.CheckTable(args, 1)), Int(0)}
		}},
		{"pairs", func(t *Thread, args []Value) []Value {
			return []Value{next, TableValue(t.CheckTable(args, 1)), {}}
		}},
	})
	m.SetString(g, "next", next)
}

func baseNext(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	if s, ok := Arg(args, 2).AsString(); ok {
		t.hashing(s)
	}
	k, v, ok := tb.Next(Arg(args, 2))
	if !ok {
		t.throwText("invalid key to 'next'")
	}
	if k.p == nil {
		return t.ret1(Value{})
	}
	return t.ret2(k, v)
}

func (t *Thread) ret2(a, b Value) []Value {
	t.r2[0], t.r2[1] = a, b
	return t.r2[:]
}

func ipairsStep(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	i := t.CheckInt(args, 2) + 1
	v := tb.GetInt(i)
	if v.p == nil {
		return nil
	}
	return t.ret2(Int(i), v)
}

func baseAssert(t *Thread, args []Value) []Value {
	if !t.CheckAny(args, 1).Truthy() {
		t.Fail("%s", t.OptString(args, 2, "assertion failed!"))
	}
	return args
}

// usedKB is what has been allocated in this run, in place of what Lua's collector
// knows and no two nodes agree on.
func (t *Thread) usedKB() float64 { return float64(t.budget-t.memory) / 1024 }

func baseCollectgarbage(t *Thread, args []Value) []Value {
	opt := t.OptString(args, 1, "collect")
	t.OptInt(args, 2, 0)
	switch opt {
	case "stop", "restart", "collect":
		return t.ret1(Int(0))
	case "count":
		return t.ret1(Number(t.usedKB()))
	case "step":
		return t.ret1(Bool(false))
	case "setpause", "setstepmul":
		return t.ret1(Int(200))
	}
	t.ArgError(1, "invalid option '"+opt+"'")
	return nil
}

func baseGcinfo(t *Thread, args []Value) []Value {
	return t.ret1(Number(math.Floor(t.usedKB())))
}

func baseError(t *Thread, args []Value) []Value {
	v := Arg(args, 1)
	level := t.OptInt(args, 2, 1)
	if s, ok := v.ToString(); ok && level > 0 {
		v = t.NewString(t.where(level) + s)
	}
	t.Throw(v)
	return nil
}

func baseGetmetatable(t *Thread, args []Value) []Value {
	mt := t.metatable(t.CheckAny(args, 1))
	if mt == nil {
		return t.ret1(Value{})
	}
	if p := mt.GetString("__metatable"); p.p != nil {
		return t.ret1(p)
	}
	return t.ret1(TableValue(mt))
}

func baseSetmetatable(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	v := Arg(args, 2)
	mt, ok := v.AsTable()
	if !ok && (v.p != nil || len(args) < 2) {
		t.ArgError(2, "nil or table expected")
	}
	if tb.meta != nil && tb.meta.GetString("__metatable").p != nil {
		t.Fail("cannot change a protected metatable")
	}
	if tb.readonly {
		t.throwText("Attempt to modify a readonly table")
	}
	tb.meta = mt
	return t.ret1(args[0])
}

// load compiles for loadstring and load.
func (t *Thread) load(src, name string) []Value {
	t.Step(len(src) / 4)
	t.Alloc(len(src) * 16)
	c, err := Compile(src, name)
	if err != nil {
		return t.ret2(Value{}, t.NewString(err.Error()))
	}
	f := t.Load(c)
	return t.ret1(f)
}

func baseLoadstring(t *Thread, args []Value) []Value {
	src := t.CheckString(args, 1)
	return t.load(src, t.OptString(args, 2, src))
}

func baseLoad(t *Thread, args []Value) []Value {
	fn := t.CheckFunction(args, 1)
	name := t.OptString(args, 2, "=(load)")
	var b strings.Builder
	for {
		v := t.call1(fn)
		if v.p == nil {
			break
		}
		s, ok := v.ToString()
		if !ok {
			return t.ret2(Value{}, String("reader function must return a string"))
		}
		if s == "" {
			break
		}
		t.Alloc(len(s))
		b.WriteString(s)
	}
	return t.load(b.String(), name)
}

func basePcall(t *Thread, args []Value) []Value {
	fn := t.CheckAny(args, 1)
	rets, err := t.PCall(fn, args[1:])
	if err != nil {
		return t.ret2(Bool(false), err.Value)
	}
	return t.Prepend(Bool(true), rets)
}

// Prepend returns v before rets.
func (t *Thread) Prepend(v Value, rets []Value) []Value {
	t.Alloc((1 + len(rets)) * valueSize)
	all := make([]Value, 1+len(rets))
	copy(all[1:], rets)
	all[0] = v
	return all
}

func baseXpcall(t *Thread, args []Value) []Value {
	handler := t.CheckAny(args, 2)
	rets, err := t.PCall(args[0], nil)
	if err == nil {
		return t.Prepend(Bool(true), rets)
	}
	rets, err = t.PCall(handler, []Value{err.Value})
	if err != nil {
		return t.ret2(Bool(false), err.Value)
	}
	if len(rets) == 0 {
		return t.ret2(Bool(false), Value{})
	}
	return t.ret2(Bool(false), rets[0])
}

func baseRawequal(t *Thread, args []Value) []Value {
	a, b := t.CheckAny(args, 1), t.CheckAny(args, 2)
	return t.ret1(Bool(a == b))
}

func baseRawget(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	k := t.CheckAny(args, 2)
	if s, ok := k.AsString(); ok {
		t.hashing(s)
	}
	return t.ret1(tb.Get(k))
}

func baseRawset(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	k, v := t.CheckAny(args, 2), t.CheckAny(args, 3)
	t.rawSet(tb, k, v, nil)
	return t.ret1(args[0])
}

func baseSelect(t *Thread, args []Value) []Value {
	if s, ok := Arg(args, 1).AsString(); ok && strings.HasPrefix(s, "#") {
		return t.ret1(Int(len(args) - 1))
	}
	i := t.CheckInt(args, 1)
	n := len(args)
	if i < 0 {
		i = n + i
	} else if i > n {
		i = n
	}
	if i < 1 {
		t.ArgError(1, "index out of range")
	}
	return args[i:]
}

func baseTonumber(t *Thread, args []Value) []Value {
	base := t.OptInt(args, 2, 10)
	if base == 10 {
		if f, ok := t.CheckAny(args, 1).ToNumber(); ok {
			return t.ret1(Number(f))
		}
		return t.ret1(Value{})
	}
	s := t.CheckString(args, 1)
	if base < 2 || base > 36 {
		t.ArgError(2, "base out of range")
	}
	if f, ok := parseUnsigned(s, base); ok {
		return t.ret1(Number(f))
	}
	return t.ret1(Value{})
}

// parseUnsigned is C's strtoul with blanks around.
func parseUnsigned(s string, base int) (float64, bool) {
	s = strings.Trim(s, " \t\n\v\f\r")
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		s = s[1:]
	}
	if base == 16 && len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		s = s[2:]
	}
	if s == "" {
		return 0, false
	}
	var n uint64
	overflow := false
	for i := 0; i < len(s); i++ {
		d := 99
		switch c := s[i]; {
		case isDigit(c):
			d = int(c - '0')
		case c >= 'a' && c <= 'z':
			d = int(c-'a') + 10
		case c >= 'A' && c <= 'Z':
			d = int(c-'A') + 10
		}
		if d >= base {
			return 0, false
		}
		if n > (math.MaxUint64-uint64(d))/uint64(base) {
			overflow = true
		}
		n = n*uint64(base) + uint64(d)
	}
	switch {
	case overflow:
		n = math.MaxUint64
	case negative:
		n = -n
	}
	return float64(n), true
}

func baseTostring(t *Thread, args []Value) []Value {
	return t.ret1(t.tostring(t.CheckAny(args, 1)))
}

func baseType(t *Thread, args []Value) []Value {
	return t.ret1(String(t.CheckAny(args, 1).TypeName()))
}

const maxUnpack = 8000 // values on Lua's stack for C

func baseUnpack(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	i := t.OptInt(args, 2, 1)
	e := tb.Len()
	if !Arg(args, 3).IsNil() {
		e = t.CheckInt(args, 3)
	}
	if i > e {
		return nil
	}
	n := e - i + 1
	if n+len(args) > maxUnpack {
		t.Fail("too many results to unpack")
	}
	t.Alloc(n * valueSize)
	t.Step(n / 8)
	vals := make([]Value, n)
	for j := range vals {
		vals[j] = tb.GetInt(i + j)
	}
	return vals
}
