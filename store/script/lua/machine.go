package lua

import (
	"errors"
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
