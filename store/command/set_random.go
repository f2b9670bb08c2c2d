package command

import "github.com/raftredis/raftredis/store/keyspace"

func srandmember(r *Read) {
	if len(r.Args) > 3 {
		r.Reply.Error(ErrSyntax)
		return
	}
	if len(r.Args) == 2 {
		s, ok := r.set()
		switch {
		case !ok:
		case s == nil:
			r.Reply.Null()
		default:
			r.Reply.Bulk(s.At(r.Rand.Intn(s.Len())))
		}
		return
	}
	count, _, ok := r.randomCount("")
	if !ok {
		return
	}
	s, ok := r.set()
	if !ok {
		return
	}
	if s == nil || count == 0 {
		r.Reply.Array(0)
		return
	}
	n := s.Len()
	if count >= int64(n) {
		r.Reply.Array(n)
		for member := range s.All() {
			r.Reply.Bulk(member)
		}
		return
	}
	r.Reply.Array(int(max(count, -count)))
	draw(r.Rand, n, count, func(i int) { r.Reply.Bulk(s.At(i)) })
}

func spop(w *Write) {
	if len(w.Args) > 3 {
		w.Reply.Error(ErrSyntax)
		return
	}
	many, count := len(w.Args) == 3, int64(1)
	if many {
		var ok bool
		if count, ok = w.notNegative(2, errNotPositive); !ok {
			return
		}
	}
	view, ok := w.View().set()
	if !many || view == nil || count == 0 || count < int64(view.Len()) {
		w.DB.Lookups = keyspace.Lookups{} // Redis looks up for writing, but for taking all of a set
	}
	switch {
	case !ok:
	case view == nil && !many:
		w.Reply.Null()
	case view == nil || count == 0:
		w.Reply.Set(0)
	case many && count >= int64(view.Len()):
		replySet(w.Reply, view)
		w.event(keyspace.EventSet, "spop", w.Args[1])
		w.remove(w.Args[1])
	default:
		if many {
			w.Reply.Set(int(count))
		}
		popMembers(w, int(count))
	}
}

// popMembers removes count members, fewer than there are or the only one, and
// replies each.
func popMembers(w *Write, count int) {
	s, err := w.DB.SetForUpdate(w.Args[1], false)
	if err != nil {
		w.Fail(err)
		return
	}
	rest := s.Len() - count
	for range count {
		i := w.Rand.Intn(s.Len())
		w.Reply.Bulk(s.At(i))
		s.RemoveAt(i)
	}
	w.event(keyspace.EventSet, "spop", w.Args[1])
	if rest == 0 {
		w.remove(w.Args[1])
		return
	}
	// When little is left Redis makes a new set of that, which may change its form.
	const little = 5
	if rest*little <= count {
		fresh := &keyspace.SetObject{}
		for member := range s.All() {
			fresh.Add(member, w.DB.Limits())
		}
		w.DB.SetObject(w.Args[1], fresh, keyspace.KeepTTL)
	}
}
