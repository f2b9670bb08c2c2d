package command

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/raftredis/raftredis/store/keyspace"
)

// rank is what an element is sorted by. Moving sixteen bytes and comparing numbers
// is what most of the work consists of; the bytes of the elements are far apart in
// memory, and only looked at where the numbers are equal.
type rank struct {
	key uint64 // in the order of the weights, or of a part of them
	at  int    // index of the element: equal ones stay in their order
}

// sort returns the elements in order. If one has no number to sort by, it has
// written the error.
func (o *sorting) sort(r *Read, elements [][]byte) ([][]byte, bool) {
	texts := elements
	if o.by != nil {
		texts = weights(r.DB, o.by, elements)
	}
	ranks := make([]rank, len(elements))
	ties := bytes.Compare // of the elements themselves, so that the order is always defined
	if o.alpha {
		if o.store == nil { // C's strcoll, in the locale C
			texts = untilNUL(texts)
		}
		ties = compareTexts
		rankTexts(ranks, texts)
	} else {
		if !rankNumbers(ranks, texts) {
			r.Reply.Error("ERR One or more scores can't be converted into double")
			return nil, false
		}
		texts = elements
	}
	if o.desc {
		for i := range ranks {
			ranks[i].key = ^ranks[i].key
		}
	}
	order(ranks, func(a, b rank) int {
		c := ties(texts[a.at], texts[b.at])
		if o.desc {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(a.at, b.at))
	})
	out := make([][]byte, len(elements))
	for i, k := range ranks {
		out[i] = elements[k.at]
	}
	return out, true
}

// order sorts by key, and those of one key by ties.
func order(ranks []rank, ties func(a, b rank) int) {
	slices.SortFunc(ranks, func(a, b rank) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return c
		}
		return cmp.Compare(a.at, b.at) // equal elements are then in order already
	})
	for from := 0; from < len(ranks); {
		to := from + 1
		for to < len(ranks) && ranks[to].key == ranks[from].key {
			to++
		}
		if to-from > 1 {
			slices.SortFunc(ranks[from:to], ties)
		}
		from = to
	}
}

// weights returns what BY finds for each element, nil where that is nothing.
func weights(v *keyspace.View, by []byte, elements [][]byte) [][]byte {
	p := parsePattern(by)
	out := make([][]byte, len(elements))
	rest := out
	for block := range slices.Chunk(elements, keyspace.MaxAhead) {
		p.follow(v, block, rest)
		rest = rest[len(block):]
	}
	return out
}

// rankNumbers fills in keys in the order of the numbers that the texts are; none
// counts as zero. It answers false if a text is no number.
func rankNumbers(ranks []rank, texts [][]byte) bool {
	const sign = 1 << 63
	for i, text := range texts {
		f, ok := parseScore(text)
		if !ok {
			return false
		}
		if f == 0 {
			f = 0 // minus zero is no less
		}
		bits := math.Float64bits(f)
		if bits&sign != 0 {
			bits = ^bits
		} else {
			bits |= sign
		}
		ranks[i] = rank{bits, i}
	}
	return true
}

// rankTexts fills in keys in the order of the texts' first eight bytes behind
// those that all of them have in common.
func rankTexts(ranks []rank, texts [][]byte) {
	skip := commonPrefix(texts)
	for i, text := range texts {
		var first [8]byte
		if text != nil {
			copy(first[:], text[skip:])
		}
		ranks[i] = rank{binary.BigEndian.Uint64(first[:]), i}
	}
}

// commonPrefix returns how many bytes the texts begin with alike. Where there is
// no text, there is nothing to differ.
func commonPrefix(texts [][]byte) int {
	var first []byte
	for _, text := range texts {
		if text == nil {
			continue
		}
		if first == nil {
			first = text
		}
		first = first[:min(len(first), len(text))]
		if !bytes.HasPrefix(text, first) {
			n := 0
			for first[n] == text[n] {
				n++
			}
			first = first[:n]
		}
		if len(first) == 0 {
			return 0
		}
	}
	return len(first)
}

// compareTexts puts no text before the empty one.
func compareTexts(a, b []byte) int {
	switch {
	case a != nil && b != nil:
		return bytes.Compare(a, b)
	case a != nil:
		return 1
	case b != nil:
		return -1
	}
	return 0
}

func untilNUL(texts [][]byte) [][]byte {
	out := make([][]byte, len(texts))
	for i, text := range texts {
		out[i] = upToNUL(text)
	}
	return out
}

func upToNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// parseScore parses a weight with C's strtod, which unlike ParseFloat passes
// over leading spaces, stops at a NUL, and takes nothing at all for zero.
func parseScore(b []byte) (float64, bool) {
	if n, ok := shortInt(b); ok {
		return float64(n), true
	}
	if b = upToNUL(b); len(b) == 0 {
		return 0, true
	}
	f, ok := ParseFloat(bytes.TrimLeft(b, " \t\n\v\f\r"))
	return f, ok && !math.IsNaN(f)
}

// shortInt reads up to 18 digits, which need no care about overflow. Most weights
// are of this kind.
func shortInt(b []byte) (n int64, ok bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	if len(digits) < len(b) {
		n = -n
	}
	return n, true
}
