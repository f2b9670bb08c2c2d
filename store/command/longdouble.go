package command

import (
	"math/big"
	"strconv"
	"strings"
)

// longDouble is the 80-bit number of x87: 64 bits of mantissa. Redis computes
// INCRBYFLOAT and HINCRBYFLOAT with it, and what clients see depends on it: 0.1
// plus 0.2 is 0.3. The zero value is 0.
type longDouble struct {
	f   *big.Float // nil for 0
	inf int        // +1 or -1 for an infinity
}

const (
	longDoubleBits   = 64
	longDoubleMaxExp = 16384  // 2^16384 is the first power of two that is too big
	longDoubleMinExp = -16445 // 2^-16445 is the smallest that is not zero
)

// parseLongDouble parses what C's strtold takes, of the whole of b; not NaN, and
// not what is too big, or so small that it is zero.
func parseLongDouble(b []byte) (longDouble, bool) {
	form, zero := scanFloat(b)
	switch {
	case form == floatInvalid:
		return longDouble{}, false
	case form == floatInf:
		if b[0] == '-' {
			return longDouble{inf: -1}, true
		}
		return longDouble{inf: 1}, true
	case zero:
		return longDouble{}, true
	}
	s := string(b)
	if !sensibleExponent(s, form) {
		return longDouble{}, false
	}
	// A Rat is exact, so there is one rounding only: that to 64 bits. big.Float's
	// own parser rounds more than once.
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return longDouble{}, false
	}
	f := new(big.Float).SetPrec(longDoubleBits).SetRat(r)
	if exp := f.MantExp(nil) - 1; exp >= longDoubleMaxExp || exp < longDoubleMinExp {
		return longDouble{}, false
	}
	return longDouble{f: f}, true
}

// sensibleExponent reports whether the number can be in range at all, so that
// 1e999999999 is not worked out first. Beside the digits there may be 5 KB of
// leading or trailing zeros.
func sensibleExponent(s string, form floatForm) bool {
	mark, most := "eE", 4951+5120
	if form != floatDecimal {
		mark, most = "pP", 16445+4*5120
	}
	i := strings.IndexAny(s, mark)
	if i < 0 {
		return true
	}
	exp, err := strconv.Atoi(s[i+1:])
	return err == nil && -most <= exp && exp <= most
}

// add returns a+b. It is not ok if that is infinite or not a number.
func (a longDouble) add(b longDouble) (longDouble, bool) {
	switch {
	case a.inf != 0 || b.inf != 0:
		return longDouble{}, false
	case a.f == nil:
		return b, true
	case b.f == nil:
		return a, true
	}
	sum := new(big.Float).SetPrec(longDoubleBits).Add(a.f, b.f)
	return longDouble{f: sum}, sum.MantExp(nil)-1 < longDoubleMaxExp
}

// append prints the number as Redis does for people: 17 decimals at most, no
// trailing zeros, no exponent.
func (a longDouble) append(dst []byte) []byte {
	if a.f == nil {
		return append(dst, '0')
	}
	s := strings.TrimRight(a.f.Text('f', 17), "0")
	s = strings.TrimSuffix(s, ".")
	if s == "-0" {
		s = "0"
	}
	return append(dst, s...)
}
