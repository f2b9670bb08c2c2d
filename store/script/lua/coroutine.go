package lua

import "iter"

// coroutine is what a Thread but the main one has. It runs on a stack of its own,
// that of iter.Pull: control is handed over and never shared.
type coroutine struct {
	fn      Value
	parent  *Thread
	in, out []Value
	err     *Error
	abort   any // a panic on its way through
	status  string
	resume  func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
}

const (
	suspended = "suspended"
	running   = "running"
	normal    = "normal"
	dead      = "dead"
)

// killed unwinds a coroutine that nobody will resume.
type killed struct{}

func (m *Machine) openCoroutine() {
	t := m.NewTable()
	m.register(t, []Entry{
		{"create", coCreate}, {"resume", coResume}, {"running", coRunning},
		{"status", coStatus}, {"wrap", coWrap}, {"yield", coYield},
	})
	m.SetString(m.Globals, "coroutine", TableValue(t))
}

func (m *Machine) newCoroutine(fn Value) *Thread {
	m.Alloc(firstStack*valueSize + 8192)
	t := m.newThread()
	co := &coroutine{fn: fn, status: suspended}
	t.co = co
	co.resume, co.stop = iter.Pull(func(yield func(struct{}) bool) {
		co.yield = yield
		defer func() {
			co.status = dead
			switch r := recover().(type) {
			case nil, killed:
			case *Error:
				co.err = r
			default:
				co.abort = r
			}
		}()
		co.out = append([]Value(nil), t.call(co.fn, co.in)...)
	})
	m.threads = append(m.threads, t)
	return t
}

func (m *Machine) killThreads() {
	for _, t := range m.threads {
		t.co.stop()
	}
	m.threads = nil
}

// resumeThread runs co until it yields or ends.
func (t *Thread) resumeThread(co *Thread, args []Value) ([]Value, *Error) {
	c := co.co
	if c == nil || c.status != suspended {
		status := running
		if c != nil {
			status = c.status
		}
		return nil, &Error{Value: String("cannot resume " + status + " coroutine")}
	}
	if t.nested >= maxGoDepth {
		return nil, &Error{Value: String("C stack overflow")}
	}
	c.in = append([]Value(nil), args...)
	c.parent, c.status = t, running
	if t.co != nil {
		t.co.status = normal
	}
	t.current, t.nested = co, t.nested+1
	c.resume()
	t.current, t.nested = t, t.nested-1
	if t.co != nil {
		t.co.status = running
	}
	if c.abort != nil {
		r := c.abort
		c.abort = nil
		panic(r)
	}
	if c.err != nil {
		e := c.err
		c.err = nil
		return nil, e
	}
	return c.out, nil
}

func (t *Thread) coroutineOf(args []Value) *Thread {
	v := Arg(args, 1)
	f, ok := v.AsFunction()
	if !ok || f.proto == nil {
		t.ArgError(1, "Lua function expected")
	}
	return t.newCoroutine(v)
}

func coCreate(t *Thread, args []Value) []Value { return t.ret1(Value{0, t.coroutineOf(args)}) }

func (t *Thread) checkThread(args []Value) *Thread {
	co, ok := Arg(args, 1).p.(*Thread)
	if !ok {
		t.ArgError(1, "coroutine expected")
	}
	return co
}

func coResume(t *Thread, args []Value) []Value {
	rets, err := t.resumeThread(t.checkThread(args), args[1:])
	if err != nil {
		return t.ret2(Bool(false), err.Value)
	}
	return t.Prepend(Bool(true), rets)
}

func coWrap(t *Thread, args []Value) []Value {
	co := t.coroutineOf(args)
	return t.ret1(t.NewFunction(func(t *Thread, args []Value) []Value {
		rets, err := t.resumeThread(co, args)
		if err != nil {
			v := err.Value
			if s, ok := v.AsString(); ok {
				v = t.NewString(t.where(1) + s)
			}
			t.Throw(v)
		}
		return rets
	}))
}

func coYield(t *Thread, args []Value) []Value {
	if t.co == nil || t.goDepth > 0 {
		t.throwText("attempt to yield across metamethod/C-call boundary")
	}
	c := t.co
	c.out = append([]Value(nil), args...)
	c.status = suspended
	if !c.yield(struct{}{}) {
		panic(killed{})
	}
	return c.in
}

func coRunning(t *Thread, args []Value) []Value {
	if t.co == nil {
		return t.ret1(Value{})
	}
	return t.ret1(Value{0, t})
}

func coStatus(t *Thread, args []Value) []Value {
	co := t.checkThread(args)
	if co.co == nil {
		if t == co {
			return t.ret1(String(running))
		}
		return t.ret1(String(normal))
	}
	return t.ret1(String(co.co.status))
}
