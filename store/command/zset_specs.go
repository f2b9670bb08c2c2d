package command

import "slices"

// SortedSets declares the commands of sorted sets.
func SortedSets() []*Spec {
	return slices.Concat(zsetMemberSpecs(), zsetRangeSpecs(), zsetPopSpecs(), zsetAlgebraSpecs())
}

func zsetMemberSpecs() []*Spec {
	return []*Spec{
		{
			Name: "zadd", Unchanged: zaddUnchanged, Arity: -4, Flags: DenyOOM | Fast, Keys: One(1, "RW UPDATE"),
			Group: "sorted-set", Since: "1.2.0", Complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
			Summary: "Add one or more members to a sorted set, or update its score if it already exists",
			Syntax:  "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
			Write:   zadd,
		},
		{
			Name: "zincrby", Unchanged: zincrbyUnchanged, Arity: 4, Flags: DenyOOM | Fast, Keys: One(1, "RW ACCESS UPDATE"),
			Group: "sorted-set", Since: "1.2.0", Complexity: "O(log(N)) where N is the number of elements in the sorted set.",
			Summary: "Increment the score of a member in a sorted set",
			Syntax:  "key increment member",
			Write:   zincrby,
		},
		{
			Name: "zrem", Vain: true, Unchanged: zremUnchanged, Arity: -3, Flags: Fast, Keys: One(1, "RW DELETE"),
			Group: "sorted-set", Since: "1.2.0", Complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
			Summary: "Remove one or more members from a sorted set",
			Syntax:  "key member [member ...]",
			Write:   zrem,
		},
		{
			Name: "zcard", Arity: 2, Flags: Fast, Keys: One(1, "RO"),
			Group: "sorted-set", Since: "1.2.0", Complexity: "O(1)",
			Summary: "Get the number of members in a sorted set",
			Syntax:  "key",
			Read:    zcard,
		},
		{
			Name: "zscore", Arity: 3, Flags: Fast, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "1.2.0", Complexity: "O(1)",
			Summary: "Get the score associated with the given member in a sorted set",
			Syntax:  "key member",
			Read:    zscore,
		},
		{
			Name: "zmscore", Arity: -3, Flags: Fast, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "6.2.0", Complexity: "O(N) where N is the number of members being requested.",
			Summary: "Get the score associated with the given members in a sorted set",
			Syntax:  "key member [member ...]",
			Read:    zmscore,
		},
		{
			Name: "zrank", Arity: 3, Flags: Fast, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "2.0.0", Complexity: "O(log(N))",
			Summary: "Determine the index of a member in a sorted set",
			Syntax:  "key member",
			Read:    zrank,
		},
		{
			Name: "zrevrank", Arity: 3, Flags: Fast, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "2.0.0", Complexity: "O(log(N))",
			Summary: "Determine the index of a member in a sorted set, with scores ordered from high to low",
			Syntax:  "key member",
			Read:    zrevrank,
		},
		{
			Name: "zrandmember", Arity: -2, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "6.2.0", Complexity: "O(N) where N is the number of elements returned",
			Summary: "Get one or multiple random elements from a sorted set",
			Tips:    "nondeterministic_output",
			Syntax:  "key [count [WITHSCORES]]",
			Read:    zrandmember,
		},
		{
			Name: "zscan", Arity: -3, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "2.8.0", Complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection..",
			Summary: "Incrementally iterate sorted sets elements and associated scores",
			Tips:    "nondeterministic_output",
			Syntax:  "key cursor [MATCH pattern] [COUNT count]",
			Read:    zscan,
		},
	}
}

func zsetRangeSpecs() []*Spec {
	return []*Spec{
		{
			Name: "zcount", Arity: 4, Flags: Fast, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "2.0.0", Complexity: "O(log(N)) with N being the number of elements in the sorted set.",
			Summary: "Count the members in a sorted set with scores within the given values",
			Syntax:  "key min:double max:double",
			Read:    zcount,
		},
		{
			Name: "zlexcount", Arity: 4, Flags: Fast, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "2.8.9", Complexity: "O(log(N)) with N being the number of elements in the sorted set.",
			Summary: "Count the number of members in a sorted set between a given lexicographical range",
			Syntax:  "key min max",
			Read:    zlexcount,
		},
		{
			Name: "zrange", Arity: -4, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "1.2.0", Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
			Summary: "Return a range of members in a sorted set",
			Syntax:  "key start:string stop:string [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
			Read:    zrange,
		},
		{
			Name: "zrevrange", Arity: -4, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "1.2.0", Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
			Summary:         "Return a range of members in a sorted set, by index, with scores ordered from high to low",
			DeprecatedSince: "6.2.0", ReplacedBy: "`ZRANGE` with the `REV` argument",
			Syntax: "key start stop [WITHSCORES]",
			Read:   zrevrange,
		},
		{
			Name: "zrangebyscore", Arity: -4, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "1.0.5", Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
			Summary:         "Return a range of members in a sorted set, by score",
			DeprecatedSince: "6.2.0", ReplacedBy: "`ZRANGE` with the `BYSCORE` argument",
			Syntax: "key min:double max:double [WITHSCORES] [LIMIT offset count]",
			Read:   zrangebyscore,
		},
		{
			Name: "zrevrangebyscore", Arity: -4, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "2.2.0", Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
			Summary:         "Return a range of members in a sorted set, by score, with scores ordered from high to low",
			DeprecatedSince: "6.2.0", ReplacedBy: "`ZRANGE` with the `REV` and `BYSCORE` arguments",
			Syntax: "key max:double min:double [WITHSCORES] [LIMIT offset count]",
			Read:   zrevrangebyscore,
		},
		{
			Name: "zrangebylex", Arity: -4, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "2.8.9", Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
			Summary:         "Return a range of members in a sorted set, by lexicographical range",
			DeprecatedSince: "6.2.0", ReplacedBy: "`ZRANGE` with the `BYLEX` argument",
			Syntax: "key min max [LIMIT offset count]",
			Read:   zrangebylex,
		},
		{
			Name: "zrevrangebylex", Arity: -4, Keys: One(1, "RO ACCESS"),
			Group: "sorted-set", Since: "2.8.9", Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
			Summary:         "Return a range of members in a sorted set, by lexicographical range, ordered from higher to lower strings.",
			DeprecatedSince: "6.2.0", ReplacedBy: "`ZRANGE` with the `REV` and `BYLEX` arguments",
			Syntax: "key max min [LIMIT offset count]",
			Read:   zrevrangebylex,
		},
		{
			Name: "zrangestore", CountLookups: true, Arity: -5, Flags: DenyOOM, Keys: []KeySpec{
				{Flags: "OW UPDATE", Index: 1, Step: 1},
				{Flags: "RO ACCESS", Index: 2, Step: 1},
			},
			Group: "sorted-set", Since: "6.2.0", Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key.",
			Summary: "Store a range of members from sorted set into another key",
			Syntax:  "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
			Write:   zrangestore,
		},
		{
			Name: "zremrangebyrank", Arity: 4, Keys: One(1, "RW DELETE"),
			Group: "sorted-set", Since: "2.0.0", Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
			Summary: "Remove all members in a sorted set within the given indexes",
			Syntax:  "key start stop",
			Write:   zremrangebyrank,
		},
		{
			Name: "zremrangebyscore", Arity: 4, Keys: One(1, "RW DELETE"),
			Group: "sorted-set", Since: "1.2.0", Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
			Summary: "Remove all members in a sorted set within the given scores",
			Syntax:  "key min:double max:double",
			Write:   zremrangebyscore,
		},
		{
			Name: "zremrangebylex", Arity: 4, Keys: One(1, "RW DELETE"),
			Group: "sorted-set", Since: "2.8.9", Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
			Summary: "Remove all members in a sorted set between the given lexicographical range",
			Syntax:  "key min max",
			Write:   zremrangebylex,
		},
	}
}

func zsetPopSpecs() []*Spec {
	return []*Spec{
		{
			Name: "zpopmin", Vain: true, Arity: -2, Flags: Fast, Keys: One(1, "RW ACCESS DELETE"),
			Group: "sorted-set", Since: "5.0.0", Complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
			Summary: "Remove and return members with the lowest scores in a sorted set",
			Syntax:  "key [count]",
			Write:   zpopmin,
		},
		{
			Name: "zpopmax", Vain: true, Arity: -2, Flags: Fast, Keys: One(1, "RW ACCESS DELETE"),
			Group: "sorted-set", Since: "5.0.0", Complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
			Summary: "Remove and return members with the highest scores in a sorted set",
			Syntax:  "key [count]",
			Write:   zpopmax,
		},
		{
			Name: "zmpop", Vain: true, Arity: -4, Flags: MovableKeys, Keys: Counted(1, "RW ACCESS DELETE"),
			Group: "sorted-set", Since: "7.0.0", Complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
			Summary: "Remove and return members with scores in a sorted set",
			Syntax:  "numkeys key [key ...] <MIN | MAX> [COUNT count]",
			Write:   zmpop,
		},
		{
			Name: "bzpopmin", Arity: -3, Flags: NoScript | Fast | Blocking, Keys: []KeySpec{
				{Flags: "RW ACCESS DELETE", Index: 1, Last: -2, Step: 1},
			},
			Group: "sorted-set", Since: "5.0.0", Complexity: "O(log(N)) with N being the number of elements in the sorted set.",
			Summary: "Remove and return the member with the lowest score from one or more sorted sets, or block until one is available",
			Syntax:  "key [key ...] timeout",
			Write:   bzpopmin, Block: bzpopBlock(),
		},
		{
			Name: "bzpopmax", Arity: -3, Flags: NoScript | Fast | Blocking, Keys: []KeySpec{
				{Flags: "RW ACCESS DELETE", Index: 1, Last: -2, Step: 1},
			},
			Group: "sorted-set", Since: "5.0.0", Complexity: "O(log(N)) with N being the number of elements in the sorted set.",
			Summary: "Remove and return the member with the highest score from one or more sorted sets, or block until one is available",
			Syntax:  "key [key ...] timeout",
			Write:   bzpopmax, Block: bzpopBlock(),
		},
		{
			Name: "bzmpop", Arity: -5, Flags: Blocking | MovableKeys, Keys: Counted(2, "RW ACCESS DELETE"),
			Group: "sorted-set", Since: "7.0.0", Complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
			Summary: "Remove and return members with scores in a sorted set or block until one is available",
			Syntax:  "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
			Write:   bzmpop, Block: bzmpopBlock(),
		},
	}
}

func zsetAlgebraSpecs() []*Spec {
	return []*Spec{
		{
			Name: "zunion", Arity: -3, Flags: MovableKeys, Keys: Counted(1, "RO ACCESS"),
			Group: "sorted-set", Since: "6.2.0", Complexity: "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
			Summary: "Add multiple sorted sets",
			Syntax:  "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
			Read:    zunion,
		},
		{
			Name: "zinter", Arity: -3, Flags: MovableKeys, Keys: Counted(1, "RO ACCESS"),
			Group: "sorted-set", Since: "6.2.0", Complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.",
			Summary: "Intersect multiple sorted sets",
			Syntax:  "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
			Read:    zinter,
		},
		{
			Name: "zdiff", Arity: -3, Flags: MovableKeys, Keys: Counted(1, "RO ACCESS"),
			Group: "sorted-set", Since: "6.2.0", Complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.",
			Summary: "Subtract multiple sorted sets",
			Syntax:  "numkeys key [key ...] [WITHSCORES]",
			Read:    zdiff,
		},
		{
			Name: "zunionstore", CountLookups: true, Arity: -4, Flags: DenyOOM | MovableKeys, Keys: []KeySpec{
				{Flags: "OW UPDATE", Index: 1, Step: 1},
				{Flags: "RO ACCESS", Index: 2, NumKeys: true, Step: 1},
			},
			Group: "sorted-set", Since: "2.0.0", Complexity: "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
			Summary: "Add multiple sorted sets and store the resulting sorted set in a new key",
			Syntax:  "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
			Write:   zunionstore,
		},
		{
			Name: "zinterstore", CountLookups: true, Arity: -4, Flags: DenyOOM | MovableKeys, Keys: []KeySpec{
				{Flags: "OW UPDATE", Index: 1, Step: 1},
				{Flags: "RO ACCESS", Index: 2, NumKeys: true, Step: 1},
			},
			Group: "sorted-set", Since: "2.0.0", Complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.",
			Summary: "Intersect multiple sorted sets and store the resulting sorted set in a new key",
			Syntax:  "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
			Write:   zinterstore,
		},
		{
			Name: "zdiffstore", CountLookups: true, Arity: -4, Flags: DenyOOM | MovableKeys, Keys: []KeySpec{
				{Flags: "OW UPDATE", Index: 1, Step: 1},
				{Flags: "RO ACCESS", Index: 2, NumKeys: true, Step: 1},
			},
			Group: "sorted-set", Since: "6.2.0", Complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.",
			Summary: "Subtract multiple sorted sets and store the resulting sorted set in a new key",
			Syntax:  "destination numkeys key [key ...]",
			Write:   zdiffstore,
		},
		{
			Name: "zintercard", Arity: -3, Flags: MovableKeys, Keys: Counted(1, "RO ACCESS"),
			Group: "sorted-set", Since: "7.0.0", Complexity: "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
			Summary: "Intersect multiple sorted sets and return the cardinality of the result",
			Syntax:  "numkeys key [key ...] [LIMIT limit]",
			Read:    zintercard,
		},
	}
}
