package command

import (
	"bytes"
	"math"

	"github.com/raftredis/raftredis/store/keyspace"
)

func lindex(r *Read) {
	l, ok := r.list()
	if !ok {
		return
	}
	if l == nil {
		r.Reply.Null()
		return
	}
	i, ok := r.Int(2)
	if !ok {
		return
	}
	if i, ok := fromEnd(i, l.Len()); ok {
		r.Reply.Bulk(l.Index(i))
	} else {
		r.Reply.Null()
	}
}

// fromEnd turns an index, which counts from the end if it is negative, into one
// of [0, n).
func fromEnd(i int64, n int) (int, bool) {
	if i < 0 {
		i += int64(n)
	}
	return int(i), 0 <= i && i < int64(n)
}

// span reads the arguments i and i+1, the first and last index of a range that
// count from the end if they are negative.
func (c *Call) span(i int) (start, stop int64, ok bool) {
	if start, ok = c.Int(i); !ok {
		return 0, 0, false
	}
	stop, ok = c.Int(i + 1)
	return start, stop, ok
}

// clip returns where a span begins in n elements, and how many it covers.
func clip(start, stop int64, n int) (from, count int) {
	size := int64(n)
	if start < 0 {
		start = max(start+size, 0)
	}
	if stop < 0 {
		stop += size
	}
	stop = min(stop, size-1)
	if start > stop {
		return 0, 0
	}
	return int(start), int(stop - start + 1)
}

func lrange(r *Read) {
	start, stop, ok := r.span(2)
	if !ok {
		return
	}
	l, ok := r.list()
	if !ok {
		return
	}
	if l == nil {
		r.Reply.Array(0)
		return
	}
	from, count := clip(start, stop, l.Len())
	replyElements(r.Reply, l, from, count)
}

// replyElements replies an array of count elements from index from on.
func replyElements(reply Reply, l *keyspace.ListView, from, count int) {
	reply.Array(count)
	if count == 0 {
		return
	}
	for b := range l.From(from) {
		reply.Bulk(b)
		if count--; count == 0 {
			return
		}
	}
}

// lposOptions are the options of LPOS.
type lposOptions struct {
	rank   int64
	count  int64 // 0: all
	many   bool  // COUNT was given: the reply is an array
	maxlen int64 // 0: no limit
}

func (c *Call) lposOptions() (o lposOptions, ok bool) {
	o = lposOptions{rank: 1, count: 1}
	for i := 3; i < len(c.Args); i += 2 {
		if i+1 == len(c.Args) {
			c.Reply.Error(ErrSyntax)
			return o, false
		}
		switch {
		case c.Is(i, "rank"):
			if o.rank, ok = c.Int(i + 1); !ok {
				return o, false
			}
			switch o.rank {
			case 0:
				c.Reply.Error("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list")
				return o, false
			case math.MinInt64: // it has no opposite, and counts as the last match
				o.rank = -1
			}
		case c.Is(i, "count"):
			if o.count, ok = c.notNegative(i+1, "ERR COUNT can't be negative"); !ok {
				return o, false
			}
			o.many = true
		case c.Is(i, "maxlen"):
			if o.maxlen, ok = c.notNegative(i+1, "ERR MAXLEN can't be negative"); !ok {
				return o, false
			}
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// notNegative returns argument i as a number that is not negative. text is the
// error for any that is not, and for what is no number either.
func (c *Call) notNegative(i int, text string) (int64, bool) {
	n, ok := ParseInt(c.Args[i])
	if !ok || n < 0 {
		c.Reply.Error(text)
		return 0, false
	}
	return n, true
}

func lpos(r *Read) {
	o, ok := r.lposOptions()
	if !ok {
		return
	}
	l, ok := r.list()
	if !ok {
		return
	}
	var found []int64
	if l != nil {
		found = positions(l, r.Args[2], o)
	}
	switch {
	case o.many:
		r.Reply.Array(len(found))
		for _, i := range found {
			r.Reply.Int(i)
		}
	case len(found) > 0:
		r.Reply.Int(found[0])
	default:
		r.Reply.Null()
	}
}

// positions finds the elements that LPOS asks for.
func positions(l *keyspace.ListView, element []byte, o lposOptions) []int64 {
	walk, i, step, skip := l.From(0), int64(0), int64(1), o.rank-1
	if o.rank < 0 {
		walk, i, step, skip = l.Back(l.Len()-1), int64(l.Len()-1), -1, -o.rank-1
	}
	var found []int64
	looked := int64(0)
	for b := range walk {
		if o.maxlen > 0 && looked == o.maxlen {
			break
		}
		looked++
		if bytes.Equal(b, element) {
			if skip > 0 {
				skip--
			} else if found = append(found, i); int64(len(found)) == o.count {
				break
			}
		}
		i += step
	}
	return found
}
