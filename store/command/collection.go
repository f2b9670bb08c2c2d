package command

import "github.com/raftredis/raftredis/store/keyspace"

// What the commands of lists, hashes, sets, sorted sets and streams have in common.

// valueAt returns the value at argument 1, nil if there is none. If the key is of
// another type, it has written the error and ok is false.
func valueAt[V any](r *Read, at func(key []byte) (*V, error)) (v *V, ok bool) {
	v, err := at(r.Args[1])
	if err != nil {
		r.Fail(err)
	}
	return v, err == nil
}

// list and so on are valueAt for a type.
func (r *Read) list() (*keyspace.ListView, bool)     { return valueAt(r, r.DB.ListAt) }
func (r *Read) hash() (*keyspace.HashView, bool)     { return valueAt(r, r.DB.HashAt) }
func (r *Read) set() (*keyspace.SetView, bool)       { return valueAt(r, r.DB.SetAt) }
func (r *Read) zset() (*keyspace.ZSetView, bool)     { return valueAt(r, r.DB.ZSetAt) }
func (r *Read) stream() (*keyspace.StreamView, bool) { return valueAt(r, r.DB.StreamAt) }

// none replies that nothing was added, set or removed. It is for a Spec's Unchanged, and
// true.
func (r *Read) none() bool {
	r.Reply.Int(0)
	return true
}

// lacks reports whether a collection has none of the members, or fields. get looks one up.
func lacks[V any](get func(member []byte) (V, bool), members [][]byte) bool {
	for _, member := range members {
		if _, there := get(member); there {
			return false
		}
	}
	return true
}

// replyLen replies the number of elements of what is at argument 1.
func replyLen[V any, P interface {
	*V
	Len() int
}](r *Read, at func(key []byte) (P, error)) {
	v, err := at(r.Args[1])
	switch {
	case err != nil:
		r.Fail(err)
	case v == nil:
		r.Reply.Int(0)
	default:
		r.Reply.Int(int64(v.Len()))
	}
}

func llen(r *Read)  { replyLen(r, r.DB.ListAt) }
func hlen(r *Read)  { replyLen(r, r.DB.HashAt) }
func scard(r *Read) { replyLen(r, r.DB.SetAt) }
func zcard(r *Read) { replyLen(r, r.DB.ZSetAt) }
func xlen(r *Read)  { replyLen(r, r.DB.StreamAt) }
