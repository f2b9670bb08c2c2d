package lua

func (c *compiler) multi(e expr) multiFunc {
	c.cost++
	switch e := e.(type) {
	case *eCall:
		return c.call(e)
	case *eVararg:
		return func(f *frame) []Value { return f.varargs }
	}
	panic("lua: an expression of one value")
}

func (c *compiler) call(e *eCall) multiFunc {
	c.cost += 2
	if e.self != "" {
		obj, list := c.expr(e.fn), c.list(e.args)
		k := String(e.self)
		index := c.site(e.line, name(e.fn))
		at := c.site(e.line, naming{"method", e.self})
		return func(f *frame) []Value {
			t := f.th
			stack, top := t.stack, t.top
			o := obj(f)
			fn := t.index(o, k, index)
			self := t.push(1)
			self[0] = o
			st, i := t.stack, t.top-1
			args := list(f, -1)
			switch {
			case len(args) == 0:
				args = self
			case &t.stack[0] == &st[0] && i+1 < t.top && &args[0] == &st[i+1]:
				args = st[i : i+1+len(args)] // they follow self
			default: // the stack had to move
				t.Alloc((1 + len(args)) * valueSize)
				args = append([]Value{o}, args...)
			}
			f.site = at
			rets := t.call(fn, args)
			t.stack, t.top = stack, top
			return rets
		}
	}
	fn, at := c.expr(e.fn), c.site(e.line, name(e.fn))
	if n := len(e.args); n > 0 && n <= 4 && !isMulti(e.args[n-1]) {
		evals := make([]evalFunc, n)
		for i := range evals {
			evals[i] = c.expr(e.args[i])
		}
		return func(f *frame) []Value {
			t := f.th
			stack, top := t.stack, t.top
			fv := fn(f)
			args := t.push(n)
			for i, ev := range evals {
				args[i] = ev(f)
			}
			f.site = at
			rets := t.call(fv, args)
			t.stack, t.top = stack, top
			return rets
		}
	}
	list := c.list(e.args)
	return func(f *frame) []Value {
		t := f.th
		stack, top := t.stack, t.top
		fv := fn(f)
		args := list(f, -1)
		f.site = at
		rets := t.call(fv, args)
		t.stack, t.top = stack, top
		return rets
	}
}

func (c *compiler) function(fn *function) evalFunc {
	p := compileFunction(fn, c.source)
	size := 64 + 8*len(p.upvals)
	return func(f *frame) Value {
		f.th.Alloc(size)
		cl := &Function{id: f.th.Machine.id(), proto: p, env: f.fn.env}
		if len(p.upvals) > 0 {
			cl.upvals = make([]*cell, len(p.upvals))
			for i, u := range p.upvals {
				if u.local != nil {
					cl.upvals[i] = f.slots[u.local.slot].cell()
				} else {
					cl.upvals[i] = f.fn.upvals[u.index]
				}
			}
		}
		return FunctionValue(cl)
	}
}

func (c *compiler) expr(e expr) evalFunc {
	c.enter()
	defer c.leave()
	c.cost++
	switch e := e.(type) {
	case *eConst:
		v := e.v
		return func(*frame) Value { return v }
	case *eLocal:
		slot := e.v.slot
		if e.v.captured {
			return func(f *frame) Value { return f.slots[slot].cell().v }
		}
		return func(f *frame) Value { return f.slots[slot] }
	case *eUpval:
		i := e.index
		return func(f *frame) Value { return f.fn.upvals[i].v }
	case *eGlobal:
		k, at := String(e.name), c.site(e.line, naming{})
		global := e.name
		return func(f *frame) Value {
			if v := f.fn.env.GetString(global); v.p != nil {
				return v
			}
			return f.th.index(TableValue(f.fn.env), k, at)
		}
	case *eIndex:
		return c.index(e)
	case *eCall, *eVararg:
		m := c.multi(e)
		return func(f *frame) Value {
			if rets := m(f); len(rets) > 0 {
				return rets[0]
			}
			return Value{}
		}
	case *eFunc:
		return c.function(e.f)
	case *eTable:
		return c.table(e)
	case *eParen:
		c.cost--
		return c.expr(e.a)
	case *eUnary:
		return c.unary(e)
	case *eBinary:
		return c.binary(e)
	}
	panic("lua: expression of unknown kind")
}

func (c *compiler) index(e *eIndex) evalFunc {
	obj, at := c.expr(e.obj), c.site(e.line, name(e.obj))
	if kc, ok := e.key.(*eConst); ok {
		k := kc.v
		if s, ok := k.AsString(); ok && len(s) <= 64 {
			return func(f *frame) Value {
				o := obj(f)
				if t, ok := o.p.(*Table); ok {
					if v := t.GetString(s); v.p != nil || t.meta == nil {
						return v
					}
				}
				return f.th.index(o, k, at)
			}
		}
	}
	key := c.expr(e.key)
	return func(f *frame) Value {
		o, k := obj(f), key(f)
		if s, ok := k.p.(string); ok {
			f.th.hashing(s)
		}
		if t, ok := o.p.(*Table); ok {
			if v := t.Get(k); v.p != nil || t.meta == nil {
				return v
			}
		}
		return f.th.index(o, k, at)
	}
}

const fieldsPerFlush = 50 // Lua's LFIELDS_PER_FLUSH

// roundedSize is what Lua's compiler makes of a table's size: it is kept in a float of 8 bits.
func roundedSize(n int) int {
	e := 0
	for n >= 16 {
		n = (n + 1) >> 1
		e++
	}
	return n << e
}

func (c *compiler) table(e *eTable) evalFunc {
	type item struct {
		key, val evalFunc
		index    int
	}
	var items []item
	var last multiFunc
	index := 0
	at := c.site(e.line, naming{})
	for i, fl := range e.fields {
		switch {
		case fl.key != nil:
			items = append(items, item{key: c.expr(fl.key), val: c.expr(fl.val)})
		case i == len(e.fields)-1 && isMulti(fl.val):
			last = c.multi(fl.val)
		default:
			index++
			items = append(items, item{val: c.expr(fl.val), index: index})
		}
	}
	array, hash := roundedSize(index), roundedSize(len(e.fields)-len(e.array))
	late := index > 0 && len(items) > index // keyed items may be stored over
	return func(f *frame) Value {
		t := f.th
		tb := t.NewTableSize(array, hash)
		// Lua stores array items in batches, and keyed ones at once.
		var waiting []Value
		from := 0
		for i := range items {
			it := &items[i]
			switch {
			case it.key != nil:
				k := it.key(f)
				t.rawSet(tb, k, it.val(f), at)
			case late:
				if waiting = append(waiting, it.val(f)); len(waiting) == fieldsPerFlush {
					from += copy(tb.arr[from:], waiting)
					waiting = waiting[:0]
				}
			default:
				tb.arr[it.index-1] = it.val(f)
			}
		}
		copy(tb.arr[from:], waiting)
		if last != nil {
			more := last(f)
			if n := index + len(more); n > len(tb.arr) {
				t.Alloc(n * valueSize)
				arr := make([]Value, n)
				copy(arr, tb.arr)
				tb.arr = arr
			}
			copy(tb.arr[index:], more)
		}
		return TableValue(tb)
	}
}

func (c *compiler) unary(e *eUnary) evalFunc {
	a := c.expr(e.a)
	s := &arithSite{at: c.site(e.line, naming{}), a: name(e.a)}
	switch e.op {
	case tNot:
		return func(f *frame) Value { return Bool(!a(f).Truthy()) }
	case '-':
		return func(f *frame) Value {
			v := a(f)
			if _, ok := v.p.(numTag); ok {
				return Number(neg(v.n))
			}
			return f.th.negate(v, s)
		}
	default:
		return func(f *frame) Value { return f.th.length(a(f), s) }
	}
}

func (c *compiler) binary(e *eBinary) evalFunc {
	at := c.site(e.line, naming{})
	switch e.op {
	case tAnd:
		a, b := c.expr(e.a), c.expr(e.b)
		return func(f *frame) Value {
			if v := a(f); !v.Truthy() {
				return v
			}
			return b(f)
		}
	case tOr:
		a, b := c.expr(e.a), c.expr(e.b)
		return func(f *frame) Value {
			if v := a(f); v.Truthy() {
				return v
			}
			return b(f)
		}
	case tConcat:
		return c.concat(e, at)
	}
	a, b := c.expr(e.a), c.expr(e.b)
	switch e.op {
	case tEq:
		if k, ok := e.b.(*eConst); ok {
			v := k.v
			return func(f *frame) Value { return Bool(a(f) == v) }
		}
		return func(f *frame) Value { x := a(f); return Bool(f.th.equal(x, b(f), at)) }
	case tNe:
		if k, ok := e.b.(*eConst); ok {
			v := k.v
			return func(f *frame) Value { return Bool(a(f) != v) }
		}
		return func(f *frame) Value { x := a(f); return Bool(!f.th.equal(x, b(f), at)) }
	case '<':
		return func(f *frame) Value { x := a(f); return Bool(f.th.less(x, b(f), at)) }
	case tLe:
		return func(f *frame) Value { x := a(f); return Bool(f.th.lessEqual(x, b(f), at)) }
	case '>':
		return func(f *frame) Value { x := a(f); return Bool(f.th.less(b(f), x, at)) }
	case tGe:
		return func(f *frame) Value { x := a(f); return Bool(f.th.lessEqual(b(f), x, at)) }
	}
	op := e.op
	s := &arithSite{at: at, a: name(e.a), b: name(e.b)}
	isNum := func(x, y Value) bool {
		_, ok1 := x.p.(numTag)
		_, ok2 := y.p.(numTag)
		return ok1 && ok2
	}
	switch op {
	case '+':
		return func(f *frame) Value {
			x := a(f)
			y := b(f)
			if isNum(x, y) {
				return Number(add(x.n, y.n))
			}
			return f.th.arith(op, x, y, s)
		}
	case '-':
		return func(f *frame) Value {
			x := a(f)
			y := b(f)
			if isNum(x, y) {
				return Number(sub(x.n, y.n))
			}
			return f.th.arith(op, x, y, s)
		}
	}
	if op == '^' {
		c.cost += realSteps
	}
	return func(f *frame) Value {
		x := a(f)
		y := b(f)
		if isNum(x, y) {
			return Number(numeric(op, x.n, y.n))
		}
		return f.th.arith(op, x, y, s)
	}
}

func (c *compiler) concat(e *eBinary, at *site) evalFunc {
	var operands []expr
	var x expr = e
	for {
		b, ok := x.(*eBinary)
		if !ok || b.op != tConcat {
			operands = append(operands, x)
			break
		}
		operands = append(operands, b.a)
		x = b.b
	}
	n := len(operands)
	evals := make([]evalFunc, n)
	names := make([]naming, n)
	for i, o := range operands {
		evals[i], names[i] = c.expr(o), name(o)
	}
	return func(f *frame) Value {
		t := f.th
		stack, top := t.stack, t.top
		vals := t.push(n)
		for i, ev := range evals {
			vals[i] = ev(f)
		}
		v := t.concat(vals, names, at)
		t.stack, t.top = stack, top
		return v
	}
}
