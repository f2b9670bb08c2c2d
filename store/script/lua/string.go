package lua

import (
	"bytes"
	"math"
	"strings"
)

func (m *Machine) openString() {
	t := m.NewTable()
	m.register(t, []Entry{
		{"byte", strByte}, {"char", strChar}, {"dump", strDump}, {"find", strFind}, {"format", strFormat},
		{"gfind", strGmatch}, {"gmatch", strGmatch}, {"gsub", strGsub}, {"len", strLen}, {"lower", strLower},
		{"match", strMatch}, {"rep", strRep}, {"reverse", strReverse}, {"sub", strSub}, {"upper", strUpper},
	})
	m.SetString(m.Globals, "string", TableValue(t))
	m.stringMeta = m.NewTable()
	m.SetString(m.stringMeta, "__index", TableValue(t))
	m.stringMeta.readonly = true
}

func strLen(t *Thread, args []Value) []Value { return t.ret1(Int(len(t.CheckString(args, 1)))) }

// position is where a relative index of a string of length n points.
func position(i, n int) int {
	if i < 0 {
		i += n + 1
	}
	return max(i, 0)
}

func strSub(t *Thread, args []Value) []Value {
	s := t.CheckString(args, 1)
	i := position(clampInt(t.CheckInteger(args, 2)), len(s))
	j := -1
	if !Arg(args, 3).IsNil() {
		j = clampInt(t.CheckInteger(args, 3))
	}
	j = position(j, len(s))
	i, j = max(i, 1), min(j, len(s))
	if i > j {
		return t.ret1(String(""))
	}
	t.Alloc(j - i + 17)
	return t.ret1(String(strings.Clone(s[i-1 : j])))
}

func clampInt(i int64) int { return int(max(min(i, math.MaxInt32), math.MinInt32)) }

// piece charges for what a function makes of a whole string.
func (t *Thread) piece(n int) {
	t.Alloc(n + 16)
	t.Step(n / 32)
}

func strReverse(t *Thread, args []Value) []Value {
	s := t.CheckString(args, 1)
	t.piece(len(s))
	b := make([]byte, len(s))
	for i := range b {
		b[i] = s[len(s)-1-i]
	}
	return t.ret1(String(string(b)))
}

func mapBytes(t *Thread, args []Value, f func(c byte) byte) []Value {
	s := t.CheckString(args, 1)
	t.piece(len(s))
	b := []byte(s)
	for i, c := range b {
		b[i] = f(c)
	}
	return t.ret1(String(string(b)))
}

func strLower(t *Thread, args []Value) []Value {
	return mapBytes(t, args, func(c byte) byte {
		if isUpper(c) {
			c += 'a' - 'A'
		}
		return c
	})
}

func strUpper(t *Thread, args []Value) []Value {
	return mapBytes(t, args, func(c byte) byte {
		if isLower(c) {
			c -= 'a' - 'A'
		}
		return c
	})
}

func strRep(t *Thread, args []Value) []Value {
	s := t.CheckString(args, 1)
	n := t.CheckInt(args, 2)
	if n <= 0 || s == "" {
		return t.ret1(String(""))
	}
	t.piece(n * len(s))
	return t.ret1(String(strings.Repeat(s, n)))
}

func strByte(t *Thread, args []Value) []Value {
	s := t.CheckString(args, 1)
	i := position(t.OptInt(args, 2, 1), len(s))
	j := position(t.OptInt(args, 3, i), len(s))
	i, j = max(i, 1), min(j, len(s))
	if i > j {
		return nil
	}
	if j-i+1+len(args) > maxUnpack {
		t.Fail("stack overflow (string slice too long)")
	}
	if i == j {
		return t.ret1(Int(int(s[i-1])))
	}
	t.Alloc((j - i + 1) * valueSize)
	out := make([]Value, j-i+1)
	for k := range out {
		out[k] = Int(int(s[i-1+k]))
	}
	return out
}

func strChar(t *Thread, args []Value) []Value {
	b := make([]byte, len(args))
	for i := range args {
		c := t.CheckInt(args, i+1)
		if c < 0 || c > 255 {
			t.ArgError(i+1, "invalid value")
		}
		b[i] = byte(c)
	}
	return t.ReturnString(string(b))
}

func strDump(t *Thread, args []Value) []Value {
	t.CheckFunction(args, 1)
	t.Fail("unable to dump given function")
	return nil
}

func strFind(t *Thread, args []Value) []Value  { return find(t, args, true) }
func strMatch(t *Thread, args []Value) []Value { return find(t, args, false) }

func find(t *Thread, args []Value, find bool) []Value {
	s, p := t.CheckString(args, 1), t.CheckString(args, 2)
	init := t.OptInt(args, 3, 1)
	if init < 0 {
		init += len(s) + 1
	}
	init = min(max(init-1, 0), len(s))
	if find && (Arg(args, 4).Truthy() || !strings.ContainsAny(p, "^$*+?.([%-")) {
		t.Step((len(s)-init)/32 + len(p)/32)
		if i := strings.Index(s[init:], p); i >= 0 {
			return t.ret2(Int(init+i+1), Int(init+i+len(p)))
		}
		return t.ret1(Value{})
	}
	anchor := strings.HasPrefix(p, "^")
	if anchor {
		p = p[1:]
	}
	m := &matcher{t: t, src: s, pat: p}
	for i := init; ; i++ {
		m.level = 0
		if e := m.match(i, 0); e >= 0 {
			if find {
				return m.captures([]Value{Int(i + 1), Int(e)}, i, e, false)
			}
			return m.captures(nil, i, e, true)
		}
		if anchor || i >= len(s) {
			return t.ret1(Value{})
		}
	}
}

func strGmatch(t *Thread, args []Value) []Value {
	s, p := t.CheckString(args, 1), t.CheckString(args, 2)
	pos := 0
	return t.ret1(t.NewFunction(func(t *Thread, _ []Value) []Value {
		m := &matcher{t: t, src: s, pat: p}
		for i := pos; i <= len(s); i++ {
			m.level = 0
			if e := m.match(i, 0); e >= 0 {
				if pos = e; e == i {
					pos++
				}
				return m.captures(nil, i, e, true)
			}
		}
		return nil
	}))
}

func strGsub(t *Thread, args []Value) []Value {
	s, p := t.CheckString(args, 1), t.CheckString(args, 2)
	repl := Arg(args, 3)
	switch repl.TypeName() {
	case "number", "string", "table", "function":
	default:
		t.ArgError(3, "string/function/table expected")
	}
	limit := len(s) + 1
	if !Arg(args, 4).IsNil() {
		limit = t.CheckInt(args, 4)
	}
	anchor := strings.HasPrefix(p, "^")
	if anchor {
		p = p[1:]
	}
	text, _ := repl.ToString()
	m := &matcher{t: t, src: s, pat: p}
	var b bytes.Buffer
	add := func(part string) {
		t.Alloc(len(part))
		b.WriteString(part)
	}
	n, i := 0, 0
	for n < limit {
		m.level = 0
		e := m.match(i, 0)
		if e >= 0 {
			n++
			var v Value
			switch r := repl.p.(type) {
			case *Function:
				args := m.captures(nil, i, e, true)
				v = t.call1(repl, args...)
			case *Table:
				v = t.index(TableValue(r), m.get(0, i, e), nil)
			default:
				m.expand(text, i, e, add)
				v = Value{}
			}
			if repl.p != nil {
				if _, isText := repl.ToString(); !isText {
					if r, ok := v.ToString(); ok {
						add(r)
					} else if v.Truthy() {
						t.Fail("invalid replacement value (a %s)", v.TypeName())
					} else {
						add(s[i:e])
					}
				}
			}
		}
		switch {
		case e >= 0 && e > i:
			i = e
		case i < len(s):
			t.Alloc(1)
			b.WriteByte(s[i])
			i++
		default:
			i = len(s) + 1
		}
		if i > len(s) || anchor {
			break
		}
	}
	if i < len(s) {
		add(s[i:])
	}
	return t.ret2(t.NewString(b.String()), Int(n))
}

// expand is a replacement text with its %0 to %9.
func (m *matcher) expand(text string, s, e int, add func(string)) {
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			j := strings.IndexByte(text[i:], '%')
			if j < 0 {
				add(text[i:])
				return
			}
			add(text[i : i+j])
			i += j - 1
			continue
		}
		i++
		switch {
		case i >= len(text):
			add("\x00") // what C reads past the end
		case !isDigit(text[i]):
			add(text[i : i+1])
		case text[i] == '0':
			add(m.src[s:e])
		default:
			v, _ := m.get(int(text[i]-'1'), s, e).ToString()
			add(v)
		}
	}
}
