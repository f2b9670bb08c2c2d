package command

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sortCase is a SORT of a list, worked out in the obvious way.
type sortCase struct {
	elements                []string
	weights                 map[string]string // with BY; what is not in it has none
	alpha, desc, by, stored bool
	offset, count           int
}

// TestSortOrder compares SORT with the obvious way to sort, on elements that are
// hard for the way it takes: with beginnings in common, zero bytes, duplicates,
// equal weights, and more of them than are looked up at a time.
func TestSortOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	pick := func(all ...string) string { return all[rnd.IntN(len(all))] }
	for _, kind := range []struct {
		name    string
		numbers bool
		element func() string
	}{
		{"integers", true, func() string { return strconv.Itoa(rnd.IntN(2000) - 1000) }},
		{"floats", true, func() string { return strconv.FormatFloat(rnd.NormFloat64(), 'g', 3+rnd.IntN(15), 64) }},
		{"few", true, func() string { return pick("0", "-0", "1", "1.0", "-inf", "inf", "", "00", "-1e-300") }},
		{"words", false, func() string { return strconv.FormatUint(rnd.Uint64()>>rnd.IntN(64), 16) }},
		{"prefixed", false, func() string { return fmt.Sprintf("user:profile:%d", rnd.IntN(300)) }},
		{"zeros", false, func() string { return pick("a", "", "\x00") + pick("", "\x00") + strconv.Itoa(rnd.IntN(4)) }},
		{"nested", false, func() string { return strings.Repeat("a", rnd.IntN(20)) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for _, n := range []int{0, 1, 2, 31, 33, 700} {
				c := sortCase{
					weights: map[string]string{},
					alpha:   !kind.numbers || rnd.IntN(2) == 0, desc: rnd.IntN(2) == 0, by: rnd.IntN(2) == 0, stored: rnd.IntN(2) == 0,
					offset: rnd.IntN(n + 2), count: rnd.IntN(n+2) - 1,
				}
				for range n {
					e := kind.element()
					c.elements = append(c.elements, e)
					if rnd.IntN(4) > 0 {
						c.weights[e] = kind.element()
					}
				}
				if got, want := c.ask(newSpace(t)), c.expect(t); !slices.Equal(got, want) {
					t.Fatalf("%+v:\ngot  %q\nwant %q", c, got, want)
				}
			}
		})
	}
}

// ask has s do it.
func (c *sortCase) ask(s *space) []string {
	call := func(argv ...string) *node {
		raw := make([][]byte, len(argv))
		for i, a := range argv {
			raw[i] = []byte(a)
		}
		return s.call(0, raw...)
	}
	for _, e := range c.elements {
		call("RPUSH", "l", e)
	}
	for e, w := range c.weights {
		call("SET", "w_"+e, w)
	}
	argv := []string{"SORT", "l", "LIMIT", strconv.Itoa(c.offset), strconv.Itoa(c.count)}
	if c.desc {
		argv = append(argv, "DESC")
	}
	if c.alpha {
		argv = append(argv, "ALPHA")
	}
	if c.by {
		argv = append(argv, "BY", "w_*", "GET", "#", "GET", "w_*", "GET", "nothing")
	}
	if c.stored {
		argv = append(argv, "STORE", "d")
	}
	reply := call(argv...)
	if c.stored {
		reply = call("LRANGE", "d", "0", "-1")
	}
	var all []string
	for _, e := range reply.elems {
		all = append(all, e.text)
	}
	return all
}

// expect works it out.
func (c *sortCase) expect(t *testing.T) []string {
	sorted := slices.Clone(c.elements)
	slices.SortStableFunc(sorted, func(a, b string) int {
		if c.desc {
			return -c.compare(t, a, b)
		}
		return c.compare(t, a, b)
	})
	sorted = sorted[min(c.offset, len(sorted)):]
	if c.count >= 0 {
		sorted = sorted[:min(c.count, len(sorted))]
	}
	if !c.by {
		return sorted
	}
	var all []string
	for _, e := range sorted {
		all = append(all, e, c.weights[e], "")
	}
	return all
}

func (c *sortCase) compare(t *testing.T, a, b string) int {
	x, y, hasX, hasY := a, b, true, true
	if c.by {
		x, hasX = c.weights[a]
		y, hasY = c.weights[b]
	}
	if !c.alpha {
		return cmp.Or(cmp.Compare(number(t, x), number(t, y)), cmp.Compare(a, b))
	}
	switch {
	case hasX && !hasY:
		return 1
	case hasY && !hasX:
		return -1
	}
	if !c.stored {
		x, _, _ = strings.Cut(x, "\x00")
		y, _, _ = strings.Cut(y, "\x00")
	}
	return cmp.Compare(x, y)
}

// number reads what strtod does, of which nothing is zero.
func number(t *testing.T, s string) float64 {
	if s == "" {
		return 0
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
