package command

import "slices"

// Strings returns the commands of the group "string".
func Strings() []*Spec {
	return slices.Concat(stringValueSpecs(), stringNumberSpecs(), stringRangeSpecs())
}

func stringValueSpecs() []*Spec {
	return []*Spec{
		{
			Name: "get", Arity: 2, Group: "string", Since: "1.0.0",
			Flags:      Fast,
			Keys:       One(1, "RO ACCESS"),
			Complexity: "O(1)",
			Summary:    "Get the value of a key",
			Syntax:     "key",
			Read:       get,
		},
		{
			Name: "set", Unchanged: setUnchanged, UnchangedIf: setsIfAbsent, CountLookups: true, Arity: -3, Group: "string", Since: "1.0.0",
			Flags:      DenyOOM,
			Keys:       One(1, "RW ACCESS UPDATE VARIABLE_FLAGS"),
			Complexity: "O(1)",
			Summary:    "Set the string value of a key",
			Syntax:     "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
			FindKeys:   setKeys,
			Write:      set,
		},
		{
			Name: "setnx", Unchanged: setnxUnchanged, Arity: 3, Group: "string", Since: "1.0.0",
			Flags:      DenyOOM | Fast,
			Keys:       One(1, "OW INSERT"),
			Complexity: "O(1)",
			Summary:    "Set the value of a key, only if the key does not exist",
			Syntax:     "key value",
			Write:      setnx,
		},
		{
			Name: "setex", Arity: 4, Group: "string", Since: "2.0.0",
			Flags:      DenyOOM,
			Keys:       One(1, "OW UPDATE"),
			Complexity: "O(1)",
			Summary:    "Set the value and expiration of a key",
			Syntax:     "key seconds value",
			Write:      setex,
		},
		{
			Name: "psetex", Arity: 4, Group: "string", Since: "2.6.0",
			Flags:      DenyOOM,
			Keys:       One(1, "OW UPDATE"),
			Complexity: "O(1)",
			Summary:    "Set the value and expiration in milliseconds of a key",
			Syntax:     "key milliseconds value",
			Write:      psetex,
		},
		{
			Name: "getset", CountLookups: true, Arity: 3, Group: "string", Since: "1.0.0",
			Flags:           DenyOOM | Fast,
			Keys:            One(1, "RW ACCESS UPDATE"),
			Complexity:      "O(1)",
			Summary:         "Set the string value of a key and return its old value",
			Syntax:          "key value",
			DeprecatedSince: "6.2.0", ReplacedBy: "`SET` with the `!GET` argument",
			Write: getset,
		},
		{
			Name: "getdel", Vain: true, CountLookups: true, Arity: 2, Group: "string", Since: "6.2.0",
			Flags:      Fast,
			Keys:       One(1, "RW ACCESS DELETE"),
			Complexity: "O(1)",
			Summary:    "Get the value of a key and delete the key",
			Syntax:     "key",
			Write:      getdel,
		},
		{
			Name: "getex", CountLookups: true, Arity: -2, Group: "string", Since: "6.2.0",
			Flags:      Fast,
			Keys:       One(1, "RW ACCESS UPDATE"),
			Complexity: "O(1)",
			Summary:    "Get the value of a key and optionally set its expiration",
			Syntax:     "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
			Write:      getex,
		},
		{
			Name: "mget", Arity: -2, Group: "string", Since: "1.0.0",
			Flags:      Fast,
			Keys:       All(1, 1, "RO ACCESS"),
			Tips:       "request_policy:multi_shard",
			Complexity: "O(N) where N is the number of keys to retrieve.",
			Summary:    "Get the values of all the given keys",
			Syntax:     "key [key ...]",
			Read:       mget,
		},
		{
			Name: "mset", Arity: -3, Group: "string", Since: "1.0.1",
			Flags:      DenyOOM,
			Keys:       All(1, 2, "OW UPDATE"),
			Tips:       "request_policy:multi_shard response_policy:all_succeeded",
			Complexity: "O(N) where N is the number of keys to set.",
			Summary:    "Set multiple keys to multiple values",
			Syntax:     "key value [key value ...]",
			Write:      mset,
		},
		{
			Name: "msetnx", Unchanged: msetnxUnchanged, Arity: -3, Group: "string", Since: "1.0.1",
			Flags:      DenyOOM,
			Keys:       All(1, 2, "OW INSERT"),
			Tips:       "request_policy:multi_shard response_policy:agg_min",
			Complexity: "O(N) where N is the number of keys to set.",
			Summary:    "Set multiple keys to multiple values, only if none of the keys exist",
			Syntax:     "key value [key value ...]",
			Write:      msetnx,
		},
	}
}

func stringNumberSpecs() []*Spec {
	return []*Spec{
		{
			Name: "incr", Arity: 2, Group: "string", Since: "1.0.0",
			Flags:      DenyOOM | Fast,
			Keys:       One(1, "RW ACCESS UPDATE"),
			Complexity: "O(1)",
			Summary:    "Increment the integer value of a key by one",
			Syntax:     "key",
			Write:      func(w *Write) { incrBy(w, 1) },
		},
		{
			Name: "decr", Arity: 2, Group: "string", Since: "1.0.0",
			Flags:      DenyOOM | Fast,
			Keys:       One(1, "RW ACCESS UPDATE"),
			Complexity: "O(1)",
			Summary:    "Decrement the integer value of a key by one",
			Syntax:     "key",
			Write:      func(w *Write) { incrBy(w, -1) },
		},
		{
			Name: "incrby", Arity: 3, Group: "string", Since: "1.0.0",
			Flags:      DenyOOM | Fast,
			Keys:       One(1, "RW ACCESS UPDATE"),
			Complexity: "O(1)",
			Summary:    "Increment the integer value of a key by the given amount",
			Syntax:     "key increment",
			Write:      incrby,
		},
		{
			Name: "decrby", Arity: 3, Group: "string", Since: "1.0.0",
			Flags:      DenyOOM | Fast,
			Keys:       One(1, "RW ACCESS UPDATE"),
			Complexity: "O(1)",
			Summary:    "Decrement the integer value of a key by the given number",
			Syntax:     "key decrement",
			Write:      decrby,
		},
		{
			Name: "incrbyfloat", Arity: 3, Group: "string", Since: "2.6.0",
			Flags:      DenyOOM | Fast,
			Keys:       One(1, "RW ACCESS UPDATE"),
			Complexity: "O(1)",
			Summary:    "Increment the float value of a key by the given amount",
			Syntax:     "key increment:double",
			Write:      incrbyfloat,
		},
	}
}

func stringRangeSpecs() []*Spec {
	const rangeComplexity = "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings."
	return []*Spec{
		{
			Name: "append", Arity: 3, Group: "string", Since: "2.0.0",
			Flags:      DenyOOM | Fast,
			Keys:       One(1, "RW INSERT"),
			Complexity: "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.",
			Summary:    "Append a value to a key",
			Syntax:     "key value",
			Write:      appendString,
		},
		{
			Name: "strlen", Arity: 2, Group: "string", Since: "2.2.0",
			Flags:      Fast,
			Keys:       One(1, "RO"),
			Complexity: "O(1)",
			Summary:    "Get the length of the value stored in a key",
			Syntax:     "key",
			Read:       strlen,
		},
		{
			Name: "setrange", Arity: 4, Group: "string", Since: "2.2.0",
			Flags:      DenyOOM,
			Keys:       One(1, "RW UPDATE"),
			Complexity: "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.",
			Summary:    "Overwrite part of a string at key starting at the specified offset",
			Syntax:     "key offset value",
			Write:      setrange,
		},
		{
			Name: "getrange", Arity: 4, Group: "string", Since: "2.4.0",
			Keys:       One(1, "RO ACCESS"),
			Complexity: rangeComplexity,
			Summary:    "Get a substring of the string stored at a key",
			Syntax:     "key start end",
			Read:       getrange,
		},
		{
			Name: "substr", Arity: 4, Group: "string", Since: "1.0.0",
			Keys:            One(1, "RO ACCESS"),
			Complexity:      rangeComplexity,
			Summary:         "Get a substring of the string stored at a key",
			Syntax:          "key start end",
			DeprecatedSince: "2.0.0", ReplacedBy: "`GETRANGE`",
			Read: getrange,
		},
		{
			Name: "lcs", Arity: -3, Group: "string", Since: "7.0.0",
			Keys:       []KeySpec{{Flags: "RO ACCESS", Index: 1, Last: 1, Step: 1}},
			Complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
			Summary:    "Find longest common substring",
			Syntax:     "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
			Read:       lcs,
		},
	}
}
