package command

import (
	"math"

	"github.com/raftredis/raftredis/store/keyspace"
)

// maxRandomMembers bounds how often ZRANDMEMBER may repeat itself in one reply.
// Redis has no such bound, and goes on until the client or its memory is gone.
const maxRandomMembers = 1 << 24

func zrandmember(r *Read) {
	key := r.Args[1]
	if len(r.Args) == 2 {
		z, err := r.DB.ZSetAt(key)
		switch {
		case err != nil:
			r.Fail(err)
		case z == nil:
			r.Reply.Null()
		default:
			member, _ := z.At(r.Rand.Intn(z.Len()))
			r.Reply.Bulk(member)
		}
		return
	}
	count, ok := r.Int(2)
	if !ok {
		return
	}
	if count == math.MinInt64 {
		r.Reply.Error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
		return
	}
	withScores := len(r.Args) == 4 && r.Is(3, "withscores")
	switch {
	case len(r.Args) > 4 || len(r.Args) == 4 && !withScores:
		r.Reply.Error(ErrSyntax)
		return
	case withScores && (count < -math.MaxInt64/2 || count > math.MaxInt64/2), count < -maxRandomMembers:
		r.Reply.Error("ERR value is out of range")
		return
	}
	z, err := r.DB.ZSetAt(key)
	switch {
	case err != nil:
		r.Fail(err)
	case z == nil || count == 0:
		r.Reply.Array(0)
	case count >= int64(z.Len()) && count > 1:
		// Redis lists a whole set from its end.
		zmembersReply(r.Reply, z, 0, z.Len(), true, withScores)
	default:
		zrandomReply(r, z, count, withScores)
	}
}

// zrandomReply replies count distinct members, or -count of any.
func zrandomReply(r *Read, z *keyspace.ZSetView, count int64, withScores bool) {
	n, size := int(max(count, -count)), z.Len()
	zpairsReply(r.Reply, n, withScores)
	emit := func(i int) {
		member, score := z.At(i)
		if withScores && r.Reply.RESP3() {
			r.Reply.Array(2)
		}
		r.Reply.Bulk(member)
		if withScores {
			r.Reply.Double(score)
		}
	}
	switch {
	case count < 0:
		for range n {
			emit(r.Rand.Intn(size))
		}
	case n > size/3:
		order := make([]int, size)
		for i := range order {
			order[i] = i
		}
		for i := range n {
			j := i + r.Rand.Intn(size-i)
			order[i], order[j] = order[j], order[i]
			emit(order[i])
		}
	default:
		seen := make(map[int]bool, n)
		for len(seen) < n {
			if i := r.Rand.Intn(size); !seen[i] {
				seen[i] = true
				emit(i)
			}
		}
	}
}
