package command

import "github.com/raftredis/raftredis/store/keyspace"

func zrandmember(r *Read) {
	if len(r.Args) == 2 {
		z, ok := r.zset()
		switch {
		case !ok:
		case z == nil:
			r.Reply.Null()
		default:
			member, _ := z.At(r.Rand.Intn(z.Len()))
			r.Reply.Bulk(member)
		}
		return
	}
	count, withScores, ok := r.randomCount("withscores")
	if !ok {
		return
	}
	z, ok := r.zset()
	switch {
	case !ok:
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
	zpairsReply(r.Reply, int(max(count, -count)), withScores)
	draw(r.Rand, z.Len(), count, func(i int) {
		member, score := z.At(i)
		if withScores && r.Reply.RESP3() {
			r.Reply.Array(2)
		}
		r.Reply.Bulk(member)
		if withScores {
			r.Reply.Double(score)
		}
	})
}
