package lua

// A compiled function is a tree of Go closures. Steps are counted per block: what
// its statements, without the blocks in them, weigh is known when it is compiled.

type signal int

const (
	sigNext signal = iota
	sigBreak
	sigReturn
)

type (
	evalFunc  func(f *frame) Value
	multiFunc func(f *frame) []Value
	execFunc  func(f *frame) signal
)

// proto is a compiled function.
type proto struct {
	source string // the chunk's name, and
	chunk  string // how messages put it
	params int
	vararg bool
	slots  int
	nest   int            // closures that call each other, at most
	entry  func(f *frame) // makes cells of captured parameters; may be nil
	body   execFunc
	upvals []upvalue
}

type compiler struct {
	source string
	cost   int
	depth  int
	nest   int
}

func compileFunction(fn *function, source string) *proto {
	c := &compiler{source: source}
	p := &proto{source: source, chunk: chunkID(source), params: len(fn.params), vararg: fn.vararg, slots: fn.slots, upvals: fn.upvals}
	var captured []int
	for _, v := range fn.params {
		if v.captured {
			captured = append(captured, v.slot)
		}
	}
	arg := fn.arg
	if len(captured) > 0 || arg != nil {
		needsArg := fn.needsArg
		p.entry = func(f *frame) {
			for _, s := range captured {
				f.slots[s] = Value{0, &cell{f.slots[s]}}
			}
			if arg == nil {
				return
			}
			v := Value{}
			if needsArg {
				t := f.th.NewTableSize(len(f.varargs), 1)
				copy(t.arr, f.varargs)
				t.set(f.th.Machine, String("n"), Int(len(f.varargs)))
				v = TableValue(t)
			}
			declare(f, arg, v)
		}
	}
	p.body = c.block(fn.body)
	p.nest = c.nest + 2
	return p
}

// declare gives a new local its first value.
func declare(f *frame, v *local, val Value) {
	if v.captured {
		f.th.Alloc(48)
		val = Value{0, &cell{val}}
	}
	f.slots[v.slot] = val
}

func (c *compiler) site(line int, n naming) *site {
	return &site{line: line, what: n.what, name: n.name}
}

// name is how Lua's errors call an expression.
func name(e expr) naming {
	switch e := e.(type) {
	case *eLocal:
		return naming{"local", e.v.name}
	case *eUpval:
		return naming{"upvalue", e.name}
	case *eGlobal:
		return naming{"global", e.name}
	case *eIndex:
		if k, ok := e.key.(*eConst); ok {
			if s, ok := k.v.AsString(); ok {
				return naming{"field", s}
			}
		}
		return naming{"field", "?"}
	case *eParen:
		return name(e.a)
	}
	return naming{}
}

// enter and leave keep count of how deep closures call each other.
func (c *compiler) enter() {
	c.depth++
	c.nest = max(c.nest, c.depth)
}

func (c *compiler) leave() { c.depth-- }

func (c *compiler) block(b *block) execFunc {
	c.enter()
	defer c.leave()
	was := c.cost
	c.cost = 1
	list := make([]execFunc, len(b.stmts))
	for i, s := range b.stmts {
		list[i] = c.stmt(s)
	}
	cost := int64(c.cost)
	c.cost = was
	switch len(list) {
	case 0:
		return func(f *frame) signal {
			if f.th.quantum -= cost; f.th.quantum < 0 {
				f.th.refill()
			}
			return sigNext
		}
	case 1:
		one := list[0]
		return func(f *frame) signal {
			if f.th.quantum -= cost; f.th.quantum < 0 {
				f.th.refill()
			}
			return one(f)
		}
	}
	return func(f *frame) signal {
		if f.th.quantum -= cost; f.th.quantum < 0 {
			f.th.refill()
		}
		for _, s := range list {
			if sig := s(f); sig != sigNext {
				return sig
			}
		}
		return sigNext
	}
}

func (c *compiler) stmt(s stmt) execFunc {
	c.enter()
	defer c.leave()
	c.cost++
	switch s := s.(type) {
	case *sLocal:
		return c.localStmt(s)
	case *sAssign:
		return c.assign(s)
	case *sCall:
		call := c.call(s.call)
		return func(f *frame) signal { call(f); return sigNext }
	case *sDo:
		return c.block(s.body)
	case *sWhile:
		return c.while(s)
	case *sRepeat:
		return c.repeat(s)
	case *sIf:
		return c.ifStmt(s)
	case *sFor:
		return c.forStmt(s)
	case *sForIn:
		return c.forIn(s)
	case *sFunc:
		v, fn := s.v, c.function(s.f)
		return func(f *frame) signal {
			if !v.captured {
				f.slots[v.slot] = fn(f)
				return sigNext
			}
			cl := &cell{}
			f.slots[v.slot] = Value{0, cl}
			cl.v = fn(f)
			return sigNext
		}
	case *sReturn:
		return c.returnStmt(s)
	case *sBreak:
		return func(*frame) signal { return sigBreak }
	}
	panic("lua: statement of unknown kind")
}

func isMulti(e expr) bool {
	switch e.(type) {
	case *eCall, *eVararg:
		return true
	}
	return false
}

func (c *compiler) localStmt(s *sLocal) execFunc {
	vars := s.vars
	if len(vars) == 1 && len(s.exprs) == 1 {
		v, e := vars[0], c.expr(s.exprs[0])
		if !v.captured {
			slot := v.slot
			return func(f *frame) signal { f.slots[slot] = e(f); return sigNext }
		}
		return func(f *frame) signal { declare(f, v, e(f)); return sigNext }
	}
	if len(s.exprs) == 0 {
		return func(f *frame) signal {
			for _, v := range vars {
				declare(f, v, Value{})
			}
			return sigNext
		}
	}
	list := c.list(s.exprs)
	return func(f *frame) signal {
		t := f.th
		stack, top := t.stack, t.top
		vals := list(f, len(vars))
		for i, v := range vars {
			declare(f, v, vals[i])
		}
		t.stack, t.top = stack, top
		return sigNext
	}
}

// list evaluates expressions into pushed memory, which the caller gives back: just
// want values, or with want < 0 all there are.
func (c *compiler) list(exprs []expr) func(f *frame, want int) []Value {
	n := len(exprs)
	if n == 0 {
		return func(f *frame, want int) []Value {
			vals := f.th.push(max(want, 0))
			clear(vals)
			return vals
		}
	}
	var last multiFunc
	if isMulti(exprs[n-1]) {
		last = c.multi(exprs[n-1])
		n--
	}
	evals := make([]evalFunc, n)
	for i := range evals {
		evals[i] = c.expr(exprs[i])
	}
	return func(f *frame, want int) []Value {
		t := f.th
		size := max(n, want)
		vals := t.push(size)
		for i, e := range evals {
			vals[i] = e(f)
		}
		if last == nil {
			for i := n; i < size; i++ {
				vals[i] = Value{}
			}
			if want >= 0 {
				return vals[:want]
			}
			return vals
		}
		more := last(f)
		if want >= 0 {
			for i := n; i < want; i++ {
				vals[i] = Value{}
				if i-n < len(more) {
					vals[i] = more[i-n]
				}
			}
			return vals[:want]
		}
		if len(more) == 0 {
			return vals
		}
		return t.extend(vals, more)
	}
}

// extend appends to what was pushed last. more may lie anywhere above it.
func (t *Thread) extend(vals, more []Value) []Value {
	n := len(vals) + len(more)
	if t.top+len(more) <= len(t.stack) {
		from := t.top - len(vals)
		t.top += len(more)
		all := t.stack[from:t.top:t.top]
		copy(all[len(vals):], more)
		return all
	}
	all := make([]Value, n)
	t.Alloc(n * valueSize)
	copy(all, vals)
	copy(all[len(vals):], more)
	return all
}

func (c *compiler) assign(s *sAssign) execFunc {
	if len(s.targets) == 1 && len(s.exprs) == 1 {
		return c.assign1(s.targets[0], s.exprs[0])
	}
	// Lua evaluates tables and keys first, then the values, and stores from the right.
	type target struct {
		obj, key evalFunc
		at       *site
		store    func(f *frame, v Value)
	}
	targets := make([]target, len(s.targets))
	for i, e := range s.targets {
		if ix, ok := e.(*eIndex); ok {
			targets[i] = target{obj: c.expr(ix.obj), key: c.expr(ix.key), at: c.site(ix.line, name(ix.obj))}
		} else {
			targets[i].store = c.store(e)
		}
	}
	list := c.list(s.exprs)
	n := len(targets)
	return func(f *frame) signal {
		t := f.th
		stack, top := t.stack, t.top
		places := t.push(2 * n)
		for i := range targets {
			if g := &targets[i]; g.obj != nil {
				places[2*i] = g.obj(f)
				places[2*i+1] = g.key(f)
			}
		}
		vals := list(f, n)
		for i := n - 1; i >= 0; i-- {
			if g := &targets[i]; g.obj != nil {
				t.setIndex(places[2*i], places[2*i+1], vals[i], g.at)
			} else {
				g.store(f, vals[i])
			}
		}
		t.stack, t.top = stack, top
		return sigNext
	}
}

func (c *compiler) assign1(target, e expr) execFunc {
	if ix, ok := target.(*eIndex); ok {
		obj, key, val := c.expr(ix.obj), c.expr(ix.key), c.expr(e)
		at := c.site(ix.line, name(ix.obj))
		return func(f *frame) signal {
			o, k := obj(f), key(f)
			v := val(f)
			f.th.setIndex(o, k, v, at)
			return sigNext
		}
	}
	val := c.expr(e)
	if l, ok := target.(*eLocal); ok && !l.v.captured {
		slot := l.v.slot
		return func(f *frame) signal { f.slots[slot] = val(f); return sigNext }
	}
	store := c.store(target)
	return func(f *frame) signal { store(f, val(f)); return sigNext }
}

func (c *compiler) store(target expr) func(f *frame, v Value) {
	switch e := target.(type) {
	case *eLocal:
		slot := e.v.slot
		if e.v.captured {
			return func(f *frame, v Value) { f.slots[slot].cell().v = v }
		}
		return func(f *frame, v Value) { f.slots[slot] = v }
	case *eUpval:
		i := e.index
		return func(f *frame, v Value) { f.fn.upvals[i].v = v }
	case *eGlobal:
		k, at := String(e.name), c.site(e.line, naming{})
		return func(f *frame, v Value) { f.th.setIndex(TableValue(f.fn.env), k, v, at) }
	}
	panic("lua: assignment to what cannot be assigned to")
}

// scoped compiles a part whose cost is charged whenever it runs.
func (c *compiler) scoped(e expr) (evalFunc, int) {
	was := c.cost
	c.cost = 1
	ev := c.expr(e)
	cost := c.cost
	c.cost = was
	return ev, cost
}

func (c *compiler) while(s *sWhile) execFunc {
	cond, cost := c.scoped(s.cond)
	body := c.block(s.body)
	return func(f *frame) signal {
		for {
			f.th.Step(cost)
			if !cond(f).Truthy() {
				return sigNext
			}
			switch body(f) {
			case sigBreak:
				return sigNext
			case sigReturn:
				return sigReturn
			}
		}
	}
}

func (c *compiler) repeat(s *sRepeat) execFunc {
	body := c.block(s.body)
	cond, cost := c.scoped(s.cond)
	return func(f *frame) signal {
		for {
			switch body(f) {
			case sigBreak:
				return sigNext
			case sigReturn:
				return sigReturn
			}
			f.th.Step(cost)
			if cond(f).Truthy() {
				return sigNext
			}
		}
	}
}

func (c *compiler) ifStmt(s *sIf) execFunc {
	conds := make([]evalFunc, len(s.conds))
	for i, e := range s.conds {
		conds[i] = c.expr(e)
	}
	blocks := make([]execFunc, len(s.blocks))
	for i, b := range s.blocks {
		blocks[i] = c.block(b)
	}
	if len(conds) == 1 {
		cond, then := conds[0], blocks[0]
		if len(blocks) == 1 {
			return func(f *frame) signal {
				if cond(f).Truthy() {
					return then(f)
				}
				return sigNext
			}
		}
		other := blocks[1]
		return func(f *frame) signal {
			if cond(f).Truthy() {
				return then(f)
			}
			return other(f)
		}
	}
	return func(f *frame) signal {
		for i, cond := range conds {
			if cond(f).Truthy() {
				return blocks[i](f)
			}
		}
		if len(blocks) > len(conds) {
			return blocks[len(conds)](f)
		}
		return sigNext
	}
}

func (c *compiler) forStmt(s *sFor) execFunc {
	start, stop := c.expr(s.start), c.expr(s.stop)
	step := func(*frame) Value { return Int(1) }
	if s.step != nil {
		step = c.expr(s.step)
	}
	v, body, at := s.v, c.block(s.body), c.site(s.line, naming{})
	return func(f *frame) signal {
		a, b, d := start(f), stop(f), step(f)
		i, ok1 := a.ToNumber()
		limit, ok2 := b.ToNumber()
		by, ok3 := d.ToNumber()
		if !ok1 || !ok2 || !ok3 {
			f.site = at
			switch {
			case !ok1:
				f.th.throwText("'for' initial value must be a number")
			case !ok2:
				f.th.throwText("'for' limit must be a number")
			default:
				f.th.throwText("'for' step must be a number")
			}
		}
		for i = sub(i, by); ; {
			i = add(i, by)
			if by > 0 && !(i <= limit) || !(by > 0) && !(limit <= i) {
				return sigNext
			}
			if v.captured {
				declare(f, v, Number(i))
			} else {
				f.slots[v.slot] = Number(i)
			}
			switch body(f) {
			case sigBreak:
				return sigNext
			case sigReturn:
				return sigReturn
			}
		}
	}
}

func (c *compiler) forIn(s *sForIn) execFunc {
	list := c.list(s.exprs)
	vars, body, at := s.vars, c.block(s.body), c.site(s.line, naming{})
	base := s.base
	return func(f *frame) signal {
		t := f.th
		stack, top := t.stack, t.top
		init := list(f, 3)
		copy(f.slots[base:base+3], init)
		t.stack, t.top = stack, top
		for {
			f.site = at
			args := t.push(2)
			args[0], args[1] = f.slots[base+1], f.slots[base+2]
			rets := t.Call(f.slots[base], args)
			t.stack, t.top = stack, top
			if len(rets) == 0 || rets[0].p == nil {
				return sigNext
			}
			f.slots[base+2] = rets[0]
			for i, v := range vars {
				val := Value{}
				if i < len(rets) {
					val = rets[i]
				}
				declare(f, v, val)
			}
			switch body(f) {
			case sigBreak:
				return sigNext
			case sigReturn:
				return sigReturn
			}
		}
	}
}

func (c *compiler) returnStmt(s *sReturn) execFunc {
	switch {
	case len(s.exprs) == 0:
		return func(f *frame) signal { f.rets = nil; return sigReturn }
	case len(s.exprs) == 1 && isMulti(s.exprs[0]):
		m := c.multi(s.exprs[0])
		return func(f *frame) signal { f.rets = m(f); return sigReturn }
	case len(s.exprs) == 1:
		e := c.expr(s.exprs[0])
		return func(f *frame) signal { f.rets = f.th.ret1(e(f)); return sigReturn }
	}
	list := c.list(s.exprs)
	return func(f *frame) signal {
		t := f.th
		stack, top := t.stack, t.top
		f.rets = list(f, -1)
		t.stack, t.top = stack, top
		return sigReturn
	}
}
