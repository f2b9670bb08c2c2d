package cfloat

import (
	"bytes"
	"math"
	"strconv"
)

// ParseDouble parses what C's strtod takes, if it is the whole of b, but not NaN:
// decimal, hexadecimal, infinities. What is too big comes out infinite, what is
// too small zero, and then it is not in range.
func ParseDouble(b []byte) (f float64, inRange, ok bool) {
	form, zero := scan(b)
	s := string(b)
	switch form {
	case formInvalid:
		return 0, false, false
	case formHexNoExponent: // C does not ask for the exponent that Go wants
		s += "p0"
	}
	f, err := strconv.ParseFloat(s, 64) // the syntax is right: the only error is the range
	return f, err == nil && (f != 0 || zero), true
}

// AppendDouble appends f as C's printf does with %.17g, which is how Redis replies
// and keeps a double.
func AppendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f) && math.Signbit(f):
		return append(dst, "-nan"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	default:
		return strconv.AppendFloat(dst, f, 'g', 17, 64)
	}
}

// syntax is the form of a number that scan has found.
type syntax uint8

const (
	formInvalid syntax = iota
	formDecimal
	formHex
	formHexNoExponent
	formInf
)

// scan checks the syntax of a number for C. zero says that all digits are
// zeros: a result of zero is then not an underflow.
func scan(b []byte) (form syntax, zero bool) {
	// Redis copies into a buffer of this size first.
	const maxLongDouble = 5 * 1024
	if len(b) == 0 || len(b) >= maxLongDouble {
		return formInvalid, false
	}
	if b[0] == '+' || b[0] == '-' {
		b = b[1:]
	}
	if bytes.EqualFold(b, []byte("inf")) || bytes.EqualFold(b, []byte("infinity")) {
		return formInf, false
	}
	form, mark := formDecimal, byte('e')
	if len(b) > 2 && b[0] == '0' && b[1]|0x20 == 'x' {
		form, mark, b = formHex, 'p', b[2:]
	}
	zero = true
	digits, points := 0, 0
	for len(b) > 0 {
		c := b[0]
		switch {
		case c == '.' && points == 0:
			points++
		case '0' <= c && c <= '9', form == formHex && 'a' <= c|0x20 && c|0x20 <= 'f':
			digits++
			zero = zero && c == '0'
		case c|0x20 == mark && digits > 0:
			return exponent(b[1:], form), zero
		default:
			return formInvalid, false
		}
		b = b[1:]
	}
	switch {
	case digits == 0:
		return formInvalid, false
	case form == formHex:
		return formHexNoExponent, zero
	default:
		return form, zero
	}
}

func exponent(b []byte, form syntax) syntax {
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		b = b[1:]
	}
	if len(b) == 0 {
		return formInvalid
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return formInvalid
		}
	}
	return form
}
