package command

import (
	"math"

	"github.com/raftredis/raftredis/store/keyspace"
)

const errZAddNaN = "ERR resulting score is not a number (NaN)"

// zaddOptions are the words that may stand before ZADD's scores.
type zaddOptions struct {
	nx, xx, gt, lt, ch, incr bool
}

// parse reads the options from argument i on and returns where they end.
func (o *zaddOptions) parse(c *Call, i int) int {
	for ; i < len(c.Args); i++ {
		switch {
		case c.Is(i, "nx"):
			o.nx = true
		case c.Is(i, "xx"):
			o.xx = true
		case c.Is(i, "ch"):
			o.ch = true
		case c.Is(i, "incr"):
			o.incr = true
		case c.Is(i, "gt"):
			o.gt = true
		case c.Is(i, "lt"):
			o.lt = true
		default:
			return i
		}
	}
	return i
}

func zadd(w *Write) {
	var opt zaddOptions
	zaddGeneric(w, opt.parse(&w.Call, 2), opt)
}

func zincrby(w *Write) {
	opt := zaddOptions{incr: true}
	zaddGeneric(w, opt.parse(&w.Call, 2), opt)
}

// zaddGeneric is what follows the options: scores and members from argument
// first on.
func zaddGeneric(w *Write, first int, opt zaddOptions) {
	pairs := w.Args[first:]
	switch {
	case len(pairs) == 0 || len(pairs)%2 != 0:
		w.Reply.Error(ErrSyntax)
		return
	case opt.nx && opt.xx:
		w.Reply.Error("ERR XX and NX options at the same time are not compatible")
		return
	case opt.gt && opt.nx || opt.lt && opt.nx || opt.gt && opt.lt:
		w.Reply.Error("ERR GT, LT, and/or NX options at the same time are not compatible")
		return
	case opt.incr && len(pairs) > 2:
		w.Reply.Error("ERR INCR option supports a single increment-element pair")
		return
	}
	var room [8]keyspace.Member
	members := room[:0]
	for i := range len(pairs) / 2 {
		score, ok := w.Float(first + 2*i)
		if !ok {
			return
		}
		members = append(members, keyspace.Member{Name: pairs[2*i+1], Score: score})
	}
	zaddMembers(w, members, opt)
}

// zaddMembers does what ZADD does once its arguments are understood. Nothing is
// touched, and no empty set created, before the first change is certain.
func zaddMembers(w *Write, members []keyspace.Member, opt zaddOptions) {
	key := w.Args[1]
	z, err := w.DB.ZSetAt(key)
	if err != nil {
		w.Fail(err)
		return
	}
	var (
		live           *keyspace.ZSetObject // nil until the first change
		added, updated int64
		processed      bool
		score          float64
	)
	for _, m := range members {
		var cur float64
		exists := false
		if z != nil {
			cur, exists = z.Score(m.Name)
		}
		if exists && opt.nx || !exists && opt.xx {
			continue
		}
		next := m.Score
		if exists && opt.incr {
			if next += cur; math.IsNaN(next) {
				w.Reply.Error(errZAddNaN)
				return
			}
		}
		if exists && (opt.lt && next >= cur || opt.gt && next <= cur) {
			continue
		}
		processed, score = true, next
		switch {
		case !exists:
			added++
		case next != cur:
			updated++
		default:
			continue
		}
		if live == nil {
			if live, err = w.DB.ZSetForUpdate(key, true); err != nil {
				w.Fail(err)
				return
			}
			z = &live.ZSetView
		}
		live.Put(m.Name, next, w.DB.Limits())
	}
	switch {
	case live == nil:
	case opt.incr:
		w.event(keyspace.EventZSet, "zincr", key)
	default:
		w.event(keyspace.EventZSet, "zadd", key)
	}
	switch {
	case opt.incr && processed:
		w.Reply.Double(score)
	case opt.incr:
		w.Reply.Null()
	case opt.ch:
		w.Reply.Int(added + updated)
	default:
		w.Reply.Int(added)
	}
}

func zrem(w *Write) {
	key := w.Args[1]
	z, err := w.DB.ZSetAt(key)
	if err != nil {
		w.Fail(err)
		return
	}
	var live *keyspace.ZSetObject
	removed := int64(0)
	for _, member := range w.Args[2:] {
		if z == nil || z.Len() == 0 {
			break
		}
		if live == nil {
			if _, ok := z.Score(member); !ok {
				continue
			}
			if live, err = w.DB.ZSetForUpdate(key, false); err != nil {
				w.Fail(err)
				return
			}
			z = &live.ZSetView
		}
		if live.Remove(member) {
			removed++
		}
	}
	if live != nil {
		w.event(keyspace.EventZSet, "zrem", key)
		if live.Len() == 0 {
			w.remove(key)
		}
	}
	w.Reply.Int(removed)
}

func zremrangebyrank(w *Write)  { zremrange(w, zrangeByRank, "zremrangebyrank") }
func zremrangebyscore(w *Write) { zremrange(w, zrangeByScore, "zremrangebyscore") }
func zremrangebylex(w *Write)   { zremrange(w, zrangeByLex, "zremrangebylex") }

func zremrange(w *Write, by zrangeBy, event string) {
	q := zrangeQuery{by: by, limit: -1}
	if !q.parseEnds(&w.Call, 2, 3) {
		return
	}
	key := w.Args[1]
	z, err := w.DB.ZSetAt(key)
	if err != nil {
		w.Fail(err)
		return
	}
	if z == nil {
		w.Reply.Int(0)
		return
	}
	lo, hi := q.span(z)
	zremoveSpan(w, key, z, lo, hi, event)
	w.Reply.Int(int64(hi - lo))
}

// zremoveSpan removes the members of ranks [lo, hi) of z, which is at key, and tells
// of it. A set that would be empty goes without being taken apart.
func zremoveSpan(w *Write, key []byte, z *keyspace.ZSetView, lo, hi int, event string) {
	switch {
	case lo == hi:
	case hi-lo == z.Len():
		w.event(keyspace.EventZSet, event, key)
		w.remove(key)
	default:
		if live, err := w.DB.ZSetForUpdate(key, false); err == nil { // its type is known
			live.RemoveRange(lo, hi)
			w.event(keyspace.EventZSet, event, key)
		}
	}
}
