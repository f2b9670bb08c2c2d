package script

import (
	"math"
	"strings"

	"github.com/raftredis/raftredis/store/script/lua"
)

// maxJSONEncodeDepth is about where Lua's stack for C ends, whatever cjson.encode_max_depth is.
const maxJSONEncodeDepth = 3990

// jsonEncoder writes JSON as lua-cjson does, keys in the order of the table.
type jsonEncoder struct {
	t    *lua.Thread
	cfg  *jsonConfig
	null lua.Value
	b    strings.Builder
}

func (j *cjson) encode(t *lua.Thread, cfg *jsonConfig, args []lua.Value) []lua.Value {
	if len(args) != 1 {
		t.ArgError(1, "expected 1 argument")
	}
	e := &jsonEncoder{t: t, cfg: cfg, null: j.null}
	e.value(args[0], 0)
	return t.ReturnString(e.b.String())
}

func (e *jsonEncoder) add(s string) {
	e.t.Alloc(len(s))
	e.b.WriteString(s)
}

func (e *jsonEncoder) fail(v lua.Value, reason string) {
	e.t.Fail("Cannot serialise %s: %s", v.TypeName(), reason)
}

func (e *jsonEncoder) value(v lua.Value, depth int) {
	e.t.Step(1)
	switch v.TypeName() {
	case "nil":
		e.add("null")
	case "boolean":
		if b, _ := v.AsBool(); b {
			e.add("true")
		} else {
			e.add("false")
		}
	case "number":
		f, _ := v.AsNumber()
		e.number(f, v)
	case "string":
		s, _ := v.AsString()
		e.str(s)
	case "table":
		tb, _ := v.AsTable()
		if depth++; depth > e.cfg.encodeMaxDepth || depth > maxJSONEncodeDepth {
			e.t.Fail("Cannot serialise, excessive nesting (%d)", depth)
		}
		if n := e.arrayLength(tb); n > 0 {
			e.array(tb, n, depth)
		} else {
			e.object(tb, depth)
		}
	default:
		if v == e.null {
			e.add("null")
			return
		}
		e.fail(v, "type not supported")
	}
}

func (e *jsonEncoder) number(f float64, v lua.Value) {
	nan, inf := f != f, math.IsInf(f, 0)
	switch {
	case !nan && !inf:
	case e.cfg.encodeInvalid == invalidOff:
		e.fail(v, "must not be NaN or Inf")
	case e.cfg.encodeInvalid == invalidNull:
		e.add("null")
		return
	case nan:
		e.add("nan")
		return
	}
	e.add(lua.FormatG(f, e.cfg.precision))
}

func (e *jsonEncoder) str(s string) {
	const hex = "0123456789abcdef"
	e.t.Step(len(s) / 32)
	e.add(`"`)
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		var esc string
		switch {
		case c == '"':
			esc = `\"`
		case c == '\\':
			esc = `\\`
		case c == '/':
			esc = `\/`
		case c == '\b':
			esc = `\b`
		case c == '\t':
			esc = `\t`
		case c == '\n':
			esc = `\n`
		case c == '\f':
			esc = `\f`
		case c == '\r':
			esc = `\r`
		case c < 0x20 || c == 0x7f:
			esc = `\u00` + string([]byte{hex[c>>4], hex[c&15]})
		default:
			continue
		}
		e.add(s[from:i])
		e.add(esc)
		from = i + 1
	}
	e.add(s[from:])
	e.add(`"`)
}

// arrayLength is the length of an array, or -1 for what is an object.
func (e *jsonEncoder) arrayLength(tb *lua.Table) int {
	most, items := 0, 0
	for k := (lua.Value{}); ; {
		e.t.Step(1)
		if k, _, _ = tb.Next(k); k.IsNil() {
			break
		}
		f, ok := k.AsNumber()
		if !ok || math.Floor(f) != f || f < 1 {
			return -1
		}
		most = max(most, int(min(f, math.MaxInt32)))
		items++
	}
	if e.cfg.sparseRatio > 0 && most > items*e.cfg.sparseRatio && most > e.cfg.sparseSafe {
		if !e.cfg.sparseConvert {
			e.fail(lua.TableValue(tb), "excessively sparse array")
		}
		return -1
	}
	return most
}

func (e *jsonEncoder) array(tb *lua.Table, n, depth int) {
	e.add("[")
	for i := 1; i <= n; i++ {
		if i > 1 {
			e.add(",")
		}
		e.value(tb.GetInt(i), depth)
	}
	e.add("]")
}

func (e *jsonEncoder) object(tb *lua.Table, depth int) {
	e.add("{")
	var k, v lua.Value
	for first := true; ; first = false {
		if k, v, _ = tb.Next(k); k.IsNil() {
			break
		}
		if !first {
			e.add(",")
		}
		if f, ok := k.AsNumber(); ok {
			e.add(`"`)
			e.number(f, k)
			e.add(`":`)
		} else if s, ok := k.AsString(); ok {
			e.str(s)
			e.add(":")
		} else {
			e.fail(k, "table key must be a number or string")
		}
		e.value(v, depth)
	}
	e.add("}")
}
