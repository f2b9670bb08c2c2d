package command

import "github.com/raftredis/raftredis/store/keyspace"

// hash returns the hash at argument 1, nil if there is none. If the key is of
// another type, hash has written the error and ok is false.
func (r *Read) hash() (h *keyspace.HashView, ok bool) {
	h, err := r.DB.HashAt(r.Args[1])
	if err != nil {
		r.Fail(err)
	}
	return h, err == nil
}

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

func hlen(r *Read) {
	h, ok := r.hash()
	switch {
	case !ok:
	case h == nil:
		r.Reply.Int(0)
	default:
		r.Reply.Int(int64(h.Len()))
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

func hkeys(r *Read) {
	h, ok := r.hash()
	switch {
	case !ok:
	case h == nil:
		r.Reply.Array(0)
	default:
		r.Reply.Array(h.Len())
		for field := range h.All() {
			r.Reply.Bulk(field)
		}
	}
}

func hvals(r *Read) {
	h, ok := r.hash()
	switch {
	case !ok:
	case h == nil:
		r.Reply.Array(0)
	default:
		r.Reply.Array(h.Len())
		for _, value := range h.All() {
			r.Reply.Bulk(value)
		}
	}
}

func hscan(r *Read) {
	cursor, ok := ParseCursor(&r.Call, 2)
	if !ok {
		return
	}
	h, ok := r.hash()
	if !ok {
		return
	}
	if h == nil {
		replyScan(r.Reply, 0, nil)
		return
	}
	o, ok := ParseScan(&r.Call, 3, false)
	if !ok {
		return
	}
	var found [][]byte
	next := h.Scan(cursor, o.Count, func(field, value []byte) {
		if o.wants(field) {
			found = append(found, field, value)
		}
	})
	replyScan(r.Reply, next, found)
}
