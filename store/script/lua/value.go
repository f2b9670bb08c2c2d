package lua

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Value is any Lua value. The zero Value is nil. Two Values are == exactly when
// they are raw-equal in Lua.
type Value struct {
	n float64
	p any // nil, numTag, boolTag, string, *Table, *Function, *Thread, *Userdata
}

type (
	numTag  struct{}
	boolTag struct{}
)

// Number makes a number.
func Number(f float64) Value { return Value{f, numTag{}} }

// Int makes a number of an integer; beyond 2^53 it is rounded, as Lua's are.
func Int(i int) Value { return Value{float64(i), numTag{}} }

// String makes a string.
func String(s string) Value { return Value{0, s} }

// Bool makes a boolean.
func Bool(b bool) Value {
	if b {
		return Value{1, boolTag{}}
	}
	return Value{0, boolTag{}}
}

// TableValue makes a value of a table.
func TableValue(t *Table) Value { return Value{0, t} }

// FunctionValue makes a value of a function.
func FunctionValue(f *Function) Value { return Value{0, f} }

// cell is the cell of a captured local, which only slots hold.
func (v Value) cell() *cell {
	c, _ := v.p.(*cell)
	return c
}

// IsNil says whether v is nil.
func (v Value) IsNil() bool { return v.p == nil }

// Truthy is false for nil and false alone.
func (v Value) Truthy() bool {
	if _, ok := v.p.(boolTag); ok {
		return v.n != 0
	}
	return v.p != nil
}

// AsNumber returns the number that v is; a string is not one.
func (v Value) AsNumber() (float64, bool) {
	_, ok := v.p.(numTag)
	return v.n, ok
}

// AsString returns the string that v is; a number is not one.
func (v Value) AsString() (string, bool) {
	s, ok := v.p.(string)
	return s, ok
}

// AsBool returns the boolean that v is.
func (v Value) AsBool() (value, ok bool) {
	_, ok = v.p.(boolTag)
	return v.n != 0, ok
}

// AsTable returns the table that v is.
func (v Value) AsTable() (*Table, bool) {
	t, ok := v.p.(*Table)
	return t, ok
}

// AsFunction returns the function that v is.
func (v Value) AsFunction() (*Function, bool) {
	f, ok := v.p.(*Function)
	return f, ok
}

// ToNumber converts as Lua does: numbers and strings that look like one.
func (v Value) ToNumber() (float64, bool) {
	switch p := v.p.(type) {
	case numTag:
		return v.n, true
	case string:
		return ParseNumber(p)
	}
	return 0, false
}

// ToString converts as Lua does: strings and numbers.
func (v Value) ToString() (string, bool) {
	switch p := v.p.(type) {
	case string:
		return p, true
	case numTag:
		return FormatNumber(v.n), true
	}
	return "", false
}

// TypeName is what type(v) says.
func (v Value) TypeName() string {
	switch v.p.(type) {
	case nil:
		return "nil"
	case numTag:
		return "number"
	case boolTag:
		return "boolean"
	case string:
		return "string"
	case *Table:
		return "table"
	case *Function:
		return "function"
	case *Thread:
		return "thread"
	default:
		return "userdata"
	}
}

// raw is tostring without metamethods. An object's text has its number where
// Lua has its address, so that it is the same on every node.
func (v Value) raw() string {
	switch p := v.p.(type) {
	case nil:
		return "nil"
	case numTag:
		return FormatNumber(v.n)
	case boolTag:
		return strconv.FormatBool(v.n != 0)
	case string:
		return p
	case *Table:
		return fmt.Sprintf("table: 0x%08x", p.id)
	case *Function:
		return fmt.Sprintf("function: 0x%08x", p.id)
	case *Thread:
		return fmt.Sprintf("thread: 0x%08x", p.id)
	case *Userdata:
		return "userdata: " + p.name
	}
	panic(fmt.Sprintf("lua: value of type %T", v.p))
}

// Userdata is an opaque value of the host's.
type Userdata struct{ name string }

// Light makes a value that only equals itself; name is its text.
func Light(name string) *Userdata { return &Userdata{name: name} }

// Value makes a value of it.
func (u *Userdata) Value() Value { return Value{0, u} }

// FormatNumber is Lua's "%.14g".
func FormatNumber(f float64) string {
	if i := int64(f); float64(i) == f && i < 1e14 && i > -1e14 && (i != 0 || !math.Signbit(f)) {
		return strconv.FormatInt(i, 10)
	}
	return FormatG(f, 14)
}

// FormatG is C's "%.*g".
func FormatG(f float64, precision int) string {
	if s, ok := notFinite(f); ok {
		return s
	}
	if precision == 0 {
		precision = 1
	}
	return strconv.FormatFloat(f, 'g', precision, 64)
}

func notFinite(f float64) (string, bool) {
	switch {
	case f != f && math.Signbit(f):
		return "-nan", true
	case f != f:
		return "nan", true
	case math.IsInf(f, 1):
		return "inf", true
	case math.IsInf(f, -1):
		return "-inf", true
	}
	return "", false
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// ParseNumber is lua_str2number with blanks around: C's strtod, and strtoul for
// what it stops at the x of.
func ParseNumber(s string) (float64, bool) {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	if s == "" {
		return 0, false
	}
	body, negative := s, false
	if body[0] == '+' || body[0] == '-' {
		negative = body[0] == '-'
		body = body[1:]
	}
	var f float64
	switch {
	case len(body) > 2 && body[0] == '0' && (body[1] == 'x' || body[1] == 'X'):
		if strings.ContainsRune(body, '_') {
			return 0, false
		}
		if !strings.ContainsAny(body, "pP") {
			body += "p0"
		}
		var err error
		if f, err = strconv.ParseFloat(body, 64); err != nil && !math.IsInf(f, 0) {
			return 0, false
		}
	case strings.EqualFold(body, "inf"), strings.EqualFold(body, "infinity"):
		f = math.Inf(1)
	case strings.EqualFold(body, "nan"):
		f = math.Float64frombits(0x7ff8000000000000)
	default:
		for i := 0; i < len(body); i++ {
			switch c := body[i]; {
			case c >= '0' && c <= '9', c == '.', c == 'e', c == 'E', c == '+', c == '-':
			default:
				return 0, false
			}
		}
		var err error
		if f, err = strconv.ParseFloat(body, 64); err != nil && !math.IsInf(f, 0) {
			return 0, false
		}
	}
	if negative {
		f = neg(f)
	}
	return f, true
}

// neg flips the sign, of NaN as well.
func neg(f float64) float64 {
	if f != f {
		return math.Float64frombits(math.Float64bits(f) ^ 1<<63)
	}
	return -f
}

// badNaN is what x86 makes of an invalid operation, which is what Redis prints
// as "-nan" there; other machines would make another, so it is made by hand.
func badNaN() float64 { return math.Float64frombits(0xfff8000000000000) }

// nan settles a result that is not a number: the first operand that is one, as
// x86 has it.
func nan(a, b float64) float64 {
	switch {
	case a != a:
		return a
	case b != b:
		return b
	}
	return badNaN()
}

func add(a, b float64) float64 {
	if r := a + b; r == r {
		return r
	}
	return nan(a, b)
}

func sub(a, b float64) float64 {
	if r := a - b; r == r {
		return r
	}
	return nan(a, b)
}

func mul(a, b float64) float64 {
	if r := a * b; r == r {
		return r
	}
	return nan(a, b)
}

func div(a, b float64) float64 {
	if r := a / b; r == r {
		return r
	}
	return nan(a, b)
}

// mod is Lua 5.1's a - floor(a/b)*b, without the multiply-add that some machines
// would make of it.
func mod(a, b float64) float64 {
	p := float64(math.Floor(a/b) * b)
	if r := a - p; r == r {
		return r
	}
	return nan(a, b)
}

func pow(a, b float64) float64 {
	if b == 2 {
		return mul(a, a)
	}
	if r := power(a, b); r == r {
		return r
	}
	return nan(a, b)
}

// ToInt is C's cast of a double to a long long on x86: what does not fit, NaN too, is
// the smallest.
func ToInt(f float64) int64 {
	if f >= -9223372036854775808 && f < 9223372036854775808 {
		return int64(f)
	}
	return math.MinInt64
}

// ToUint is C's cast of a double to an unsigned long on x86: what is too large is 0.
func ToUint(f float64) uint64 {
	if f >= 9223372036854775808 {
		return uint64(ToInt(f-9223372036854775808)) ^ 1<<63
	}
	return uint64(ToInt(f))
}

// toInt32 is C's (int)(ptrdiff_t)f, Lua's luaL_checkint.
func toInt32(f float64) int { return int(int32(ToInt(f))) }
