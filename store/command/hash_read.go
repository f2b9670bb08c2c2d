package command

import "github.com/raftredis/raftredis/store/keyspace"

// replyField replies the value of a field of h, which may be nil.
func replyField(reply Reply, h *keyspace.HashView, field []byte) {
	if h != nil {
		if value, ok := h.Get(field); ok {
			reply.Bulk(value)
			return
		}
	}
	reply.Null()
}

func hget(r *Read) {
	if h, ok := r.hash(); ok {
		replyField(r.Reply, h, r.Args[2])
	}
}

func hmget(r *Read) {
	h, ok := r.hash()
	if !ok {
		return
	}
	r.Reply.Array(len(r.Args) - 2)
	for _, field := range r.Args[2:] {
		replyField(r.Reply, h, field)
	}
}

func hstrlen(r *Read) {
	h, ok := r.hash()
	if !ok {
		return
	}
	var value []byte
	if h != nil {
		value, _ = h.Get(r.Args[2])
	}
	r.Reply.Int(int64(len(value)))
}

func hexists(r *Read) {
	h, ok := r.hash()
	if !ok {
		return
	}
	there := false
	if h != nil {
		_, there = h.Get(r.Args[2])
	}
	r.IntBool(there)
}

func hgetall(r *Read) {
	h, ok := r.hash()
	switch {
	case !ok:
	case h == nil:
		r.Reply.Map(0)
	default:
		r.Reply.Map(h.Len())
		for field, value := range h.All() {
			r.Reply.Bulk(field)
			r.Reply.Bulk(value)
		}
	}
}

func hkeys(r *Read) { replyFields(r, func(field, _ []byte) []byte { return field }) }
func hvals(r *Read) { replyFields(r, func(_, value []byte) []byte { return value }) }

// replyFields replies one half of each field.
func replyFields(r *Read, half func(field, value []byte) []byte) {
	h, ok := r.hash()
	switch {
	case !ok:
	case h == nil:
		r.Reply.Array(0)
	default:
		r.Reply.Array(h.Len())
		for field, value := range h.All() {
			r.Reply.Bulk(half(field, value))
		}
	}
}
