package lua

import "strings"

func (m *Machine) openTable() {
	t := m.NewTable()
	m.register(t, []Entry{
		{"concat", tabConcat}, {"foreach", tabForeach}, {"foreachi", tabForeachi}, {"getn", tabGetn},
		{"insert", tabInsert}, {"maxn", tabMaxn}, {"remove", tabRemove}, {"setn", tabSetn}, {"sort", tabSort},
	})
	m.SetString(m.Globals, "table", TableValue(t))
}

func tabConcat(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	sep := t.OptString(args, 2, "")
	i := t.OptInt(args, 3, 1)
	last := tb.Len()
	if !Arg(args, 4).IsNil() {
		last = t.CheckInt(args, 4)
	}
	var b strings.Builder
	for ; i <= last; i++ {
		t.Step(1)
		v := tb.GetInt(i)
		s, ok := v.ToString()
		if !ok {
			t.Fail("invalid value (%s) at index %d in table for 'concat'", v.TypeName(), i)
		}
		t.Alloc(len(s) + len(sep))
		b.WriteString(s)
		if i < last {
			b.WriteString(sep)
		}
	}
	return t.ReturnString(b.String())
}

func tabForeach(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	fn := t.CheckFunction(args, 2)
	k := Value{}
	for {
		var v Value
		var ok bool
		if k, v, ok = tb.Next(k); !ok {
			t.throwText("invalid key to 'next'")
		}
		if k.p == nil {
			return nil
		}
		if r := t.call1(fn, k, v); r.p != nil {
			return t.ret1(r)
		}
	}
}

func tabForeachi(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	fn := t.CheckFunction(args, 2)
	n := tb.Len()
	for i := 1; i <= n; i++ {
		if r := t.call1(fn, Int(i), tb.GetInt(i)); r.p != nil {
			return t.ret1(r)
		}
	}
	return nil
}

func tabGetn(t *Thread, args []Value) []Value { return t.ret1(Int(t.CheckTable(args, 1).Len())) }

func tabSetn(t *Thread, args []Value) []Value {
	t.CheckTable(args, 1)
	t.Fail("'setn' is obsolete")
	return nil
}

func tabMaxn(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	t.Step((len(tb.arr) + len(tb.nodes)) / 8)
	most := 0.0
	for i := len(tb.arr); i > 0; i-- {
		if tb.arr[i-1].p != nil {
			most = float64(i)
			break
		}
	}
	for i := range tb.nodes {
		n := &tb.nodes[i]
		if f, ok := n.key.AsNumber(); ok && n.val.p != nil && f > most {
			most = f
		}
	}
	return t.ret1(Number(most))
}

func tabInsert(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	e := tb.Len() + 1
	switch len(args) {
	case 2:
		t.rawSet(tb, Int(e), args[1], nil)
	case 3:
		pos := t.CheckInt(args, 2)
		e = max(e, pos)
		t.Step(e - pos)
		for i := e; i > pos; i-- {
			t.rawSet(tb, Int(i), tb.GetInt(i-1), nil)
		}
		t.rawSet(tb, Int(pos), args[2], nil)
	default:
		t.Fail("wrong number of arguments to 'insert'")
	}
	return nil
}

func tabRemove(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	e := tb.Len()
	pos := t.OptInt(args, 2, e)
	if pos < 1 || pos > e {
		return nil
	}
	v := tb.GetInt(pos)
	t.Step(e - pos)
	for ; pos < e; pos++ {
		t.rawSet(tb, Int(pos), tb.GetInt(pos+1), nil)
	}
	t.rawSet(tb, Int(e), Value{}, nil)
	return t.ret1(v)
}

func tabSort(t *Thread, args []Value) []Value {
	tb := t.CheckTable(args, 1)
	s := &sorter{t: t, tb: tb}
	if !Arg(args, 2).IsNil() {
		s.fn = t.CheckFunction(args, 2)
	}
	s.sort(1, tb.Len())
	return nil
}

// sorter is Lua's quicksort, step for step: it is not stable, and what a
// comparison that contradicts itself leads to is its own.
type sorter struct {
	t  *Thread
	tb *Table
	fn Value
}

func (s *sorter) less(a, b Value) bool {
	s.t.Step(1)
	if s.fn.p != nil {
		return s.t.call1(s.fn, a, b).Truthy()
	}
	return s.t.less(a, b, nil)
}

func (s *sorter) set(i int, v Value) { s.t.rawSet(s.tb, Int(i), v, nil) }

func (s *sorter) swap(i, j int, vi, vj Value) {
	s.set(i, vj)
	s.set(j, vi)
}

func (s *sorter) sort(l, u int) {
	get := s.tb.GetInt
	for l < u {
		if a, b := get(l), get(u); s.less(b, a) {
			s.swap(l, u, a, b)
		}
		if u-l == 1 {
			return
		}
		i := (l + u) / 2
		if a, b := get(i), get(l); s.less(a, b) {
			s.swap(i, l, a, b)
		} else if b := get(u); s.less(b, a) {
			s.swap(i, u, a, b)
		}
		if u-l == 2 {
			return
		}
		pivot := get(i)
		s.swap(i, u-1, pivot, get(u-1))
		i = l
		j := u - 1
		for {
			var a, b Value
			for i++; ; i++ {
				if a = get(i); !s.less(a, pivot) {
					break
				}
				if i > u {
					s.t.Fail("invalid order function for sorting")
				}
			}
			for j--; ; j-- {
				if b = get(j); !s.less(pivot, b) {
					break
				}
				if j < l {
					s.t.Fail("invalid order function for sorting")
				}
			}
			if j < i {
				break
			}
			s.swap(i, j, a, b)
		}
		s.swap(u-1, i, get(u-1), get(i))
		if i-l < u-i {
			j, i, l = l, i-1, i+1
		} else {
			j, i, u = i+1, u, i-1
		}
		s.sort(j, i)
	}
}
