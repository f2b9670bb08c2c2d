package command

// Bitmaps declares the commands that take strings as arrays of bits.
func Bitmaps() []*Spec {
	return []*Spec{
		{
			Name: "setbit", Arity: 4, Flags: DenyOOM, Keys: One(1, "RW ACCESS UPDATE"),
			Group: "bitmap", Since: "2.2.0", Complexity: "O(1)",
			Summary: "Sets or clears the bit at offset in the string value stored at key",
			Syntax:  "key offset value:integer",
			Write:   setbit,
		},
		{
			Name: "getbit", Arity: 3, Flags: Fast, Keys: One(1, "RO ACCESS"),
			Group: "bitmap", Since: "2.2.0", Complexity: "O(1)",
			Summary: "Returns the bit value at offset in the string value stored at key",
			Syntax:  "key offset",
			Read:    getbit,
		},
		{
			Name: "bitcount", Arity: -2, Keys: One(1, "RO ACCESS"),
			Group: "bitmap", Since: "2.6.0", Complexity: "O(N)",
			Summary: "Count set bits in a string",
			Syntax:  "key [start end [BYTE | BIT]]",
			Read:    bitcount,
		},
		{
			Name: "bitpos", Arity: -3, Keys: One(1, "RO ACCESS"),
			Group: "bitmap", Since: "2.8.7", Complexity: "O(N)",
			Summary: "Find first bit set or clear in a string",
			Syntax:  "key bit [start [end [BYTE | BIT]]]",
			Read:    bitpos,
		},
		{
			Name: "bitop", CountLookups: true, Arity: -4, Flags: DenyOOM, Keys: []KeySpec{
				{Flags: "OW UPDATE", Index: 2, Step: 1},
				{Flags: "RO ACCESS", Index: 3, Last: -1, Step: 1},
			},
			Group: "bitmap", Since: "2.6.0", Complexity: "O(N)",
			Summary: "Perform bitwise operations between strings",
			Syntax:  "operation destkey key [key ...]",
			Write:   bitop,
		},
		{
			Name: "bitfield", CountLookups: true, Arity: -2, Flags: DenyOOM, Keys: One(1, "RW UPDATE ACCESS VARIABLE_FLAGS"),
			Group: "bitmap", Since: "3.2.0", Complexity: "O(1) for each subcommand specified",
			Summary:  "Perform arbitrary bitfield integer operations on strings",
			Syntax:   "key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value:integer | INCRBY encoding offset increment>> [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value:integer | INCRBY encoding offset increment>> ...]]",
			FindKeys: bitfieldKeys,
			Write:    bitfield,
		},
		{
			Name: "bitfield_ro", Arity: -2, Flags: Fast, Keys: One(1, "RO ACCESS"),
			Group: "bitmap", Since: "6.0.0", Complexity: "O(1) for each subcommand specified",
			Summary: "Perform arbitrary bitfield integer operations on strings. Read-only variant of BITFIELD",
			Syntax:  "key [GET encoding offset [GET encoding offset ...]]",
			Read:    bitfieldRO,
		},
	}
}
