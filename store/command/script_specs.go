package command

// Scripting declares the commands of scripts and functions. SCRIPT KILL, FUNCTION KILL
// and FUNCTION STATS are about what a node runs, and the front's.
func Scripting() []*Spec {
	return []*Spec{
		runs("eval", "2.6.0", "Execute a Lua script server side", "script", BySource, false),
		runs("evalsha", "2.6.0", "Execute a Lua script server side", "sha1", BySHA, false),
		runs("eval_ro", "7.0.0", "Execute a read-only Lua script server side", "script", BySource, true),
		runs("evalsha_ro", "7.0.0", "Execute a read-only Lua script server side", "sha1", BySHA, true),
		runs("fcall", "7.0.0", "Invoke a function", "function", ByName, false),
		runs("fcall_ro", "7.0.0", "Invoke a read-only function", "function", ByName, true),
		scriptContainer(),
		functionContainer(),
	}
}

// runs declares a command that runs a script.
func runs(name, since, summary, what string, by Naming, ro bool) *Spec {
	kind := "script"
	if by == ByName {
		kind = "function"
	}
	flags, keyFlags := MayReplicate, "RW ACCESS UPDATE"
	if ro {
		flags, keyFlags = Readonly, "RO ACCESS"
	}
	return &Spec{
		Name: name, Arity: -3, Flags: flags | NoScript | Stale | SkipMonitor | NoMandatoryKeys | MovableKeys,
		Keys: Counted(2, keyFlags), Script: true, Runs: by,
		Group: "scripting", Since: since, Complexity: "Depends on the " + kind + " that is executed.",
		Summary: summary,
		Syntax:  what + " numkeys [key [key ...]] [arg [arg ...]]",
		Read:    scriptRead(by, ro),
		Write:   scriptWrite(by, ro),
	}
}

const (
	tipAllNodes  = "request_policy:all_nodes response_policy:all_succeeded"
	tipAllShards = "request_policy:all_shards response_policy:all_succeeded"
)

func scriptContainer() *Spec {
	const group = "scripting"
	return &Spec{
		Name: "script", Arity: -2, Script: true, Group: group, Since: "2.6.0", Complexity: "Depends on subcommand.",
		Summary: "A container for Lua scripts management commands",
		Subcommands: []*Spec{
			{
				Name: "exists", Arity: -3, Flags: NoScript, Script: true, Tips: "request_policy:all_shards response_policy:agg_logical_and",
				Group: group, Since: "2.6.0", Complexity: "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
				Summary: "Check existence of scripts in the script cache.",
				Syntax:  "sha1 [sha1 ...]",
				Read:    scriptExists,
			},
			{
				Name: "flush", Arity: -2, Flags: NoScript, Script: true, Tips: tipAllNodes,
				Group: group, Since: "2.6.0", Complexity: "O(N) with N being the number of scripts in cache",
				Summary: "Remove all the scripts from the script cache.",
				Syntax:  "[ASYNC | SYNC]",
				Write:   scriptFlush,
			},
			{
				Name: "load", Arity: 3, Flags: NoScript | Stale, Script: true, Tips: tipAllNodes,
				Group: group, Since: "2.6.0", Complexity: "O(N) with N being the length in bytes of the script body.",
				Summary: "Load the specified Lua script into the script cache.",
				Syntax:  "script",
				Write:   scriptLoad,
			},
			Help("script", group, "5.0.0",
				"DEBUG (YES|SYNC|NO)",
				"    Set the debug mode for subsequent scripts executed.",
				"EXISTS <sha1> [<sha1> ...]",
				"    Return information about the existence of the scripts in the script cache.",
				"FLUSH [ASYNC|SYNC]",
				"    Flush the Lua scripts cache. Very dangerous on replicas.",
				"    When called without the optional mode argument, the behavior is determined by the",
				"    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
				"    * ASYNC: Asynchronously flush the scripts cache.",
				"    * SYNC: Synchronously flush the scripts cache.",
				"KILL",
				"    Kill the currently executing Lua script.",
				"LOAD <script>",
				"    Load a script into the scripts cache without executing it."),
		},
	}
}

func functionContainer() *Spec {
	const group, since = "scripting", "7.0.0"
	return &Spec{
		Name: "function", Arity: -2, Script: true, Group: group, Since: since, Complexity: "Depends on subcommand.",
		Summary: "A container for function commands",
		Subcommands: []*Spec{
			{
				Name: "delete", Arity: 3, Flags: WriteFlag | NoScript, Script: true, Tips: tipAllShards,
				Group: group, Since: since, Complexity: "O(1)",
				Summary: "Delete a function by name",
				Syntax:  "library-name",
				Write:   functionDelete,
			},
			{
				Name: "dump", Arity: 2, Flags: NoScript, Script: true,
				Group: group, Since: since, Complexity: "O(N) where N is the number of functions",
				Summary: "Dump all functions into a serialized binary payload",
				Read:    functionDump,
			},
			{
				Name: "flush", Arity: -2, Flags: WriteFlag | NoScript, Script: true, Tips: tipAllShards,
				Group: group, Since: since, Complexity: "O(N) where N is the number of functions deleted",
				Summary: "Deleting all functions",
				Syntax:  "[ASYNC | SYNC]",
				Write:   functionFlush,
			},
			{
				Name: "list", Arity: -2, Flags: NoScript, Script: true, Tips: "nondeterministic_output_order",
				Group: group, Since: since, Complexity: "O(N) where N is the number of functions",
				Summary: "List information about all the functions",
				Syntax:  "[LIBRARYNAME library-name-pattern] [WITHCODE]",
				Read:    functionList,
			},
			{
				Name: "load", Arity: -3, Flags: WriteFlag | DenyOOM | NoScript, Script: true, Tips: tipAllShards,
				Group: group, Since: since, Complexity: "O(1) (considering compilation time is redundant)",
				Summary: "Create a function with the given arguments (name, code, description)",
				Syntax:  "[REPLACE] function-code",
				Write:   functionLoad,
			},
			{
				Name: "restore", Arity: -3, Flags: WriteFlag | DenyOOM | NoScript, Script: true, Tips: tipAllShards,
				Group: group, Since: since, Complexity: "O(N) where N is the number of functions on the payload",
				Summary: "Restore all the functions on the given payload",
				Syntax:  "serialized-value [FLUSH | APPEND | REPLACE]",
				Write:   functionRestore,
			},
			Help("function", group, since,
				"LOAD [REPLACE] <FUNCTION CODE>",
				"    Create a new library with the given library name and code.",
				"DELETE <LIBRARY NAME>",
				"    Delete the given library.",
				"LIST [LIBRARYNAME PATTERN] [WITHCODE]",
				"    Return general information on all the libraries:",
				"    * Library name",
				"    * The engine used to run the Library",
				"    * Library description",
				"    * Functions list",
				"    * Library code (if WITHCODE is given)",
				"    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
				"STATS",
				"    Return information about the current function running:",
				"    * Function name",
				"    * Command used to run the function",
				"    * Duration in MS that the function is running",
				"    If no function is running, return nil",
				"    In addition, returns a list of available engines.",
				"KILL",
				"    Kill the current running function.",
				"FLUSH [ASYNC|SYNC]",
				"    Delete all the libraries.",
				"    When called without the optional mode argument, the behavior is determined by the",
				"    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
				"    * ASYNC: Asynchronously flush the libraries.",
				"    * SYNC: Synchronously flush the libraries.",
				"DUMP",
				"    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
				"RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
				"    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
				"    control how to handle existing libraries (default APPEND):",
				"    * FLUSH: delete all existing libraries.",
				"    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
				"    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
				"      libraries with the new libraries (notice that even on this option there is a chance of failure",
				"      in case of functions name collision with another library)."),
		},
	}
}
