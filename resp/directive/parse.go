package directive

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/raftredis/raftredis/store/command"
)

// Int reads the value of a Number or of a Memory, which must lie between Min and
// Max, or that of an Enum, as the place it has in Values. The texts of this file's errors
// are Redis's.
func (d *Directive) Int(v string) (int64, error) {
	if d.Kind == Enum {
		name, err := d.OneOf(v)
		return int64(slices.Index(d.Values, name)), err
	}
	read, wrong := ParseMemory, errNoMemory
	if d.Kind == Number {
		read, wrong = func(v string) (int64, bool) { return command.ParseInt([]byte(v)) }, errNoInteger
	}
	n, ok := read(v)
	if !ok {
		return 0, wrong
	}
	if n < d.Min || n > d.Max {
		return 0, fmt.Errorf("argument must be between %d and %d inclusive", d.Min, d.Max)
	}
	return n, nil
}

// Format writes what Int reads.
func (d *Directive) Format(n int64) string {
	if d.Kind == Enum && n >= 0 && n < int64(len(d.Values)) {
		return d.Values[n]
	}
	return strconv.FormatInt(n, 10)
}

var (
	errNoMemory  = errors.New("argument must be a memory value")
	errNoInteger = errors.New("argument couldn't be parsed into an integer")
	errNoYesNo   = errors.New("argument must be 'yes' or 'no'")
)

// Bool reads the value of a YesNo.
func (d *Directive) Bool(v string) (bool, error) {
	switch {
	case strings.EqualFold(v, "yes"):
		return true, nil
	case strings.EqualFold(v, "no"):
		return false, nil
	}
	return false, errNoYesNo
}

// OneOf reads the value of an Enum, in any case, and returns it as Values has it.
func (d *Directive) OneOf(v string) (string, error) {
	for _, known := range d.Values {
		if strings.EqualFold(v, known) {
			return known, nil
		}
	}
	return "", errors.New("argument(s) must be one of the following: " + strings.Join(d.Values, ", "))
}

// unit is one of the units of memory sizes.
type unit struct {
	suffix string
	bytes  int64
}

// units are in the order in which FormatMemory tries them.
func units() []unit {
	return []unit{
		{"gb", 1 << 30}, {"mb", 1 << 20}, {"kb", 1 << 10},
		{"g", 1e9}, {"m", 1e6}, {"k", 1e3}, {"b", 1}, {"", 1},
	}
}

// ParseMemory reads a number of bytes in redis.conf's units, in any case: b, k
// (1000), kb (1024), m, mb, g, gb.
func ParseMemory(v string) (int64, bool) {
	// Not ToLower: it may change the length of what is no size at all.
	digits := strings.TrimRight(v, "bgkmBGKM")
	for _, u := range units() {
		if !strings.EqualFold(v[len(digits):], u.suffix) {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || n > uint64(math.MaxInt64/u.bytes) {
			return 0, false
		}
		return int64(n) * u.bytes, true
	}
	return 0, false
}

// FormatMemory writes a number of bytes with the largest unit that divides it.
func FormatMemory(n int64) string {
	for _, u := range units() {
		if n > 0 && u.bytes > 1 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}
