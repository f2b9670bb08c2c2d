package command

import (
	"bytes"

	"github.com/raftredis/raftredis/store/cfloat"
	"github.com/raftredis/raftredis/store/keyspace"
)

const (
	errZRangeFloat = "ERR min or max is not a float"
	errZRangeLex   = "ERR min or max not valid string range item"
)

// zrangeBy is what the ends of a range are.
type zrangeBy uint8

const (
	zrangeByAny zrangeBy = iota // ranks, unless an option says otherwise
	zrangeByRank
	zrangeByScore
	zrangeByLex
)

// zrangeQuery is the question that ZRANGE and its many relatives ask.
type zrangeQuery struct {
	by         zrangeBy
	rev        bool
	start, end int64 // ranks
	score      keyspace.ScoreRange
	lex        keyspace.LexRange
	offset     int64
	limit      int64 // negative: none
	withScores bool
}

func zrange(r *Read)           { zrangeReply(r, zrangeByAny, false) }
func zrevrange(r *Read)        { zrangeReply(r, zrangeByRank, true) }
func zrangebyscore(r *Read)    { zrangeReply(r, zrangeByScore, false) }
func zrevrangebyscore(r *Read) { zrangeReply(r, zrangeByScore, true) }
func zrangebylex(r *Read)      { zrangeReply(r, zrangeByLex, false) }
func zrevrangebylex(r *Read)   { zrangeReply(r, zrangeByLex, true) }

func zrangeReply(r *Read, by zrangeBy, rev bool) {
	q := zrangeQuery{by: by, rev: rev, limit: -1}
	if !q.parse(&r.Call, 1, by == zrangeByAny, false) {
		return
	}
	z, ok := r.zset()
	switch {
	case !ok:
	case z == nil:
		r.Reply.Array(0)
	default:
		lo, hi := q.span(z)
		zmembersReply(r.Reply, z, lo, hi, q.rev, q.withScores)
	}
}

// zmembersReply replies the members of ranks [lo, hi), in RESP3 each with its
// score in an array of its own.
func zmembersReply(reply Reply, z *keyspace.ZSetView, lo, hi int, rev, withScores bool) {
	zpairsReply(reply, hi-lo, withScores)
	nested := withScores && reply.RESP3()
	z.Range(lo, hi, rev, func(member []byte, score float64) bool {
		if nested {
			reply.Array(2)
		}
		reply.Bulk(member)
		if withScores {
			reply.Double(score)
		}
		return true
	})
}

// zpairsReply begins the array for n members.
func zpairsReply(reply Reply, n int, withScores bool) {
	if withScores && !reply.RESP3() {
		n *= 2
	}
	reply.Array(n)
}

func zrangestore(w *Write) {
	q := zrangeQuery{limit: -1}
	if !q.parse(&w.Call, 2, true, true) {
		return
	}
	z, err := w.DB.ZSetAt(w.Args[2])
	if err != nil {
		w.Fail(err)
		return
	}
	var members []keyspace.Member
	if z != nil {
		lo, hi := q.span(z)
		members = make([]keyspace.Member, 0, hi-lo)
		z.Range(lo, hi, false, func(member []byte, score float64) bool {
			members = append(members, keyspace.Member{Name: member, Score: score})
			return true
		})
	}
	zstore(w, w.Args[1], members, "zrangestore")
}

// zstore makes dst the set of members, deletes it if there are none, tells of it and
// replies how many there are.
func zstore(w *Write, dst []byte, members []keyspace.Member, event string) {
	if len(members) == 0 {
		w.remove(dst)
	} else {
		w.DB.SetObject(dst, keyspace.NewZSet(members, w.DB.Limits()), 0)
		w.event(keyspace.EventZSet, event, dst)
	}
	w.Reply.Int(int64(len(members)))
}

// parse reads the query of which the key is at argument key. any allows the
// options that say what the ends are, store forbids WITHSCORES. If it answers
// false it has replied an error.
func (q *zrangeQuery) parse(c *Call, key int, any, store bool) bool {
	for i := key + 3; i < len(c.Args); i++ {
		switch {
		case !store && c.Is(i, "withscores"):
			q.withScores = true
		case c.Is(i, "limit") && i+2 < len(c.Args):
			var ok bool
			if q.offset, ok = c.Int(i + 1); !ok {
				return false
			}
			if q.limit, ok = c.Int(i + 2); !ok {
				return false
			}
			i += 2
		case any && !q.rev && c.Is(i, "rev"):
			q.rev = true
		case q.by == zrangeByAny && c.Is(i, "bylex"):
			q.by = zrangeByLex
		case q.by == zrangeByAny && c.Is(i, "byscore"):
			q.by = zrangeByScore
		default:
			c.Reply.Error(ErrSyntax)
			return false
		}
	}
	if q.by == zrangeByAny {
		q.by = zrangeByRank
	}
	switch {
	case q.limit != -1 && q.by == zrangeByRank:
		c.Reply.Error("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
		return false
	case q.withScores && q.by == zrangeByLex:
		c.Reply.Error("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
		return false
	case q.rev && q.by != zrangeByRank:
		return q.parseEnds(c, key+2, key+1)
	default:
		return q.parseEnds(c, key+1, key+2)
	}
}

// parseEnds reads the ends of the range at arguments lo and hi.
func (q *zrangeQuery) parseEnds(c *Call, lo, hi int) (ok bool) {
	switch q.by {
	case zrangeByScore:
		if !parseScoreRange(c.Args[lo], c.Args[hi], &q.score) {
			c.Reply.Error(errZRangeFloat)
			return false
		}
	case zrangeByLex:
		if !parseLexBound(c.Args[lo], &q.lex.Min) || !parseLexBound(c.Args[hi], &q.lex.Max) {
			c.Reply.Error(errZRangeLex)
			return false
		}
	default:
		if q.start, ok = c.Int(lo); !ok {
			return false
		}
		if q.end, ok = c.Int(hi); !ok {
			return false
		}
	}
	return true
}

// span returns the ranks [lo, hi) that the query asks for.
func (q *zrangeQuery) span(z *keyspace.ZSetView) (lo, hi int) {
	n := z.Len()
	switch q.by {
	case zrangeByRank:
		return q.rankSpan(int64(n))
	case zrangeByScore:
		lo, hi = z.ScoreSpan(q.score)
	case zrangeByLex:
		lo, hi = z.LexSpan(q.lex, q.rev)
	}
	// A negative offset is beyond everything.
	if q.offset < 0 || q.offset >= int64(hi-lo) {
		return lo, lo
	}
	skip, take := int(q.offset), hi-lo-int(q.offset)
	if q.limit >= 0 {
		take = int(min(q.limit, int64(take)))
	}
	if q.rev {
		hi -= skip
		return hi - take, hi
	}
	lo += skip
	return lo, lo + take
}

func (q *zrangeQuery) rankSpan(n int64) (lo, hi int) {
	start, end := q.start, q.end
	if start < 0 {
		start = max(n+start, 0)
	}
	if end < 0 {
		end += n
	}
	if start > end || start >= n {
		return 0, 0
	}
	end = min(end, n-1)
	if q.rev {
		return int(n - 1 - end), int(n - start)
	}
	return int(start), int(end + 1)
}

// parseScoreRange reads an interval such as (1.5 +inf.
func parseScoreRange(lo, hi []byte, r *keyspace.ScoreRange) bool {
	var ok bool
	if r.Min, r.MinEx, ok = parseScoreBound(lo); !ok {
		return false
	}
	r.Max, r.MaxEx, ok = parseScoreBound(hi)
	return ok
}

// parseScoreBound reads one end as Redis does with a bare strtod: it is more
// lenient than ParseFloat. Blanks may come first, what is too big is infinite,
// nothing at all is zero, and a zero byte ends the number.
func parseScoreBound(b []byte) (f float64, exclusive, ok bool) {
	if len(b) > 0 && b[0] == '(' {
		exclusive, b = true, b[1:]
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	if len(b) == 0 {
		return 0, exclusive, true
	}
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	f, _, ok = cfloat.ParseDouble(b)
	return f, exclusive && ok, ok
}

// parseLexBound reads one end of an interval of members: [a, (a, - or +.
func parseLexBound(b []byte, bound *keyspace.LexBound) bool {
	if len(b) == 0 {
		return false
	}
	switch b[0] {
	case '-', '+':
		*bound = keyspace.LexBound{Inf: 1}
		if b[0] == '-' {
			bound.Inf = -1
		}
		return len(b) == 1 || b[1] == 0
	case '[', '(':
		*bound = keyspace.LexBound{Value: b[1:], Ex: b[0] == '('}
		return true
	default:
		return false
	}
}

func zcount(r *Read)    { zcountSpan(r, zrangeByScore) }
func zlexcount(r *Read) { zcountSpan(r, zrangeByLex) }

func zcountSpan(r *Read, by zrangeBy) {
	q := zrangeQuery{by: by, limit: -1}
	if !q.parseEnds(&r.Call, 2, 3) {
		return
	}
	z, ok := r.zset()
	switch {
	case !ok:
	case z == nil:
		r.Reply.Int(0)
	default:
		lo, hi := q.span(z)
		r.Reply.Int(int64(hi - lo))
	}
}
