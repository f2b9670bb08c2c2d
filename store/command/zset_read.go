package command

func zscore(r *Read) {
	z, ok := r.zset()
	if !ok {
		return
	}
	if z != nil {
		if score, ok := z.Score(r.Args[2]); ok {
			r.Reply.Double(score)
			return
		}
	}
	r.Reply.Null()
}

func zmscore(r *Read) { eachScore(r, r.Reply.Null, r.Reply.Double) }

// eachScore replies an array with something for each member that is an argument.
func eachScore(r *Read, missing func(), found func(score float64)) {
	z, ok := r.zset()
	if !ok {
		return
	}
	r.Reply.Array(len(r.Args) - 2)
	for _, member := range r.Args[2:] {
		if z != nil {
			if score, ok := z.Score(member); ok {
				found(score)
				continue
			}
		}
		missing()
	}
}

func zrank(r *Read)    { zrankReply(r, false) }
func zrevrank(r *Read) { zrankReply(r, true) }

func zrankReply(r *Read, rev bool) {
	z, ok := r.zset()
	if !ok {
		return
	}
	if z != nil {
		if rank, ok := z.Rank(r.Args[2]); ok {
			if rev {
				rank = z.Len() - 1 - rank
			}
			r.Reply.Int(int64(rank))
			return
		}
	}
	r.Reply.Null()
}
