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

// refused returns the error that ZADD ends with for its options, followed by so many
// arguments, "" if there is none.
func (o *zaddOptions) refused(args int) string {
	switch {
	case args == 0 || args%2 != 0:
		return ErrSyntax
	case o.nx && o.xx:
		return "ERR XX and NX options at the same time are not compatible"
	case o.gt && o.nx || o.lt && o.nx || o.gt && o.lt:
		return "ERR GT, LT, and/or NX options at the same time are not compatible"
	case o.incr && args > 2:
		return "ERR INCR option supports a single increment-element pair"
	}
	return ""
}

// zaddGeneric is what follows the options: scores and members from argument
// first on.
func zaddGeneric(w *Write, first int, opt zaddOptions) {
	pairs := w.Args[first:]
	if err := opt.refused(len(pairs)); err != "" {
		w.Reply.Error(err)
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

// zaddDone is what has become of the members so far.
type zaddDone struct {
	added, updated int64
	processed      bool
	score          float64 // of the last one that was processed
}

// take takes in a member of z, which may be nil, and reports whether it has to be put
// there with d.score. nan says that its score would be none.
func (d *zaddDone) take(z *keyspace.ZSetView, m keyspace.Member, opt *zaddOptions) (put, nan bool) {
	var cur float64
	exists := false
	if z != nil {
		cur, exists = z.Score(m.Name)
	}
	if exists && opt.nx || !exists && opt.xx {
		return false, false
	}
	next := m.Score
	if exists && opt.incr {
		if next += cur; math.IsNaN(next) {
			return false, true
		}
	}
	if exists && (opt.lt && next >= cur || opt.gt && next <= cur) {
		return false, false
	}
	d.processed, d.score = true, next
	switch {
	case !exists:
		d.added++
	case next != cur:
		d.updated++
	default:
		return false, false
	}
	return true, false
}

func (d *zaddDone) reply(r Reply, opt *zaddOptions) {
	switch {
	case opt.incr && d.processed:
		r.Double(d.score)
	case opt.incr:
		r.Null()
	case opt.ch:
		r.Int(d.added + d.updated)
	default:
		r.Int(d.added)
	}
}

func zaddUnchanged(r *Read) bool    { return zaddNothing(r, zaddOptions{}) }
func zincrbyUnchanged(r *Read) bool { return zaddNothing(r, zaddOptions{incr: true}) }

// zaddNothing is zaddGeneric where all members are as they are to be, or the options
// leave them alone.
func zaddNothing(r *Read, opt zaddOptions) bool {
	pairs := r.Args[opt.parse(&r.Call, 2):]
	if opt.refused(len(pairs)) != "" {
		return false
	}
	z, err := r.DB.ZSetAt(r.Args[1])
	if err != nil || z == nil {
		return false
	}
	var done zaddDone
	for i := 0; i < len(pairs); i += 2 {
		score, ok := ParseFloat(pairs[i])
		if !ok {
			return false
		}
		if put, nan := done.take(z, keyspace.Member{Name: pairs[i+1], Score: score}, &opt); put || nan {
			return false
		}
	}
	done.reply(r.Reply, &opt)
	return true
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
		live *keyspace.ZSetObject // nil until the first change
		done zaddDone
	)
	for _, m := range members {
		put, nan := done.take(z, m, &opt)
		if nan {
			w.Reply.Error(errZAddNaN)
			return
		}
		if !put {
			continue
		}
		if live == nil {
			if live, err = w.DB.ZSetForUpdate(key, true); err != nil {
				w.Fail(err)
				return
			}
			z = &live.ZSetView
		}
		live.Put(m.Name, done.score, w.DB.Limits())
	}
	switch {
	case live == nil:
	case opt.incr:
		w.event(keyspace.EventZSet, "zincr", key)
	default:
		w.event(keyspace.EventZSet, "zadd", key)
	}
	done.reply(w.Reply, &opt)
}

// zremUnchanged is zrem where no member is there.
func zremUnchanged(r *Read) bool {
	z, err := r.DB.ZSetAt(r.Args[1])
	return err == nil && z != nil && lacks(z.Score, r.Args[2:]) && r.none()
}

func zrem(w *Write) {
	view, ok := w.View().zset()
	if !ok {
		return
	}
	if view == nil || lacks(view.Score, w.Args[2:]) {
		w.Reply.Int(0)
		return
	}
	z, err := w.DB.ZSetForUpdate(w.Args[1], false)
	if err != nil {
		w.Fail(err)
		return
	}
	removed := 0
	for _, member := range w.Args[2:] {
		if z.Remove(member) {
			removed++
		}
	}
	w.event(keyspace.EventZSet, "zrem", w.Args[1])
	if z.Len() == 0 {
		w.remove(w.Args[1])
	}
	w.Reply.Int(int64(removed))
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
