package cfloat

import (
	"math/big"
	"strconv"
	"strings"
)

// LongDouble is the 80-bit number of x87: 64 bits of mantissa. Redis computes
// INCRBYFLOAT and HINCRBYFLOAT with it, and what clients see depends on it: 0.1
// plus 0.2 is 0.3. The zero value is 0.
type LongDouble struct {
	f   *big.Float // nil for 0
	inf int        // +1 or -1 for an infinity
}

const (
	longDoubleBits   = 64
	longDoubleMaxExp = 16384  // 2^16384 is the first power of two that is too big
	longDoubleMinExp = -16445 // 2^-16445 is the smallest that is not zero
)

// ParseLongDouble parses what C's strtold takes, of the whole of b; not NaN, and
// not what is too big, or so small that it is zero.
func ParseLongDouble(b []byte) (LongDouble, bool) {
	form, zero := scan(b)
	switch {
	case form == formInvalid:
		return LongDouble{}, false
	case form == formInf:
		if b[0] == '-' {
			return LongDouble{inf: -1}, true
		}
		return LongDouble{inf: 1}, true
	case zero:
		return LongDouble{}, true
	}
	s := string(b)
	if !sensibleExponent(s, form) {
		return LongDouble{}, false
	}
	// A Rat is exact, so there is one rounding only: that to 64 bits. big.Float's
	// own parser rounds more than once.
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return LongDouble{}, false
	}
	f := new(big.Float).SetPrec(longDoubleBits).SetRat(r)
	switch exp := f.MantExp(nil) - 1; {
	case exp >= longDoubleMaxExp:
		return LongDouble{}, false
	case exp < longDoubleMinExp:
		least := new(big.Float).SetPrec(longDoubleBits).SetMantExp(big.NewFloat(float64(f.Sign())), longDoubleMinExp)
		if exp < longDoubleMinExp-1 || f.MinPrec() == 1 {
			return LongDouble{}, false // half of the least, and what is below, is rounded to zero
		}
		return LongDouble{f: least}, true
	}
	return LongDouble{f: f}, true
}

// IsInf reports whether a is infinite.
func (a LongDouble) IsInf() bool { return a.inf != 0 }

// sensibleExponent reports whether the number can be in range at all, so that
// 1e999999999 is not worked out first. Beside the digits there may be 5 KB of
// leading or trailing zeros.
func sensibleExponent(s string, form syntax) bool {
	mark, most := "eE", 4951+5120
	if form != formDecimal {
		mark, most = "pP", 16445+4*5120
	}
	i := strings.IndexAny(s, mark)
	if i < 0 {
		return true
	}
	exp, err := strconv.Atoi(s[i+1:])
	return err == nil && -most <= exp && exp <= most
}

// Add returns a+b. It is not ok if that is infinite or not a number.
func (a LongDouble) Add(b LongDouble) (LongDouble, bool) {
	switch {
	case a.inf != 0 || b.inf != 0:
		return LongDouble{}, false
	case a.f == nil:
		return b, true
	case b.f == nil:
		return a, true
	}
	sum := new(big.Float).SetPrec(longDoubleBits).Add(a.f, b.f)
	return LongDouble{f: sum}, sum.MantExp(nil)-1 < longDoubleMaxExp
}

// Append prints the number as Redis does for people: 17 decimals at most, no
// trailing zeros, no exponent.
func (a LongDouble) Append(dst []byte) []byte {
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
