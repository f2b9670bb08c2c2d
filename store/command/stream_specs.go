package command

// Streams returns the commands about streams.
func Streams() []*Spec {
	specs := []*Spec{
		{
			Name: "xadd", Arity: -5, Flags: DenyOOM | Fast, Keys: One(1, "RW UPDATE"),
			Since: "5.0.0", Complexity: "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
			Summary: "Appends a new entry to a stream", Tips: "nondeterministic_output",
			Syntax: "key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
			Write:  xadd,
		},
		{
			Name: "xtrim", Arity: -4, Keys: One(1, "RW DELETE"),
			Since: "5.0.0", Complexity: "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in macro nodes containing multiple entries that can be released with a single deallocation.",
			Summary: "Trims the stream to (approximately if '~' is passed) a certain size", Tips: "nondeterministic_output",
			Syntax: "key <<MAXLEN | MINID> [= | ~] threshold [LIMIT count]>",
			Write:  xtrim,
		},
		{
			Name: "xdel", Arity: -3, Flags: Fast, Keys: One(1, "RW DELETE"),
			Since: "5.0.0", Complexity: "O(1) for each single item to delete in the stream, regardless of the stream size.",
			Summary: "Removes the specified entries from the stream. Returns the number of items actually deleted, that may be different from the number of IDs passed in case certain IDs do not exist.",
			Syntax:  "key id [id ...]",
			Write:   xdel,
		},
		{
			Name: "xsetid", Arity: -3, Flags: DenyOOM | Fast, Keys: One(1, "RW UPDATE"),
			Since: "5.0.0", Complexity: "O(1)",
			Summary: "An internal command for replicating stream values",
			Syntax:  "key last-id [ENTRIESADDED entries_added] [MAXDELETEDID max_deleted_entry_id]",
			Write:   xsetid,
		},
		{
			Name: "xlen", Arity: 2, Flags: Fast, Keys: One(1, "RO"),
			Since: "5.0.0", Complexity: "O(1)",
			Summary: "Return the number of entries in a stream",
			Syntax:  "key",
			Read:    xlen,
		},
		{
			Name: "xrange", Arity: -4, Keys: One(1, "RO ACCESS"),
			Since: "5.0.0", Complexity: "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).",
			Summary: "Return a range of elements in a stream, with IDs matching the specified IDs interval",
			Syntax:  "key start:string end:string [COUNT count]",
			Read:    xrange,
		},
		{
			Name: "xrevrange", Arity: -4, Keys: One(1, "RO ACCESS"),
			Since: "5.0.0", Complexity: "O(N) with N being the number of elements returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).",
			Summary: "Return a range of elements in a stream, with IDs matching the specified IDs interval, in reverse order (from greater to smaller IDs) compared to XRANGE",
			Syntax:  "key end:string start:string [COUNT count]",
			Read:    xrevrange,
		},
		{
			Name: "xread", Arity: -4, Flags: Blocking | MovableKeys, Keys: streamKeys(1),
			Since: "5.0.0", Complexity: "For each stream mentioned: O(N) with N being the number of elements being returned, it means that XREAD-ing with a fixed COUNT is O(1). Note that when the BLOCK option is used, XADD will pay O(M) time in order to serve the M clients blocked on the stream getting new data.",
			Summary: "Return never seen elements in multiple streams, with IDs greater than the ones reported by the caller for each stream. Can block.",
			Syntax:  "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
			Read:    xread, Block: readBlock(false),
		},
		{
			Name: "xreadgroup", CountLookups: true, Arity: -7, Flags: Blocking | MovableKeys, Keys: streamKeys(4),
			Since: "5.0.0", Complexity: "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.",
			Summary: "Return new entries from a stream using a consumer group, or access the history of the pending entries for a given consumer. Can block.",
			Syntax:  "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]",
			Write:   xreadgroup, Block: readBlock(true),
		},
		{
			Name: "xack", CountLookups: true, Arity: -4, Flags: Fast, Keys: One(1, "RW UPDATE"),
			Since: "5.0.0", Complexity: "O(1) for each message ID processed.",
			Summary: "Marks a pending message as correctly processed, effectively removing it from the pending entries list of the consumer group. Return value of the command is the number of messages successfully acknowledged, that is, the IDs we were actually able to resolve in the PEL.",
			Syntax:  "key group id [id ...]",
			Write:   xack,
		},
		{
			Name: "xpending", Arity: -3, Keys: One(1, "RO ACCESS"),
			Since: "5.0.0", Complexity: "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.",
			Summary: "Return information and entries from a stream consumer group pending entries list, that are messages fetched but never acknowledged.", Tips: "nondeterministic_output",
			Syntax: "key group [[IDLE min-idle-time:integer] start:string end:string count [consumer]]",
			Read:   xpending,
		},
		{
			Name: "xclaim", CountLookups: true, Arity: -6, Flags: Fast, Keys: One(1, "RW UPDATE"),
			Since: "5.0.0", Complexity: "O(log N) with N being the number of messages in the PEL of the consumer group.",
			Summary: "Changes (or acquires) ownership of a message in a consumer group, as if the message was delivered to the specified consumer.", Tips: "nondeterministic_output",
			Syntax: "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
			Write:  xclaim,
		},
		{
			Name: "xautoclaim", CountLookups: true, Arity: -6, Flags: Fast, Keys: One(1, "RW DELETE"),
			Since: "6.2.0", Complexity: "O(1) if COUNT is small.",
			Summary: "Changes (or acquires) ownership of messages in a consumer group, as if the messages were delivered to the specified consumer.", Tips: "nondeterministic_output",
			Syntax: "key group consumer min-idle-time start:string [COUNT count] [JUSTID]",
			Write:  xautoclaim,
		},
		{
			Name: "xgroup", Arity: -2, Since: "5.0.0", Complexity: "Depends on subcommand.",
			Summary: "A container for consumer groups commands", Subcommands: xgroupSubcommands(),
		},
		{
			Name: "xinfo", Arity: -2, Since: "5.0.0", Complexity: "Depends on subcommand.",
			Summary: "A container for stream introspection commands", Subcommands: xinfoSubcommands(),
		},
	}
	for _, s := range specs {
		s.Group = "stream"
		for _, sub := range s.Subcommands {
			sub.Group = "stream"
		}
	}
	return specs
}

// streamKeys are the keys of XREAD and XREADGROUP: the first half of what
// follows STREAMS.
func streamKeys(from int) []KeySpec {
	return []KeySpec{{Flags: "RO ACCESS", Index: from, Keyword: "STREAMS", Last: -1, Step: 1, Limit: 2}}
}

func xgroupSubcommands() []*Spec {
	return []*Spec{
		{
			Name: "create", Arity: -5, Flags: DenyOOM, Keys: One(2, "RW INSERT"), Since: "5.0.0", Complexity: "O(1)",
			Summary: "Create a consumer group.", Syntax: "key groupname <id | $> [MKSTREAM] [ENTRIESREAD entries_read]",
			Write: xgroupCreate,
		},
		{
			Name: "createconsumer", Arity: 5, Flags: DenyOOM, Keys: One(2, "RW INSERT"), Since: "6.2.0", Complexity: "O(1)",
			Summary: "Create a consumer in a consumer group.", Syntax: "key groupname consumername",
			Write: xgroupCreateConsumer,
		},
		{
			Name: "delconsumer", Arity: 5, Keys: One(2, "RW DELETE"), Since: "5.0.0", Complexity: "O(1)",
			Summary: "Delete a consumer from a consumer group.", Syntax: "key groupname consumername",
			Write: xgroupDelConsumer,
		},
		{
			Name: "destroy", Arity: 4, Keys: One(2, "RW DELETE"), Since: "5.0.0",
			Complexity: "O(N) where N is the number of entries in the group's pending entries list (PEL).",
			Summary:    "Destroy a consumer group.", Syntax: "key groupname",
			Write: xgroupDestroy,
		},
		{
			Name: "setid", Arity: -5, Keys: One(2, "RW UPDATE"), Since: "5.0.0", Complexity: "O(1)",
			Summary: "Set a consumer group to an arbitrary last delivered ID value.", Syntax: "key groupname <id | $> [ENTRIESREAD entries_read]",
			Write: xgroupSetID,
		},
		Help("xgroup", "stream", "5.0.0",
			"CREATE <key> <groupname> <id|$> [option]",
			"    Create a new consumer group. Options are:",
			"    * MKSTREAM",
			"      Create the empty stream if it does not exist.",
			"    * ENTRIESREAD entries_read",
			"      Set the group's entries_read counter (internal use).",
			"CREATECONSUMER <key> <groupname> <consumer>",
			"    Create a new consumer in the specified group.",
			"DELCONSUMER <key> <groupname> <consumer>",
			"    Remove the specified consumer.",
			"DESTROY <key> <groupname>",
			"    Remove the specified group.",
			"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
			"    Set the current group ID and entries_read counter.",
		),
	}
}

func xinfoSubcommands() []*Spec {
	return []*Spec{
		{
			Name: "consumers", Arity: 4, Keys: One(2, "RO ACCESS"), Since: "5.0.0", Complexity: "O(1)",
			Summary: "List the consumers in a consumer group", Tips: "nondeterministic_output", Syntax: "key groupname",
			Read: xinfoConsumers,
		},
		{
			Name: "groups", Arity: 3, Keys: One(2, "RO ACCESS"), Since: "5.0.0", Complexity: "O(1)",
			Summary: "List the consumer groups of a stream", Syntax: "key",
			Read: xinfoGroups,
		},
		{
			Name: "stream", Arity: -3, Keys: One(2, "RO ACCESS"), Since: "5.0.0", Complexity: "O(1)",
			Summary: "Get information about a stream", Syntax: "key [FULL <[COUNT count]>]",
			Read: xinfoStream,
		},
		Help("xinfo", "stream", "5.0.0",
			"CONSUMERS <key> <groupname>",
			"    Show consumers of <groupname>.",
			"GROUPS <key>",
			"    Show the stream consumer groups.",
			"STREAM <key> [FULL [COUNT <count>]",
			"    Show information about the stream.",
		),
	}
}
