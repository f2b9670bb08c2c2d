package lua

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// spec is one conversion of string.format, as C's printf knows it.
type spec struct {
	minus, plus, space, sharp, zero bool
	width, precision                int // precision -1: none
	verb                            byte
}

func strFormat(t *Thread, args []Value) []Value {
	f := t.CheckString(args, 1)
	var b strings.Builder
	arg := 1
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			b.WriteByte(f[i])
			continue
		}
		if i++; i < len(f) && f[i] == '%' {
			b.WriteByte('%')
			continue
		}
		var sp spec
		sp, i = t.parseSpec(f, i)
		if arg++; arg > len(args) {
			t.ArgError(arg, "no value")
		}
		before := b.Len()
		t.format(&b, &sp, args, arg)
		t.Alloc(b.Len() - before)
		t.Step((b.Len() - before) / 32)
	}
	return t.ReturnString(b.String())
}

// parseSpec reads a conversion at i and returns where its verb is.
func (t *Thread) parseSpec(f string, i int) (spec, int) {
	sp := spec{precision: -1}
	start := i
flags:
	for ; i < len(f); i++ {
		switch f[i] {
		case '-':
			sp.minus = true
		case '+':
			sp.plus = true
		case ' ':
			sp.space = true
		case '#':
			sp.sharp = true
		case '0':
			sp.zero = true
		default:
			break flags
		}
	}
	if i-start >= 6 {
		t.Fail("invalid format (repeated flags)")
	}
	digits := func() int {
		n := 0
		for k := 0; k < 2 && i < len(f) && isDigit(f[i]); k++ {
			n = n*10 + int(f[i]-'0')
			i++
		}
		return n
	}
	sp.width = digits()
	if i < len(f) && f[i] == '.' {
		i++
		sp.precision = digits()
	}
	if i < len(f) && isDigit(f[i]) {
		t.Fail("invalid format (width or precision too long)")
	}
	if i < len(f) {
		sp.verb = f[i]
	}
	return sp, i
}

func (t *Thread) format(b *strings.Builder, sp *spec, args []Value, arg int) {
	switch sp.verb {
	case 'c':
		var c strings.Builder
		sp.pad(&c, string([]byte{byte(ToInt(t.CheckNumber(args, arg)))}), false)
		b.WriteString(cstring(c.String()))
	case 'd', 'i':
		sp.integer(b, ToInt(t.CheckNumber(args, arg)))
	case 'o', 'u', 'x', 'X':
		sp.unsigned(b, ToUint(t.CheckNumber(args, arg)))
	case 'e', 'E', 'f', 'g', 'G':
		sp.float(b, t.CheckNumber(args, arg))
	case 'q':
		quote(b, t.CheckString(args, arg))
	case 's':
		s := t.CheckString(args, arg)
		if sp.precision < 0 && len(s) >= 100 {
			b.WriteString(s)
			return
		}
		s = cstring(s)
		if sp.precision >= 0 {
			s = s[:min(len(s), sp.precision)]
		}
		sp.pad(b, s, false)
	default:
		verb := ""
		if sp.verb != 0 {
			verb = string([]byte{sp.verb})
		}
		t.Fail("invalid option '%%%s' to 'format'", verb)
	}
}

// pad writes s, whose sign or prefix zeros go behind when they pad.
func (sp *spec) pad(b *strings.Builder, s string, zeros bool) {
	n := sp.width - len(s)
	switch {
	case n <= 0:
		b.WriteString(s)
	case sp.minus:
		b.WriteString(s)
		b.WriteString(strings.Repeat(" ", n))
	case zeros && sp.zero:
		i := 0
		if s != "" && (s[0] == '-' || s[0] == '+' || s[0] == ' ') {
			i = 1
		}
		if strings.HasPrefix(s[i:], "0x") || strings.HasPrefix(s[i:], "0X") {
			i += 2
		}
		b.WriteString(s[:i])
		b.WriteString(strings.Repeat("0", n))
		b.WriteString(s[i:])
	default:
		b.WriteString(strings.Repeat(" ", n))
		b.WriteString(s)
	}
}

func (sp *spec) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case sp.plus:
		return "+"
	case sp.space:
		return " "
	}
	return ""
}

// atLeast is an integer's precision.
func (sp *spec) atLeast(digits string) string {
	if sp.precision == 0 && digits == "0" {
		return ""
	}
	if n := sp.precision - len(digits); n > 0 {
		return strings.Repeat("0", n) + digits
	}
	return digits
}

func (sp *spec) integer(b *strings.Builder, i int64) {
	digits := strings.TrimPrefix(strconv.FormatInt(i, 10), "-")
	sp.pad(b, sp.sign(i < 0)+sp.atLeast(digits), sp.precision < 0)
}

func (sp *spec) unsigned(b *strings.Builder, u uint64) {
	base, prefix := 10, ""
	switch sp.verb {
	case 'o':
		base = 8
	case 'x':
		base, prefix = 16, "0x"
	case 'X':
		base, prefix = 16, "0X"
	}
	digits := strconv.FormatUint(u, base)
	if sp.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	digits = sp.atLeast(digits)
	if sp.sharp {
		if sp.verb == 'o' && !strings.HasPrefix(digits, "0") {
			digits = "0" + digits
		} else if base == 16 && u != 0 {
			digits = prefix + digits
		}
	}
	sp.pad(b, digits, sp.precision < 0)
}

func (sp *spec) float(b *strings.Builder, f float64) {
	if s, ok := notFinite(f); ok {
		negative := s[0] == '-'
		s = sp.sign(negative) + strings.TrimPrefix(s, "-")
		if isUpper(sp.verb) {
			s = strings.ToUpper(s)
		}
		sp.pad(b, s, false)
		return
	}
	precision := sp.precision
	if precision < 0 {
		precision = 6
	}
	verb := sp.verb
	if (verb == 'g' || verb == 'G') && precision == 0 {
		precision = 1
	}
	var s string
	if sp.sharp {
		s = fmt.Sprintf("%#."+strconv.Itoa(precision)+string(rune(verb)), math.Abs(f))
	} else {
		s = strconv.FormatFloat(math.Abs(f), verb, precision, 64)
	}
	sp.pad(b, sp.sign(math.Signbit(f))+s, true)
}

func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\r':
			b.WriteString("\\r")
		case 0:
			b.WriteString("\\000")
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}
