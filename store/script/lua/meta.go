package lua

import "strings"

const maxMetaLoop = 100

func (t *Thread) metatable(v Value) *Table {
	switch p := v.p.(type) {
	case *Table:
		return p.meta
	case string:
		return t.stringMeta
	}
	return nil
}

func (t *Thread) metamethod(v Value, event string) Value {
	if mt := t.metatable(v); mt != nil {
		return mt.GetString(event)
	}
	return Value{}
}

// index is v[k]; s, what and name are for the error.
func (t *Thread) index(v, k Value, s *site) Value {
	at := s
	for range maxMetaLoop {
		var tm Value
		if tb, ok := v.p.(*Table); ok {
			r := tb.Get(k)
			if r.p != nil || tb.meta == nil {
				return r
			}
			if tm = tb.meta.GetString("__index"); tm.p == nil {
				return Value{}
			}
		} else if tm = t.metamethod(v, "__index"); tm.p == nil {
			if at == nil {
				at = t.noSite
			} else {
				t.frames[t.depth-1].site = at
			}
			t.typeError("index", v, at.what, at.name)
		}
		if _, ok := tm.p.(*Function); ok {
			if s != nil {
				t.frames[t.depth-1].site = s
			}
			return t.call1(tm, v, k)
		}
		v = tm
		if at != nil {
			at = &site{line: s.line} // what is indexed now has no name
		}
	}
	t.throwText("loop in gettable")
	return Value{}
}

// setIndex is v[k] = val.
func (t *Thread) setIndex(v, k, val Value, s *site) {
	at := s
	for range maxMetaLoop {
		var tm Value
		if tb, ok := v.p.(*Table); ok {
			if tb.meta == nil {
				t.rawSet(tb, k, val, s)
				return
			}
			if tb.Get(k).p != nil {
				t.rawSet(tb, k, val, s)
				return
			}
			if tm = tb.meta.GetString("__newindex"); tm.p == nil {
				t.rawSet(tb, k, val, s)
				return
			}
		} else if tm = t.metamethod(v, "__newindex"); tm.p == nil {
			if at == nil {
				at = t.noSite
			} else {
				t.frames[t.depth-1].site = at
			}
			t.typeError("index", v, at.what, at.name)
		}
		if _, ok := tm.p.(*Function); ok {
			if s != nil {
				t.frames[t.depth-1].site = s
			}
			t.Call(tm, []Value{v, k, val})
			return
		}
		v = tm
		if at != nil {
			at = &site{line: s.line}
		}
	}
	t.throwText("loop in settable")
}

// hashing charges for a long key, which is hashed whole each time it is looked up.
func (t *Thread) hashing(key string) {
	if len(key) > 64 {
		t.Step(len(key) / 16)
	}
}

// rawSet stores with all that Lua checks.
func (t *Thread) rawSet(tb *Table, k, val Value, s *site) {
	if !tb.readonly {
		switch p := k.p.(type) {
		case string:
			t.hashing(p)
			tb.set(t.Machine, k, val)
			return
		case numTag:
			if k.n == k.n {
				tb.set(t.Machine, k, val)
				return
			}
		case nil:
		default:
			tb.set(t.Machine, k, val)
			return
		}
	}
	if s != nil {
		t.frames[t.depth-1].site = s
	}
	switch {
	case tb.readonly:
		t.throwText("Attempt to modify a readonly table")
	case k.p == nil:
		t.throwText("table index is nil")
	default:
		t.throwText("table index is NaN")
	}
}

func arithEvent(op token) string {
	switch op {
	case '+':
		return "__add"
	case '-':
		return "__sub"
	case '*':
		return "__mul"
	case '/':
		return "__div"
	case '%':
		return "__mod"
	}
	return "__pow"
}

func numeric(op token, a, b float64) float64 {
	switch op {
	case '+':
		return add(a, b)
	case '-':
		return sub(a, b)
	case '*':
		return mul(a, b)
	case '/':
		return div(a, b)
	case '%':
		return mod(a, b)
	}
	return pow(a, b)
}

// arith is what is not two numbers. sa and sb name the operands.
func (t *Thread) arith(op token, a, b Value, s *arithSite) Value {
	t.Step(4)
	x, okx := a.ToNumber()
	y, oky := b.ToNumber()
	if okx && oky {
		return Number(numeric(op, x, y))
	}
	t.frames[t.depth-1].site = s.at
	event := arithEvent(op)
	tm := t.metamethod(a, event)
	if tm.p == nil {
		tm = t.metamethod(b, event)
	}
	if tm.p != nil {
		return t.call1(tm, a, b)
	}
	if !okx {
		t.typeError("perform arithmetic on", a, s.a.what, s.a.name)
	}
	t.typeError("perform arithmetic on", b, s.b.what, s.b.name)
	return Value{}
}

func (t *Thread) negate(a Value, s *arithSite) Value {
	if x, ok := a.ToNumber(); ok {
		return Number(neg(x))
	}
	t.frames[t.depth-1].site = s.at
	if tm := t.metamethod(a, "__unm"); tm.p != nil {
		return t.call1(tm, a, a)
	}
	t.typeError("perform arithmetic on", a, s.a.what, s.a.name)
	return Value{}
}

type arithSite struct {
	at   *site
	a, b naming
}

// naming is how an error names an operand.
type naming struct{ what, name string }

// concat joins all values, from the right as Lua does.
func (t *Thread) concat(vs []Value, names []naming, at *site) Value {
	n := len(vs)
	for n > 1 {
		a, b := vs[n-2], vs[n-1]
		sb, okb := b.ToString()
		if _, oka := a.ToString(); !oka || !okb {
			t.frames[t.depth-1].site = at
			tm := t.metamethod(a, "__concat")
			if tm.p == nil {
				tm = t.metamethod(b, "__concat")
			}
			if tm.p == nil {
				bad, name := a, names[n-2]
				if oka {
					bad, name = b, naming{}
					if n == len(vs) {
						name = names[n-1]
					}
				}
				t.typeError("concatenate", bad, name.what, name.name)
			}
			vs[n-2] = t.call1(tm, a, b)
			n--
			continue
		}
		from, size := n-1, len(sb)
		var parts [8]string
		ps := parts[:0]
		ps = append(ps, sb)
		for from > 0 {
			s, ok := vs[from-1].ToString()
			if !ok {
				break
			}
			ps = append(ps, s)
			size += len(s)
			from--
		}
		t.Alloc(size + 16)
		t.Step(size / 64)
		var out strings.Builder
		out.Grow(size)
		for i := len(ps) - 1; i >= 0; i-- {
			out.WriteString(ps[i])
		}
		vs[from] = String(out.String())
		n = from + 1
	}
	return vs[0]
}

// equal is '=='.
func (t *Thread) equal(a, b Value, at *site) bool {
	switch p := a.p.(type) {
	case string:
		q, ok := b.p.(string)
		if !ok || len(p) != len(q) {
			return false
		}
		if len(p) > 64 {
			t.Step(len(p) / 64)
		}
		return p == q
	case *Table:
		q, ok := b.p.(*Table)
		if !ok {
			return false
		}
		if p == q {
			return true
		}
		return t.equalObjects(a, b, p.meta, q.meta, at)
	}
	return a == b
}

func (t *Thread) equalObjects(a, b Value, ma, mb *Table, at *site) bool {
	if ma == nil || mb == nil {
		return false
	}
	tm := ma.GetString("__eq")
	if tm.p == nil || ma != mb && mb.GetString("__eq") != tm {
		return false
	}
	t.frames[t.depth-1].site = at
	return t.call1(tm, a, b).Truthy()
}

func compareStrings(a, b string) int { return strings.Compare(a, b) }

// less is '<'.
func (t *Thread) less(a, b Value, at *site) bool {
	switch p := a.p.(type) {
	case numTag:
		if _, ok := b.p.(numTag); ok {
			return a.n < b.n
		}
	case string:
		if q, ok := b.p.(string); ok {
			t.Step(min(len(p), len(q)) / 64)
			return compareStrings(p, q) < 0
		}
	}
	if at != nil {
		t.frames[t.depth-1].site = at
	}
	r, ok := t.compareMeta("__lt", a, b)
	if !ok {
		t.compareError(a, b)
	}
	return r
}

// lessEqual is '<='.
func (t *Thread) lessEqual(a, b Value, at *site) bool {
	switch p := a.p.(type) {
	case numTag:
		if _, ok := b.p.(numTag); ok {
			return a.n <= b.n
		}
	case string:
		if q, ok := b.p.(string); ok {
			t.Step(min(len(p), len(q)) / 64)
			return compareStrings(p, q) <= 0
		}
	}
	t.frames[t.depth-1].site = at
	if r, ok := t.compareMeta("__le", a, b); ok {
		return r
	}
	r, ok := t.compareMeta("__lt", b, a)
	if !ok {
		t.compareError(a, b)
	}
	return !r
}

func (t *Thread) compareMeta(event string, a, b Value) (result, ok bool) {
	if a.TypeName() != b.TypeName() {
		return false, false
	}
	tm := t.metamethod(a, event)
	if tm.p == nil || t.metamethod(b, event) != tm {
		return false, false
	}
	return t.call1(tm, a, b).Truthy(), true
}

func (t *Thread) compareError(a, b Value) {
	x, y := a.TypeName(), b.TypeName()
	if x[2] == y[2] {
		t.throwText("attempt to compare two " + x + " values")
	}
	t.throwText("attempt to compare " + x + " with " + y)
}

func (t *Thread) length(v Value, s *arithSite) Value {
	switch p := v.p.(type) {
	case string:
		return Int(len(p))
	case *Table:
		return Int(p.Len())
	}
	t.frames[t.depth-1].site = s.at
	if tm := t.metamethod(v, "__len"); tm.p != nil {
		return t.call1(tm, v, Value{})
	}
	t.typeError("get length of", v, s.a.what, s.a.name)
	return Value{}
}

// tostring is the function of that name.
func (t *Thread) tostring(v Value) Value {
	if tm := t.metamethod(v, "__tostring"); tm.p != nil {
		return t.call1(tm, v)
	}
	if _, ok := v.p.(string); ok {
		return v
	}
	return t.NewString(v.raw())
}
