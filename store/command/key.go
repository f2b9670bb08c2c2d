package command

import (
	"slices"

	"github.com/raftredis/raftredis/store/keyspace"
)

// Generic returns the commands about keys, whatever their values are: Redis's
// group "generic", and those of "server" that are about data.
func Generic() []*Spec {
	return slices.Concat(keySpecs(), databaseSpecs(), expireSpecs(), scanSpecs(), objectSpecs())
}

func keySpecs() []*Spec {
	return []*Spec{
		{
			Name: "del", Arity: -2, Group: "generic", Since: "1.0.0",
			Keys:       All(1, 1, "RM DELETE"),
			Tips:       "request_policy:multi_shard response_policy:agg_sum",
			Complexity: "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).",
			Summary:    "Delete a key",
			Syntax:     "key [key ...]",
			Write:      del,
		},
		{
			Name: "unlink", Arity: -2, Group: "generic", Since: "4.0.0",
			Flags:      Fast,
			Keys:       All(1, 1, "RM DELETE"),
			Tips:       "request_policy:multi_shard response_policy:agg_sum",
			Complexity: "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.",
			Summary:    "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking.",
			Syntax:     "key [key ...]",
			Write:      del,
		},
		{
			Name: "exists", Arity: -2, Group: "generic", Since: "1.0.0",
			Flags:      Fast,
			Keys:       All(1, 1, "RO"),
			Tips:       "request_policy:multi_shard response_policy:agg_sum",
			Complexity: "O(N) where N is the number of keys to check.",
			Summary:    "Determine if a key exists",
			Syntax:     "key [key ...]",
			Read:       exists,
		},
		{
			Name: "touch", Arity: -2, Group: "generic", Since: "3.2.1",
			Flags:      Fast,
			Keys:       All(1, 1, "RO"),
			Tips:       "request_policy:multi_shard response_policy:agg_sum",
			Complexity: "O(N) where N is the number of keys that will be touched.",
			Summary:    "Alters the last access time of a key(s). Returns the number of existing keys specified.",
			Syntax:     "key [key ...]",
			Read:       touch,
		},
		{
			Name: "type", Arity: 2, Group: "generic", Since: "1.0.0",
			Flags:      Fast,
			Keys:       One(1, "RO"),
			Complexity: "O(1)",
			Summary:    "Determine the type stored at key",
			Syntax:     "key",
			Read:       typeOf,
		},
		{
			Name: "rename", Arity: 3, Group: "generic", Since: "1.0.0",
			Keys:       []KeySpec{{Flags: "RW ACCESS DELETE", Index: 1, Step: 1}, {Flags: "OW UPDATE", Index: 2, Step: 1}},
			Complexity: "O(1)",
			Summary:    "Rename a key",
			Syntax:     "key newkey",
			Write:      rename,
		},
		{
			Name: "renamenx", Arity: 3, Group: "generic", Since: "1.0.0",
			Flags:      Fast,
			Keys:       []KeySpec{{Flags: "RW ACCESS DELETE", Index: 1, Step: 1}, {Flags: "OW INSERT", Index: 2, Step: 1}},
			Complexity: "O(1)",
			Summary:    "Rename a key, only if the new key does not exist",
			Syntax:     "key newkey",
			Write:      renamenx,
		},
		{
			Name: "copy", CountLookups: true, Arity: -3, Group: "generic", Since: "6.2.0",
			Flags:      DenyOOM,
			Keys:       []KeySpec{{Flags: "RO ACCESS", Index: 1, Step: 1}, {Flags: "OW UPDATE", Index: 2, Step: 1}},
			Complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
			Summary:    "Copy a key",
			Syntax:     "source destination [DB destination-db] [REPLACE]",
			Write:      copyKey,
		},
		{
			Name: "move", Arity: 3, Group: "generic", Since: "1.0.0",
			Flags:      Fast,
			Keys:       One(1, "RW ACCESS UPDATE"),
			Complexity: "O(1)",
			Summary:    "Move a key to another database",
			Syntax:     "key db",
			Write:      move,
		},
	}
}

// count replies how many of the keys f is true of.
func count(c *Call, f func(key []byte) bool) {
	n := int64(0)
	for _, key := range c.Args[1:] {
		if f(key) {
			n++
		}
	}
	c.Reply.Int(n)
}

func del(w *Write)   { count(&w.Call, w.DB.Delete) }
func exists(r *Read) { count(&r.Call, r.DB.Exists) }
func touch(r *Read)  { count(&r.Call, r.DB.Touch) }
func typeOf(r *Read) {
	k := r.DB.Kind(r.Args[1])
	r.DB.Lookups.Count(k != keyspace.None)
	r.Reply.Status(k.String())
}

func rename(w *Write) { renameKey(w, false) }

func renamenx(w *Write) { renameKey(w, true) }

func renameKey(w *Write, nx bool) {
	from, to := w.Args[1], w.Args[2]
	switch {
	case !w.DB.Exists(from):
		w.Reply.Error(ErrNoSuchKey)
		return
	case nx && w.DB.Exists(to): // the same key included
		w.Reply.Int(0)
		return
	case string(from) != string(to):
		w.DB.Move(from, w.DB, to)
	}
	if nx {
		w.Reply.Int(1)
	} else {
		w.OK()
	}
}

func copyKey(w *Write) {
	from, to := w.Args[1], w.Args[2]
	db, replace := w.DB.ID(), false
	for i := 3; i < len(w.Args); i++ {
		switch {
		case w.Is(i, "replace"):
			replace = true
		case w.Is(i, "db") && i+1 < len(w.Args):
			i++
			var ok bool
			if db, ok = w.Database(i); !ok {
				return
			}
		default:
			w.Reply.Error(ErrSyntax)
			return
		}
	}
	if db == w.DB.ID() && string(from) == string(to) {
		w.Reply.Error(ErrSameObject)
		return
	}
	dst := w.Space.DB(db)
	if !w.DB.Exists(from) || dst.Exists(to) && !replace {
		w.Reply.Int(0)
		return
	}
	w.IntBool(w.DB.Copy(from, &dst, to))
}

func move(w *Write) {
	db, ok := w.Database(2)
	if !ok {
		return
	}
	if db == w.DB.ID() {
		w.Reply.Error(ErrSameObject)
		return
	}
	key, dst := w.Args[1], w.Space.DB(db)
	w.IntBool(w.DB.Exists(key) && !dst.Exists(key) && w.DB.Move(key, &dst, key))
}
