package command

import "slices"

// Generic returns the commands about keys, whatever their values are: Redis's
// group "generic", and those of "server" that are about data.
func Generic() []*Spec {
	return slices.Concat(keySpecs(), databaseSpecs(), expireSpecs(), scanSpecs(), objectSpecs())
}

func keySpecs() []*Spec {
	return []*Spec{
		{
			Name: "del", Vain: true, Arity: -2, Group: "generic", Since: "1.0.0",
			Keys:       All(1, 1, "RM DELETE"),
			Tips:       "request_policy:multi_shard response_policy:agg_sum",
			Complexity: "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).",
			Summary:    "Delete a key",
			Syntax:     "key [key ...]",
			Write:      del,
		},
		{
			Name: "unlink", Vain: true, Arity: -2, Group: "generic", Since: "4.0.0",
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

			OtherDatabase: func(argv [][]byte) string {
				for i := 3; i+1 < len(argv); i++ {
					if !EqualFold(argv[i], "db") {
						continue
					}
					if n, ok := ParseInt(argv[i+1]); ok && n != 0 {
						return "ERR Copying to another database is not allowed in cluster mode"
					}
					i++
				}
				return ""
			},
		},
		{
			Name: "move", Arity: 3, Group: "generic", Since: "1.0.0",
			Flags:      Fast,
			Keys:       One(1, "RW ACCESS UPDATE"),
			Complexity: "O(1)",
			Summary:    "Move a key to another database",
			Syntax:     "key db",
			Write:      move,

			OtherDatabase: func([][]byte) string { return "ERR MOVE is not allowed in cluster mode" },
		},
	}
}

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

			OtherDatabase: func([][]byte) string { return "ERR SWAPDB is not allowed in cluster mode" },
		},
	}
}

func expireSpecs() []*Spec {
	expire := func(name, since, summary, syntax string, write func(*Write)) *Spec {
		return &Spec{
			Name: name, Arity: -3, Group: "generic", Since: since, Flags: Fast,
			Keys: One(1, "RW UPDATE"), Complexity: "O(1)", Summary: summary, Syntax: syntax, Write: write,
		}
	}
	ttl := func(name, since, tips, summary string, read func(*Read)) *Spec {
		return &Spec{
			Name: name, Arity: 2, Group: "generic", Since: since, Flags: Fast, Tips: tips,
			Keys: One(1, "RO ACCESS"), Complexity: "O(1)", Summary: summary, Syntax: "key", Read: read,
		}
	}
	return []*Spec{
		expire("expire", "1.0.0", "Set a key's time to live in seconds", "key seconds [NX | XX | GT | LT]",
			func(w *Write) { expireKey(w, 1000, w.Now) }),
		expire("pexpire", "2.6.0", "Set a key's time to live in milliseconds", "key milliseconds [NX | XX | GT | LT]",
			func(w *Write) { expireKey(w, 1, w.Now) }),
		expire("expireat", "1.2.0", "Set the expiration for a key as a UNIX timestamp", "key unix-time-seconds [NX | XX | GT | LT]",
			func(w *Write) { expireKey(w, 1000, 0) }),
		expire("pexpireat", "2.6.0", "Set the expiration for a key as a UNIX timestamp specified in milliseconds", "key unix-time-milliseconds [NX | XX | GT | LT]",
			func(w *Write) { expireKey(w, 1, 0) }),
		ttl("ttl", "1.0.0", "nondeterministic_output", "Get the time to live for a key in seconds",
			func(r *Read) { replyTTL(r, 1000, r.Now) }),
		ttl("pttl", "2.6.0", "nondeterministic_output", "Get the time to live for a key in milliseconds",
			func(r *Read) { replyTTL(r, 1, r.Now) }),
		ttl("expiretime", "7.0.0", "", "Get the expiration Unix timestamp for a key",
			func(r *Read) { replyTTL(r, 1000, 0) }),
		ttl("pexpiretime", "7.0.0", "", "Get the expiration Unix timestamp for a key in milliseconds",
			func(r *Read) { replyTTL(r, 1, 0) }),
		{
			Name: "persist", Vain: true, Unchanged: persistUnchanged, Arity: 2, Group: "generic", Since: "2.2.0",
			Flags:      Fast,
			Keys:       One(1, "RW UPDATE"),
			Complexity: "O(1)",
			Summary:    "Remove the expiration from a key",
			Syntax:     "key",
			Write:      persist,
		},
	}
}

func scanSpecs() []*Spec {
	return []*Spec{
		{
			Name: "keys", Arity: 2, Group: "generic", Since: "1.0.0",
			Flags:      Dangerous,
			Tips:       "request_policy:all_shards nondeterministic_output_order",
			Complexity: "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
			Summary:    "Find all keys matching the given pattern",
			Syntax:     "pattern",
			Read:       keys,
		},
		{
			Name: "scan", Arity: -2, Group: "generic", Since: "2.8.0",
			Tips:       "nondeterministic_output request_policy:special",
			Complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
			Summary:    "Incrementally iterate the keys space",
			Syntax:     "cursor [MATCH pattern] [COUNT count] [TYPE type]",
			Read:       scan,
		},
		{
			Name: "randomkey", Arity: 1, Group: "generic", Since: "1.0.0",
			Tips:       "request_policy:all_shards nondeterministic_output",
			Complexity: "O(1)",
			Summary:    "Return a random key from the keyspace",
			Read:       randomkey,
		},
	}
}

func objectSpecs() []*Spec {
	object := func(name, since, summary string, read func(*Read)) *Spec {
		return &Spec{
			Name: name, Arity: 3, Group: "generic", Since: since,
			Keys: One(2, "RO"), Tips: "nondeterministic_output", Complexity: "O(1)",
			Summary: summary, Syntax: "key", Read: read,
		}
	}
	return []*Spec{
		{
			Name: "object", Arity: -2, Group: "generic", Since: "2.2.3",
			Complexity: "Depends on subcommand.",
			Summary:    "A container for object introspection commands",
			Subcommands: []*Spec{
				object("encoding", "2.2.3", "Inspect the internal encoding of a Redis object", objectEncoding),
				object("freq", "4.0.0", "Get the logarithmic access frequency counter of a Redis object", objectFreq),
				object("idletime", "2.2.3", "Get the time since a Redis object was last accessed", objectIdletime),
				object("refcount", "2.2.3", "Get the number of references to the value of the key", objectRefcount),
				Help("object", "generic", "6.2.0",
					"ENCODING <key>",
					"    Return the kind of internal representation used in order to store the value",
					"    associated with a <key>.",
					"FREQ <key>",
					"    Return the access frequency index of the <key>. The returned integer is",
					"    proportional to the logarithm of the recent access frequency of the key.",
					"IDLETIME <key>",
					"    Return the idle time of the <key>, that is the approximated number of",
					"    seconds elapsed since the last access to the key.",
					"REFCOUNT <key>",
					"    Return the number of references of the value associated with the specified",
					"    <key>.",
				),
			},
		},
		{
			Name: "memory", Arity: -2, Group: "server", Since: "4.0.0",
			Complexity: "Depends on subcommand.",
			Summary:    "A container for memory diagnostics commands",
			Subcommands: []*Spec{{
				Name: "usage", Arity: -3, Group: "server", Since: "4.0.0",
				Keys:       One(2, "RO"),
				Complexity: "O(N) where N is the number of samples.",
				Summary:    "Estimate the memory usage of a key",
				Syntax:     "key [SAMPLES count]",
				Read:       memoryUsage,
			}},
		},
	}
}
