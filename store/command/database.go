package command

import "github.com/raftredis/raftredis/store/keyspace"

func databaseSpecs() []*Spec {
	return []*Spec{
		{
			Name: "dbsize", Arity: 1, Group: "server", Since: "1.0.0",
			Flags:      Fast,
			ACL:        "keyspace",
			Tips:       "request_policy:all_shards response_policy:agg_sum",
			Complexity: "O(1)",
			Summary:    "Return the number of keys in the selected database",
			Read:       dbsize,
		},
		{
			Name: "flushdb", Arity: -1, Group: "server", Since: "1.0.0",
			Flags:      Dangerous,
			ACL:        "keyspace",
			Tips:       "request_policy:all_shards response_policy:all_succeeded",
			Complexity: "O(N) where N is the number of keys in the selected database",
			Summary:    "Remove all keys from the current database",
			Syntax:     "[ASYNC | SYNC]",
			Write:      flushdb,
		},
		{
			Name: "flushall", Arity: -1, Group: "server", Since: "1.0.0",
			Flags:      Dangerous,
			ACL:        "keyspace",
			Tips:       "request_policy:all_shards response_policy:all_succeeded",
			Complexity: "O(N) where N is the total number of keys in all databases",
			Summary:    "Remove all keys from all databases",
			Syntax:     "[ASYNC | SYNC]",
			Write:      flushall,
		},
		{
			Name: "swapdb", Arity: 3, Group: "server", Since: "4.0.0",
			Flags:      Fast | Dangerous,
			ACL:        "keyspace",
			Complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases.",
			Summary:    "Swaps two Redis databases",
			Syntax:     "index1 index2",
			Write:      swapdb,
		},
	}
}

func dbsize(r *Read) { r.Reply.Int(int64(r.DB.Len())) }

// flushMode accepts ASYNC and SYNC, which are the same here: a flush drops the
// database as a whole, and the garbage collector takes it apart.
func flushMode(w *Write) bool {
	if len(w.Args) == 1 || len(w.Args) == 2 && (w.Is(1, "async") || w.Is(1, "sync")) {
		return true
	}
	w.Reply.Error(ErrSyntax)
	return false
}

func flushdb(w *Write) {
	if flushMode(w) {
		w.DB.Flush()
		w.OK()
	}
}

func flushall(w *Write) {
	if !flushMode(w) {
		return
	}
	for i := range keyspace.Databases {
		db := w.Space.DB(i)
		db.Flush()
	}
	w.OK()
}

func swapdb(w *Write) {
	const lo, hi = -1 << 31, 1<<31 - 1
	a, ok := ParseInt(w.Args[1])
	if !ok || a < lo || a > hi {
		w.Reply.Error("ERR invalid first DB index")
		return
	}
	b, ok := ParseInt(w.Args[2])
	switch {
	case !ok || b < lo || b > hi:
		w.Reply.Error("ERR invalid second DB index")
	case a < 0 || a >= keyspace.Databases || b < 0 || b >= keyspace.Databases:
		w.Reply.Error(ErrDBIndex)
	default:
		if a != b {
			w.Space.Swap(int(a), int(b))
		}
		w.OK()
	}
}
