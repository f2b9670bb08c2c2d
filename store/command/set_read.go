package command

import "github.com/raftredis/raftredis/store/keyspace"

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
