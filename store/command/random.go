package command

import (
	"math"

	"github.com/raftredis/raftredis/store/keyspace"
)

const (
	errRange = "ERR value is out of range"
	// errLongRange is for the one number that cannot be negated.
	errLongRange = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
)

// maxRandomMembers bounds how often HRANDFIELD and its like may repeat themselves
// in one reply. Redis has no such bound, and goes on until the client or its
// memory is gone.
const maxRandomMembers = 1 << 24

// randomCount parses the count of HRANDFIELD and its like and the option with, if
// the command has it. A negative count asks for elements that may be drawn again.
// If ok is false it has written the error.
func (r *Read) randomCount(with string) (count int64, pairs, ok bool) {
	if count, ok = r.Int(2); !ok {
		return 0, false, false
	}
	pairs = with != "" && len(r.Args) == 4 && r.Is(3, with)
	switch {
	case count == math.MinInt64:
		r.Reply.Error(errLongRange)
	case len(r.Args) > 3 && !pairs:
		r.Reply.Error(ErrSyntax)
	case pairs && count > math.MaxInt64/2, count < -maxRandomMembers:
		r.Reply.Error(errRange)
	default:
		return count, pairs, true
	}
	return 0, false, false
}

// draw calls visit for count of n positions in random order, each at most once, or
// for -count that may repeat.
func draw(rnd *keyspace.Rand, n int, count int64, visit func(i int)) {
	if count < 0 {
		for range -count {
			visit(rnd.Intn(n))
		}
		return
	}
	for _, i := range choose(rnd, n, int(count)) {
		visit(i)
	}
}

// choose draws k different numbers from [0, n) in random order, in O(k) time and
// memory.
func choose(rnd *keyspace.Rand, n, k int) []int {
	// A shuffle of [0, n) that is stopped after k steps and that remembers only
	// what has moved.
	moved := make(map[int]int, 2*k)
	at := func(i int) int {
		if v, ok := moved[i]; ok {
			return v
		}
		return i
	}
	drawn := make([]int, k)
	for i := range drawn {
		j := i + rnd.Intn(n-i)
		drawn[i] = at(j)
		moved[j] = at(i)
	}
	return drawn
}
