package lua

import (
	"errors"
	"fmt"
	"strings"
)

// GoFunc is a function written in Go. args are only valid until it returns or
// pushes; what it returns only until the next call.
type GoFunc func(t *Thread, args []Value) []Value

// Function is a closure, or a function written in Go.
type Function struct {
	id     uint64
	proto  *proto
	upvals []*cell
	env    *Table
	goFunc GoFunc
}

// cell holds a local variable that a closure has captured.
type cell struct{ v Value }

// Errors that end a run. Nothing in a script can catch them.
var (
	ErrSteps  = errors.New("lua: out of steps")
	ErrMemory = errors.New("lua: out of memory")
)

// abort carries what ends a run through every pcall.
type abort struct{ err error }

// Error is a Lua error on its way to whoever catches it.
type Error struct {
	Value  Value
	Source string // of the function that raised it, or its caller's if that was a Go function
	Line   int    // -1 if that was one as well
}

func (e *Error) Error() string { return e.Value.raw() }

// Machine is one Lua world. It is not safe for use by two goroutines at once.
type Machine struct {
	quantum int64 // steps until refill
	steps   int64 // left beyond the quantum
	memory  int64 // left of
	budget  int64 // at first
	poll    func() error
	nextID  uint64

	Globals    *Table
	stringMeta *Table
	main       *Thread
	current    *Thread
	threads    []*Thread // coroutines that were begun in this run
	nested     int       // resumes that are under way
	noSite     *site     // of who calls nothing
}

const pollEvery = 1 << 14

// NewMachine makes a machine with the base, string, table, math and coroutine
// libraries, as far as Redis has them.
func NewMachine() *Machine {
	m := &Machine{noSite: &site{line: -1}}
	m.main = m.newThread()
	m.current = m.main
	m.Limit(0, 0, nil)
	m.Globals = m.NewTable()
	m.openBase()
	m.openString()
	m.openTable()
	m.openMath()
	m.openCoroutine()
	return m
}

// Limit sets what the next run may use, zero being without limit, and what is asked now
// and then whether to go on.
func (m *Machine) Limit(steps, memory int64, poll func() error) {
	if steps <= 0 {
		steps = 1 << 62
	}
	if memory <= 0 {
		memory = 1 << 62
	}
	m.quantum, m.steps, m.memory, m.budget, m.poll = 0, steps, memory, memory, poll
}

// Mark returns the number of the last object; Reset goes back to it, so that the
// next run's objects have the numbers that this one's had.
func (m *Machine) Mark() uint64 { return m.nextID }

// Reset ends the coroutines of a run and forgets its values.
func (m *Machine) Reset(mark uint64) {
	m.killThreads()
	m.nextID = mark
	m.current, m.nested = m.main, 0
	m.main.reset()
}

// Main is the thread that is not a coroutine.
func (m *Machine) Main() *Thread { return m.main }

// Abort ends the run with err, whatever pcall it is in.
func (m *Machine) Abort(err error) { panic(&abort{err}) }

// Step counts n steps.
func (m *Machine) Step(n int) {
	if m.quantum -= int64(n); m.quantum < 0 {
		m.refill()
	}
}

func (m *Machine) refill() {
	if m.steps += m.quantum; m.steps < 0 {
		m.quantum = 0
		panic(&abort{ErrSteps})
	}
	m.quantum = min(m.steps, pollEvery)
	m.steps -= m.quantum
	if m.poll != nil {
		if err := m.poll(); err != nil {
			panic(&abort{err})
		}
	}
}

// Alloc counts n bytes, and the time that they cost as steps.
func (m *Machine) Alloc(n int) {
	m.quantum -= int64(n) >> 5 // whoever steps next finds out
	if m.memory -= int64(n); m.memory < 0 {
		m.memory = 0
		panic(&abort{ErrMemory})
	}
}

func (m *Machine) id() uint64 {
	m.nextID++
	return m.nextID
}

// NewTable makes an empty table.
func (m *Machine) NewTable() *Table {
	m.Alloc(tableSize)
	return &Table{id: m.id()}
}

// NewTableSize makes a table with room for array items and hash keys.
func (m *Machine) NewTableSize(array, hash int) *Table {
	t := m.NewTable()
	if array > 0 {
		m.Alloc(array * valueSize)
		t.arr = make([]Value, array)
	}
	if hash > 0 {
		size := 1 << ceilLog2(hash)
		m.Alloc(size * nodeSize)
		t.nodes = make([]node, size)
		t.free = size
	}
	return t
}

// NewString makes a string and pays for it.
func (m *Machine) NewString(s string) Value {
	m.Alloc(len(s) + 16)
	return String(s)
}

// NewFunction makes a function of a Go function.
func (m *Machine) NewFunction(f GoFunc) Value {
	m.Alloc(64)
	return FunctionValue(&Function{id: m.id(), goFunc: f, env: m.Globals})
}

// Set is rawset; key is neither nil nor NaN.
func (m *Machine) Set(t *Table, key, value Value) { t.set(m, key, value) }

// SetString is rawset of a string key.
func (m *Machine) SetString(t *Table, key string, value Value) { t.set(m, String(key), value) }

// Protect makes a table, and all that can be reached from it, read-only for scripts.
func (m *Machine) Protect(t *Table) {
	if t.readonly {
		return
	}
	t.readonly = true
	for i := range t.arr {
		if s, ok := t.arr[i].AsTable(); ok {
			m.Protect(s)
		}
	}
	for i := range t.nodes {
		if s, ok := t.nodes[i].val.AsTable(); ok {
			m.Protect(s)
		}
	}
	if t.meta != nil {
		m.Protect(t.meta)
	}
}

// Chunk is compiled source. It is immutable: any machine may load it.
type Chunk struct{ main *proto }

// Compile compiles source. name is Lua's name of a chunk: "@file", "=text", or the
// source itself.
func Compile(source, name string) (*Chunk, error) {
	f, err := parse(source, chunkID(name))
	if err != nil {
		return nil, err
	}
	return &Chunk{compileFunction(f, name)}, nil
}

// chunkID is luaO_chunkid: a chunk's name as messages put it.
func chunkID(source string) string {
	const size = 60
	if source == "" {
		return `[string ""]`
	}
	switch source[0] {
	case '=':
		return cstring(source[1:min(len(source), size)])
	case '@':
		s := cstring(source[1:])
		if n := size - 8; len(s) > n {
			s = "..." + s[len(s)-n:]
		}
		return s
	}
	s := cstring(source)
	n := len(s)
	if i := strings.IndexAny(s, "\n\r"); i >= 0 {
		n = i
	}
	n = min(n, size-17)
	if n < len(s) {
		return `[string "` + s[:n] + `..."]`
	}
	return `[string "` + s + `"]`
}

// Load makes a function of a chunk.
func (m *Machine) Load(c *Chunk) Value {
	m.Alloc(64)
	return FunctionValue(&Function{id: m.id(), proto: c.main, env: m.Globals})
}

// Run calls a function from outside. The error is *Error for one of the
// script's own, or what ended the run.
func (m *Machine) Run(fn Value, args ...Value) (rets []Value, err error) {
	err = m.Protected(func() { rets = m.main.Call(fn, args) })
	return rets, err
}

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

// site is where the innermost Lua function is.
func (t *Thread) site() *site {
	if t.depth == 0 {
		return t.noSite
	}
	return t.frames[t.depth-1].site
}

// where is luaL_where: "source:line: " of the function at a level, 0 being the one running.
func (t *Thread) where(level int) string {
	i := t.depth - 1 - level
	if i < 0 {
		return ""
	}
	f := t.frames[i]
	if f.fn == nil || f.fn.proto == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", f.fn.proto.chunk, f.site.line)
}

// Throw raises an error.
func (t *Thread) Throw(v Value) {
	e := &Error{Value: v, Line: -1, Source: "=[C]"}
	i := t.depth - 1
	if i >= 0 && t.frames[i].fn.proto == nil {
		i--
	}
	if i >= 0 && t.frames[i].fn.proto != nil {
		e.Source, e.Line = t.frames[i].fn.proto.source, t.frames[i].site.line
	}
	panic(e)
}

// throwText raises an error of the running Lua function's own.
func (t *Thread) throwText(msg string) { t.Throw(String(t.where(0) + msg)) }

// Fail is luaL_error: an error of a Go function, with its caller's position.
func (t *Thread) Fail(format string, args ...any) {
	msg := t.where(1) + fmt.Sprintf(format, args...)
	t.Alloc(len(msg))
	t.Throw(String(msg))
}

func (t *Thread) typeError(op string, v Value, what, name string) {
	if name != "" {
		t.throwText(fmt.Sprintf("attempt to %s %s '%s' (a %s value)", op, what, cstring(name), v.TypeName()))
	}
	t.throwText(fmt.Sprintf("attempt to %s a %s value", op, v.TypeName()))
}

// ArgError is luaL_argerror: argument i, from 1, of the Go function that runs.
func (t *Thread) ArgError(i int, msg string) {
	name := "?"
	if t.depth >= 2 && t.frames[t.depth-2].fn.proto != nil {
		s := t.frames[t.depth-2].site
		if s.name != "" {
			name = s.name
		}
		if s.what == "method" {
			if i--; i == 0 {
				t.Fail("calling '%s' on bad self (%s)", name, msg)
			}
		}
	}
	t.Fail("bad argument #%d to '%s' (%s)", i, name, msg)
}

func (t *Thread) argType(args []Value, i int, want string) {
	got := "no value"
	if i <= len(args) {
		got = args[i-1].TypeName()
	}
	t.ArgError(i, want+" expected, got "+got)
}

// Arg returns argument i, from 1, or nil.
func Arg(args []Value, i int) Value {
	if i <= len(args) {
		return args[i-1]
	}
	return Value{}
}

// CheckAny requires an argument.
func (t *Thread) CheckAny(args []Value, i int) Value {
	if i > len(args) {
		t.ArgError(i, "value expected")
	}
	return args[i-1]
}

// CheckString requires a string or number.
func (t *Thread) CheckString(args []Value, i int) string {
	s, ok := Arg(args, i).ToString()
	if !ok {
		t.argType(args, i, "string")
	}
	return s
}

// CheckNumber requires a number, or a string that is one.
func (t *Thread) CheckNumber(args []Value, i int) float64 {
	f, ok := Arg(args, i).ToNumber()
	if !ok {
		t.argType(args, i, "number")
	}
	return f
}

// CheckInt requires an int, as luaL_checkint has it.
func (t *Thread) CheckInt(args []Value, i int) int { return toInt32(t.CheckNumber(args, i)) }

// CheckInteger requires an integer of 64 bits.
func (t *Thread) CheckInteger(args []Value, i int) int64 { return ToInt(t.CheckNumber(args, i)) }

// OptInt is CheckInt with a default for nil and none.
func (t *Thread) OptInt(args []Value, i, def int) int {
	if Arg(args, i).IsNil() {
		return def
	}
	return t.CheckInt(args, i)
}

// OptString is CheckString with a default.
func (t *Thread) OptString(args []Value, i int, def string) string {
	if Arg(args, i).IsNil() {
		return def
	}
	return t.CheckString(args, i)
}

// CheckTable requires a table.
func (t *Thread) CheckTable(args []Value, i int) *Table {
	tb, ok := Arg(args, i).AsTable()
	if !ok {
		t.argType(args, i, "table")
	}
	return tb
}

// CheckFunction requires a function.
func (t *Thread) CheckFunction(args []Value, i int) Value {
	v := Arg(args, i)
	if _, ok := v.AsFunction(); !ok {
		t.argType(args, i, "function")
	}
	return v
}

// Return1 is what a Go function returns one value with.
func (t *Thread) Return1(v Value) []Value { return t.ret1(v) }

// ReturnString returns a new string.
func (t *Thread) ReturnString(s string) []Value { return t.ret1(t.NewString(s)) }

// Index is v[k], with metamethods.
func (t *Thread) Index(v, k Value) Value { return t.index(v, k, nil) }

// SetIndex is v[k] = val, with metamethods and Lua's checks.
func (t *Thread) SetIndex(v, k, val Value) { t.setIndex(v, k, val, nil) }

// Protected runs Go code that allocates or steps; the error is as Run's.
func (m *Machine) Protected(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			err = r
		case *abort:
			err = r.err
		default:
			panic(r)
		}
	}()
	f()
	return nil
}

// Text is tostring without metamethods.
func (m *Machine) Text(v Value) string { return v.raw() }
