package lua

import "fmt"

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
