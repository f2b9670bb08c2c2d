package command

import (
	"fmt"
	"math"

	"github.com/raftredis/raftredis/store/cfloat"
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
	f, inRange, ok := cfloat.ParseDouble(b)
	if !ok || !inRange {
		return 0, false
	}
	return f, true
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
