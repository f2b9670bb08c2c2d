package command

// HyperLogLogs declares the commands of approximate counting.
func HyperLogLogs() []*Spec {
	return []*Spec{
		{
			Name: "pfadd", Unchanged: pfaddUnchanged, Arity: -2, Flags: DenyOOM | Fast, Keys: One(1, "RW INSERT"),
			Group: "hyperloglog", Since: "2.8.9", Complexity: "O(1) to add every element.",
			Summary: "Adds the specified elements to the specified HyperLogLog.",
			Syntax:  "key [element [element ...]]",
			Write:   pfadd,
		},
		{
			Name: "pfcount", CountLookups: true, Arity: -2, Flags: MayReplicate, Keys: All(1, 1, "RW ACCESS"),
			Group: "hyperloglog", Since: "2.8.9", Complexity: "O(1) with a very small average constant time when called with a single key. O(N) with N being the number of keys, and much bigger constant times, when called with multiple keys.",
			Summary: "Return the approximated cardinality of the set(s) observed by the HyperLogLog at key(s).",
			Syntax:  "key [key ...]",
			Read:    pfcount,
			Write:   pfcountCaching,
		},
		{
			Name: "pfmerge", CountLookups: true, Arity: -2, Flags: DenyOOM, Keys: []KeySpec{
				{Flags: "RW ACCESS INSERT", Index: 1, Step: 1},
				{Flags: "RO ACCESS", Index: 2, Last: -1, Step: 1},
			},
			Group: "hyperloglog", Since: "2.8.9", Complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
			Summary: "Merge N different HyperLogLogs into a single one.",
			Syntax:  "destkey sourcekey [sourcekey ...]",
			Write:   pfmerge,
		},
		{
			Name: "pfdebug", Arity: 3, Flags: DenyOOM | Admin, Keys: One(2, "RW ACCESS"),
			Group: "hyperloglog", Since: "2.8.9", Complexity: "N/A",
			Summary: "Internal commands for debugging HyperLogLog values",
			Syntax:  "subcommand key",
			Write:   pfdebug,
		},
	}
}
