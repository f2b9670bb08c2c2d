package command

import (
	"fmt"
	"math"
	"strconv"

	"github.com/raftredis/raftredis/store/keyspace"
)

// ParseInt parses a number as Redis does, and as it prints one: no sign but a
// minus, no spaces, no leading zeros, no "-0", and within 64 bits.
func ParseInt(b []byte) (int64, bool) {
	digits := b
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	if digits[0] == '0' {
		return 0, len(b) == 1
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0') // 19 digits always fit
	}
	switch {
	case !negative:
		return int64(n), n <= math.MaxInt64
	default:
		return -int64(n), n <= -math.MinInt64
	}
}

// ParseFloat parses a float as Redis does with C's strtod: hexadecimal and
// infinities are fine, NaN, spaces, and what is too big or too small are not.
func ParseFloat(b []byte) (float64, bool) {
	form, zero := scanFloat(b)
	var s string
	switch form {
	case floatInvalid:
		return 0, false
	case floatHexNoExponent: // C does not ask for the exponent that Go wants
		s = string(b) + "p0"
	default:
		s = string(b)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || f == 0 && !zero {
		return 0, false
	}
	return f, true
}

type floatForm uint8

const (
	floatInvalid floatForm = iota
	floatDecimal
	floatHex
	floatHexNoExponent
	floatInf
)

// scanFloat checks the syntax of a number for C. zero says that all digits are
// zeros: a result of zero is then not an underflow.
func scanFloat(b []byte) (form floatForm, zero bool) {
	// Redis copies into a buffer of this size first.
	const maxLongDouble = 5 * 1024
	if len(b) == 0 || len(b) >= maxLongDouble {
		return floatInvalid, false
	}
	if b[0] == '+' || b[0] == '-' {
		b = b[1:]
	}
	if EqualFold(b, "inf") || EqualFold(b, "infinity") {
		return floatInf, false
	}
	form, mark := floatDecimal, byte('e')
	if len(b) > 2 && b[0] == '0' && b[1]|0x20 == 'x' {
		form, mark, b = floatHex, 'p', b[2:]
	}
	zero = true
	digits, points := 0, 0
	for len(b) > 0 {
		c := b[0]
		switch {
		case c == '.' && points == 0:
			points++
		case '0' <= c && c <= '9', form == floatHex && 'a' <= c|0x20 && c|0x20 <= 'f':
			digits++
			zero = zero && c == '0'
		case c|0x20 == mark && digits > 0:
			return exponent(b[1:], form), zero
		default:
			return floatInvalid, false
		}
		b = b[1:]
	}
	switch {
	case digits == 0:
		return floatInvalid, false
	case form == floatHex:
		return floatHexNoExponent, zero
	default:
		return form, zero
	}
}

func exponent(b []byte, form floatForm) floatForm {
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		b = b[1:]
	}
	if len(b) == 0 {
		return floatInvalid
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return floatInvalid
		}
	}
	return form
}

// AppendFloat appends f as Redis replies a double: C's %.17g, but inf and -inf.
func AppendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	default:
		return strconv.AppendFloat(dst, f, 'g', 17, 64)
	}
}

// Is reports whether argument i is word, which is in lower case, in any case of
// letters.
func (c *Call) Is(i int, word string) bool { return EqualFold(c.Args[i], word) }

// Int returns argument i as a number. If it is none, Int has written the error
// and the handler returns.
func (c *Call) Int(i int) (int64, bool) { return c.IntOr(i, ErrNotInteger) }

// IntOr is Int with an error text of its own.
func (c *Call) IntOr(i int, text string) (int64, bool) {
	n, ok := ParseInt(c.Args[i])
	if !ok {
		c.Reply.Error(text)
	}
	return n, ok
}

// IntRange is Int with bounds.
func (c *Call) IntRange(i int, lo, hi int64) (int64, bool) {
	n, ok := c.Int(i)
	if ok && (n < lo || n > hi) {
		c.Reply.Error(fmt.Sprintf("ERR value is out of range, value must between %d and %d", lo, hi))
		return 0, false
	}
	return n, ok
}

// Float returns argument i as a float. If it is none, Float has written the
// error and the handler returns.
func (c *Call) Float(i int) (float64, bool) {
	f, ok := ParseFloat(c.Args[i])
	if !ok {
		c.Reply.Error(ErrNotFloat)
	}
	return f, ok
}

// Database returns argument i as the number of a database. If it is none, it has
// written the error.
func (c *Call) Database(i int) (int, bool) {
	n, ok := c.IntRange(i, math.MinInt32, math.MaxInt32)
	if ok && (n < 0 || n >= keyspace.Databases) {
		c.Reply.Error(ErrDBIndex)
		return 0, false
	}
	return int(n), ok
}

// Fail replies err: ErrWrongType as the accessors of keyspace return it.
func (c *Call) Fail(err error) { c.Reply.Error(err.Error()) }

// OK replies OK.
func (c *Call) OK() { c.Reply.Status("OK") }

// IntBool replies 1 or 0.
func (c *Call) IntBool(b bool) {
	if b {
		c.Reply.Int(1)
	} else {
		c.Reply.Int(0)
	}
}
