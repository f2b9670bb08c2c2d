package script

import (
	"strings"

	"github.com/raftredis/raftredis/store/script/lua"
)

type jsonToken int

const (
	jsonObjBegin jsonToken = iota
	jsonObjEnd
	jsonArrBegin
	jsonArrEnd
	jsonString
	jsonNumber
	jsonBoolean
	jsonNull
	jsonColon
	jsonComma
	jsonEnd
	jsonError
)

// String is what an error calls a token.
func (k jsonToken) String() string {
	return [...]string{
		"T_OBJ_BEGIN", "T_OBJ_END", "T_ARR_BEGIN", "T_ARR_END", "T_STRING", "T_NUMBER", "T_BOOLEAN", "T_NULL",
		"T_COLON", "T_COMMA", "T_END", "T_ERROR",
	}[k]
}

// jsonDecoder reads JSON as lua-cjson does, which takes more than JSON is.
type jsonDecoder struct {
	t     *lua.Thread
	cfg   *jsonConfig
	null  lua.Value
	s     string
	pos   int
	depth int

	tok   jsonToken
	index int // where it begins
	value lua.Value
	err   string // of jsonError
}

func (j *cjson) decode(t *lua.Thread, cfg *jsonConfig, args []lua.Value) []lua.Value {
	if len(args) != 1 {
		t.ArgError(1, "expected 1 argument")
	}
	d := &jsonDecoder{t: t, cfg: cfg, null: j.null, s: t.CheckString(args, 1)}
	if len(d.s) >= 2 && (d.s[0] == 0 || d.s[1] == 0) {
		t.Fail("JSON parser does not support UTF-16 or UTF-32")
	}
	d.next()
	v := d.parse()
	if d.next(); d.tok != jsonEnd {
		d.expected("the end")
	}
	return t.Return1(v)
}

func (d *jsonDecoder) at(i int) byte {
	if i < len(d.s) {
		return d.s[i]
	}
	return 0
}

func (d *jsonDecoder) fail(err string) {
	d.tok, d.err, d.index = jsonError, err, d.pos
}

func (d *jsonDecoder) expected(what string) {
	found := d.tok.String()
	if d.tok == jsonError {
		found = d.err
	}
	d.t.Fail("Expected %s but found %s at character %d", what, found, d.index+1)
}

func (d *jsonDecoder) next() {
	d.t.Step(1)
	for c := d.at(d.pos); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = d.at(d.pos) {
		d.pos++
	}
	d.index = d.pos
	c := d.at(d.pos)
	single := func(k jsonToken) { d.tok = k; d.pos++ }
	switch {
	case c == 0:
		d.tok = jsonEnd
	case c == '{':
		single(jsonObjBegin)
	case c == '}':
		single(jsonObjEnd)
	case c == '[':
		single(jsonArrBegin)
	case c == ']':
		single(jsonArrEnd)
	case c == ',':
		single(jsonComma)
	case c == ':':
		single(jsonColon)
	case c == '"':
		d.str()
	case c == '-' || c >= '0' && c <= '9':
		if !d.cfg.decodeInvalid && d.invalidNumber() {
			d.fail("invalid number")
			return
		}
		d.number()
	case strings.HasPrefix(d.s[d.pos:], "true"):
		d.tok, d.value = jsonBoolean, lua.Bool(true)
		d.pos += 4
	case strings.HasPrefix(d.s[d.pos:], "false"):
		d.tok, d.value = jsonBoolean, lua.Bool(false)
		d.pos += 5
	case strings.HasPrefix(d.s[d.pos:], "null"):
		d.tok = jsonNull
		d.pos += 4
	case strings.IndexByte("iInN+", c) >= 0 && d.cfg.decodeInvalid && d.invalidNumber():
		d.number()
	default:
		d.fail("invalid token")
	}
}

// invalidNumber is true of what strtod takes and JSON does not.
func (d *jsonDecoder) invalidNumber() bool {
	i := d.pos
	if d.at(i) == '+' {
		return true
	}
	if d.at(i) == '-' {
		i++
	}
	if d.at(i) == '0' {
		c := d.at(i + 1)
		return c|0x20 == 'x' || c >= '0' && c <= '9'
	}
	if d.at(i) <= '9' {
		return false
	}
	rest := d.s[i:min(i+3, len(d.s))]
	return strings.EqualFold(rest, "inf") || strings.EqualFold(rest, "nan")
}

func (d *jsonDecoder) number() {
	n := strtodLength(d.s[d.pos:])
	if n == 0 {
		d.fail("invalid number")
		return
	}
	f, _ := lua.ParseNumber(d.s[d.pos : d.pos+n])
	d.tok, d.value = jsonNumber, lua.Number(f)
	d.pos += n
}

// strtodLength is how much of s C's strtod reads.
func strtodLength(s string) int {
	i := 0
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	if at(0) == '+' || at(0) == '-' {
		i++
	}
	fold := func(word string) bool { return len(s)-i >= len(word) && strings.EqualFold(s[i:i+len(word)], word) }
	switch {
	case fold("infinity"):
		return i + 8
	case fold("inf"), fold("nan"):
		return i + 3
	}
	decimal := func(c byte) bool { return c >= '0' && c <= '9' }
	digit := decimal
	exponent := byte('e')
	if at(i) == '0' && at(i+1)|0x20 == 'x' {
		hex := func(c byte) bool { return decimal(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
		if hex(at(i+2)) || at(i+2) == '.' && hex(at(i+3)) {
			digit, exponent = hex, 'p'
			i += 2
		}
	}
	n := 0
	for ; digit(at(i)); i++ {
		n++
	}
	if at(i) == '.' {
		j := i + 1
		for ; digit(at(j)); j++ {
			n++
		}
		if n > 0 {
			i = j
		}
	}
	if n == 0 {
		return 0
	}
	if at(i)|0x20 == exponent {
		j := i + 1
		if at(j) == '+' || at(j) == '-' {
			j++
		}
		if c := at(j); c >= '0' && c <= '9' {
			for ; at(j) >= '0' && at(j) <= '9'; j++ {
			}
			i = j
		}
	}
	return i
}

func (d *jsonDecoder) str() {
	d.pos++
	var b strings.Builder
	for {
		c := d.at(d.pos)
		switch c {
		case '"':
			d.pos++
			d.t.Step(b.Len() / 32)
			d.tok, d.value = jsonString, d.t.NewString(b.String())
			return
		case 0:
			d.fail("unexpected end of string")
			return
		case '\\':
			switch e := d.at(d.pos + 1); e {
			case '"', '\\', '/':
				c = e
			case 'b':
				c = '\b'
			case 't':
				c = '\t'
			case 'n':
				c = '\n'
			case 'f':
				c = '\f'
			case 'r':
				c = '\r'
			case 'u':
				if !d.unicode(&b) {
					d.fail("invalid unicode escape code")
					return
				}
				continue
			default:
				d.fail("invalid escape code")
				return
			}
			d.pos++
		}
		b.WriteByte(c)
		d.pos++
	}
}

func (d *jsonDecoder) hex4(i int) int {
	n := 0
	for k := range 4 {
		c := d.at(i + k)
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | int(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}

// unicode reads the escape at pos. It writes what cjson writes, which is UTF-8 but for
// nothing that is checked.
func (d *jsonDecoder) unicode(b *strings.Builder) bool {
	c := d.hex4(d.pos + 2)
	if c < 0 {
		return false
	}
	size := 6
	if c&0xf800 == 0xd800 {
		if c&0x400 != 0 || d.at(d.pos+6) != '\\' || d.at(d.pos+7) != 'u' {
			return false
		}
		low := d.hex4(d.pos + 8)
		if low < 0 || low&0xfc00 != 0xdc00 {
			return false
		}
		c = (c&0x3ff)<<10 | low&0x3ff + 0x10000
		size = 12
	}
	b.WriteRune(rune(c))
	d.pos += size
	return true
}

func (d *jsonDecoder) descend() {
	if d.depth++; d.depth > d.cfg.decodeMaxDepth || d.depth > maxJSONDepth {
		d.t.Fail("Found too many nested data structures (%d) at character %d", d.depth, d.pos)
	}
}

// maxJSONDepth is about where Lua's stack for C ends, whatever cjson.decode_max_depth is.
const maxJSONDepth = 2660

func (d *jsonDecoder) parse() lua.Value {
	switch d.tok {
	case jsonString, jsonNumber, jsonBoolean:
		return d.value
	case jsonNull:
		return d.null
	case jsonObjBegin:
		return d.object()
	case jsonArrBegin:
		return d.array()
	}
	d.expected("value")
	return lua.Value{}
}

func (d *jsonDecoder) object() lua.Value {
	d.descend()
	tb := d.t.NewTable()
	if d.next(); d.tok == jsonObjEnd {
		d.depth--
		return lua.TableValue(tb)
	}
	for {
		if d.tok != jsonString {
			d.expected("object key string")
		}
		key := d.value
		if d.next(); d.tok != jsonColon {
			d.expected("colon")
		}
		d.next()
		d.t.Set(tb, key, d.parse())
		switch d.next(); d.tok {
		case jsonObjEnd:
			d.depth--
			return lua.TableValue(tb)
		case jsonComma:
		default:
			d.expected("comma or object end")
		}
		d.next()
	}
}

func (d *jsonDecoder) array() lua.Value {
	d.descend()
	tb := d.t.NewTable()
	if d.next(); d.tok == jsonArrEnd {
		d.depth--
		return lua.TableValue(tb)
	}
	for i := 1; ; i++ {
		d.t.Set(tb, lua.Int(i), d.parse())
		switch d.next(); d.tok {
		case jsonArrEnd:
			d.depth--
			return lua.TableValue(tb)
		case jsonComma:
		default:
			d.expected("comma or array end")
		}
		d.next()
	}
}
