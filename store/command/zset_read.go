package command

func zcard(r *Read) {
	z, err := r.DB.ZSetAt(r.Args[1])
	switch {
	case err != nil:
		r.Fail(err)
	case z == nil:
		r.Reply.Int(0)
	default:
		r.Reply.Int(int64(z.Len()))
	}
}

func zscore(r *Read) {
	z, err := r.DB.ZSetAt(r.Args[1])
	if err != nil {
		r.Fail(err)
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

func zmscore(r *Read) {
	z, err := r.DB.ZSetAt(r.Args[1])
	if err != nil {
		r.Fail(err)
		return
	}
	r.Reply.Array(len(r.Args) - 2)
	for _, member := range r.Args[2:] {
		if z != nil {
			if score, ok := z.Score(member); ok {
				r.Reply.Double(score)
				continue
			}
		}
		r.Reply.Null()
	}
}

func zrank(r *Read)    { zrankReply(r, false) }
func zrevrank(r *Read) { zrankReply(r, true) }

func zrankReply(r *Read, rev bool) {
	z, err := r.DB.ZSetAt(r.Args[1])
	if err != nil {
		r.Fail(err)
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
