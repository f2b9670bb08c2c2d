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

func hrandfield(r *Read) {
	if len(r.Args) == 2 {
		h, ok := r.hash()
		switch {
		case !ok:
		case h == nil:
			r.Reply.Null()
		default:
			field, _ := h.At(r.Rand.Intn(h.Len()))
			r.Reply.Bulk(field)
		}
		return
	}
	count, ok := r.Int(2)
	if !ok {
		return
	}
	if count == math.MinInt64 {
		r.Reply.Error(errLongRange)
		return
	}
	withValues := len(r.Args) == 4 && r.Is(3, "withvalues")
	if len(r.Args) > 3 && !withValues {
		r.Reply.Error(ErrSyntax)
		return
	}
	if withValues && count > math.MaxInt64/2 || count < -maxRandomMembers {
		r.Reply.Error(errRange)
		return
	}
	h, ok := r.hash()
	if !ok {
		return
	}
	if h == nil || count == 0 {
		r.Reply.Array(0)
		return
	}
	f := fieldReply{r.Reply, withValues}
	switch n := h.Len(); {
	case count < 0: // fields may be drawn again
		at := h.Picker()
		f.begin(int(-count))
		for range -count {
			f.add(at(r.Rand.Intn(n)))
		}
	case count >= int64(n):
		f.begin(n)
		for field, value := range h.All() {
			f.add(field, value)
		}
	default:
		at := h.Picker()
		f.begin(int(count))
		for _, i := range choose(r.Rand, n, int(count)) {
			f.add(at(i))
		}
	}
}

// fieldReply replies fields, with their values in pairs where the protocol has
// room for that.
type fieldReply struct {
	Reply
	withValues bool
}

func (f fieldReply) begin(n int) {
	if f.withValues && !f.RESP3() {
		n *= 2
	}
	f.Array(n)
}

func (f fieldReply) add(field, value []byte) {
	if f.withValues && f.RESP3() {
		f.Array(2)
	}
	f.Bulk(field)
	if f.withValues {
		f.Bulk(value)
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
