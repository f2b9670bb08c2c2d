package command

import "github.com/raftredis/raftredis/store/keyspace"

// set returns the set at argument 1, nil if there is none. If the key is of
// another type, set has written the error and ok is false.
func (r *Read) set() (s *keyspace.SetView, ok bool) {
	s, err := r.DB.SetAt(r.Args[1])
	if err != nil {
		r.Fail(err)
	}
	return s, err == nil
}

func scard(r *Read) {
	s, ok := r.set()
	switch {
	case !ok:
	case s == nil:
		r.Reply.Int(0)
	default:
		r.Reply.Int(int64(s.Len()))
	}
}

func sismember(r *Read) {
	if s, ok := r.set(); ok {
		r.IntBool(s != nil && s.Has(r.Args[2]))
	}
}

func smismember(r *Read) {
	s, ok := r.set()
	if !ok {
		return
	}
	r.Reply.Array(len(r.Args) - 2)
	for _, member := range r.Args[2:] {
		r.IntBool(s != nil && s.Has(member))
	}
}

func smembers(r *Read) {
	if s, ok := r.set(); ok {
		replySet(r.Reply, s)
	}
}

// replySet replies all members of s, which may be nil.
func replySet(reply Reply, s *keyspace.SetView) {
	if s == nil {
		reply.Set(0)
		return
	}
	reply.Set(s.Len())
	for member := range s.All() {
		reply.Bulk(member)
	}
}

func sscan(r *Read) {
	cursor, ok := ParseCursor(&r.Call, 2)
	if !ok {
		return
	}
	s, ok := r.set()
	if !ok {
		return
	}
	if s == nil {
		replyScan(r.Reply, 0, nil)
		return
	}
	o, ok := ParseScan(&r.Call, 3, false)
	if !ok {
		return
	}
	var found [][]byte
	next := s.Scan(cursor, o.Count, func(member []byte) {
		if o.wants(member) {
			// The members of an intset are printed into one and the same place.
			found = append(found, append([]byte(nil), member...))
		}
	})
	replyScan(r.Reply, next, found)
}
