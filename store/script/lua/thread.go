package lua

// frame is one call on a thread's stack.
type frame struct {
	th      *Thread
	fn      *Function
	site    *site // where in it we are, while it calls
	slots   []Value
	varargs []Value
	rets    []Value
}

// site is a place in the source that may raise an error or calls.
type site struct {
	line int
	what string // how what is called here is named: global, local, upvalue, field, method, or ""
	name string
}

// Thread is a coroutine, or the machine's main thread.
type Thread struct {
	*Machine
	id      uint64
	frames  []*frame
	depth   int // of frames
	nest    int // of closures on Go's stack, at most
	deepest struct{ depth, nest int }
	goDepth int // calls from Go into Lua that are under way
	stack   []Value
	top     int
	r1      [1]Value
	r2      [2]Value
	co      *coroutine
}

const (
	// What Lua 5.1 has: its call stack doubles from 8 and may not be more than 20000.
	maxDepth   = 16382
	maxGoDepth = 198
	firstStack = 256

	// Go's stack may not be more than 1 GB, and running out of it is fatal. A closure
	// that calls another needs some hundred bytes of it, and a goroutine's stack is at most twice what it needs.
	maxNestTotal = 250_000
	nestSize     = 256
	frameSize    = 160
)

func (m *Machine) newThread() *Thread {
	return &Thread{Machine: m, id: m.id(), stack: make([]Value, firstStack)}
}

func (t *Thread) reset() {
	t.depth, t.goDepth, t.top, t.nest = 0, 0, 0, 0
	t.deepest.depth, t.deepest.nest = 0, 0
	if len(t.stack) > firstStack {
		t.stack = make([]Value, firstStack)
	} else {
		clear(t.stack)
	}
	if len(t.frames) > 64 {
		t.frames = t.frames[:64:64]
	}
	for _, f := range t.frames {
		*f = frame{th: t}
	}
	t.r1[0], t.r2 = Value{}, [2]Value{}
}

// push makes room for n values above all that are in use; what they are is
// undefined. Who pushes saves stack and top before and restores them after.
func (t *Thread) push(n int) []Value {
	if t.top+n > len(t.stack) {
		size := max(2*len(t.stack), 2*n)
		t.Alloc(size * valueSize)
		t.stack, t.top = make([]Value, size), 0
	}
	s := t.stack[t.top : t.top+n : t.top+n]
	t.top += n
	return s
}

func (t *Thread) enter(fn *Function) *frame {
	if t.depth == len(t.frames) {
		t.frames = append(t.frames, &frame{th: t})
	}
	f := t.frames[t.depth]
	// What is paid must not depend on the runs before, which have left frames.
	if t.depth++; t.depth > t.deepest.depth {
		t.deepest.depth = t.depth
		t.Alloc(frameSize)
	}
	f.fn, f.site = fn, t.noSite
	return f
}

// ret1 returns one value.
func (t *Thread) ret1(v Value) []Value {
	t.r1[0] = v
	return t.r1[:]
}

// call calls fn from Lua. args must lie in memory that stays as it is.
func (t *Thread) call(fnv Value, args []Value) []Value {
	fn, ok := fnv.p.(*Function)
	if !ok {
		return t.callMeta(fnv, args)
	}
	if fn.proto != nil {
		return t.callLua(fn, args)
	}
	t.Step(2)
	f := t.enter(fn)
	_ = f
	rets := fn.goFunc(t, args)
	t.depth--
	return rets
}

func (t *Thread) callMeta(fnv Value, args []Value) []Value {
	tm := t.metamethod(fnv, "__call")
	if _, ok := tm.p.(*Function); !ok {
		s := t.site()
		t.typeError("call", fnv, s.what, s.name)
	}
	stack, top := t.stack, t.top
	a := t.push(len(args) + 1)
	copy(a[1:], args)
	a[0] = fnv
	rets := t.call(tm, a)
	t.stack, t.top = stack, top
	return rets
}

func (t *Thread) callLua(fn *Function, args []Value) []Value {
	if t.depth >= maxDepth {
		t.throwText("stack overflow")
	}
	p := fn.proto
	if t.nest += p.nest; t.nest > t.deepest.nest {
		if t.nest > maxNestTotal {
			t.nest -= p.nest
			t.throwText("stack overflow")
		}
		t.Alloc((t.nest - t.deepest.nest) * nestSize)
		t.deepest.nest = t.nest
	}
	stack, top := t.stack, t.top
	slots := t.push(p.slots)
	n := copy(slots[:p.params], args)
	for ; n < p.params; n++ {
		slots[n] = Value{}
	}
	f := t.enter(fn)
	f.slots = slots
	f.varargs = nil
	if p.vararg && len(args) > p.params {
		f.varargs = args[p.params:]
	}
	if p.entry != nil {
		p.entry(f)
	}
	var rets []Value
	if p.body(f) == sigReturn {
		rets = f.rets
	}
	t.depth--
	t.nest -= p.nest
	t.stack, t.top = stack, top
	return rets
}

// Call calls a function from Go.
func (t *Thread) Call(fn Value, args []Value) []Value {
	if t.goDepth >= maxGoDepth {
		t.throwText("C stack overflow")
	}
	t.goDepth++
	rets := t.call(fn, args)
	t.goDepth--
	return rets
}

func (t *Thread) call1(fn Value, args ...Value) Value {
	if rets := t.Call(fn, args); len(rets) > 0 {
		return rets[0]
	}
	return Value{}
}

// PCall calls and catches.
func (t *Thread) PCall(fn Value, args []Value) (rets []Value, err *Error) {
	depth, goDepth, nest, stack, top := t.depth, t.goDepth, t.nest, t.stack, t.top
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			t.depth, t.goDepth, t.nest, t.stack, t.top = depth, goDepth, nest, stack, top
			err = e
		}
	}()
	return t.Call(fn, args), nil
}
