package resp

import "github.com/raftredis/raftredis/store/command"

// What Redis has and a cluster of raft members has no use for. Tools ask all the same,
// and are told why not and what there is instead.
const (
	errNoModules   = "ERR modules cannot be loaded: what they do to data could not be repeated on every node"
	errNoSuchMod   = "ERR Error unloading module: no such module with that name"
	errNoReplicaOf = "ERR a node cannot be made a replica by hand: members join and leave their cluster with RAFT ADD and RAFT REMOVE"
)

// refused is the handler of a command that is always answered with an error.
func refused(line string) func(*conn, [][]byte) {
	return func(c *conn, _ [][]byte) { c.enc.Error(line) }
}

func moduleContainer() local {
	const admin = command.Admin | command.NoScript
	sub := func(name string, arity int, flags command.Flags, since, summary, syntax string, run func(*conn, [][]byte)) local {
		return local{spec: command.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Complexity: "O(1)", Summary: summary, Syntax: syntax}, when: inOrder, run: run}
	}
	return local{
		spec: command.Spec{Name: "module", Arity: -2, Group: "server", Since: "4.0.0", Complexity: "Depends on subcommand.", Summary: "A container for module commands"},
		subs: []local{
			sub("list", 2, admin, "4.0.0", "List the modules, of which there are none", "", func(c *conn, _ [][]byte) { c.enc.Array(0) }).tips("nondeterministic_output_order"),
			sub("load", -3, admin|command.NoAsyncLoading, "4.0.0", "Refuse to load a module", "path [arg [arg ...]]", refused(errNoModules)),
			sub("loadex", -3, admin|command.NoAsyncLoading, "7.0.0", "Refuse to load a module", "path [CONFIG name value [CONFIG name value ...]] [ARGS arg [arg ...]]", refused(errNoModules)),
			sub("unload", 3, admin|command.NoAsyncLoading, "4.0.0", "Refuse to unload a module", "name", refused(errNoSuchMod)),
			{spec: *command.Help("module", "server", "5.0.0",
				"LIST",
				"    Return a list of loaded modules.",
				"LOAD <path> [<arg> ...]",
				"    Load a module library from <path>, passing to it any optional arguments.",
				"LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
				"    Load a module library from <path>, while passing it module configurations and optional arguments.",
				"UNLOAD <name>",
				"    Unload a module.")},
		},
	}
}

// replicaof is REPLICAOF, by either of its names.
func replicaof(name, since string) local {
	return local{spec: command.Spec{Name: name, Arity: 3, Flags: command.Admin | command.NoScript | command.Stale | command.NoAsyncLoading, Group: "server", Since: since, Complexity: "O(1)",
		Summary: "Refuse to make this node a replica", Syntax: "host port"}, when: inOrder, run: refused(errNoReplicaOf)}
}
