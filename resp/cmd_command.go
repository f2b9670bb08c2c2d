package resp

import (
	"slices"
	"strings"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/glob"
)

func commandContainer() local {
	const flags = command.Loading | command.Stale
	const each = "O(N) where N is the total number of Redis commands"
	return local{
		spec: command.Spec{Name: "command", Tips: "nondeterministic_output_order", ACL: "connection", Arity: -1, Flags: flags, Group: "server", Since: "2.8.13", Complexity: each, Summary: "Get array of Redis command details"},
		when: anytime, run: func(c *conn, argv [][]byte) { c.cmdCommandInfo(append(argv[:1:1], nil)) },
		subs: []local{
			{spec: command.Spec{Name: "count", ACL: "connection", Arity: 2, Flags: flags, Since: "2.8.13", Complexity: "O(1)", Summary: "Get total number of Redis commands"},
				when: anytime, run: func(c *conn, _ [][]byte) { c.enc.Int(int64(len(c.srv.commands))) }},
			{spec: command.Spec{Name: "list", Tips: "nondeterministic_output_order", ACL: "connection", Arity: -2, Flags: flags, Since: "7.0.0", Complexity: each, Summary: "Get an array of Redis command names",
				Syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]"}, when: anytime, run: (*conn).cmdCommandList},
			{spec: command.Spec{Name: "info", Tips: "nondeterministic_output_order", ACL: "connection", Arity: -2, Flags: flags, Since: "2.8.13", Complexity: "O(N) where N is the number of commands to look up", Summary: "Get array of specific Redis command details, or all when no argument is given.",
				Syntax: "[command-name [command-name ...]]"}, when: anytime, run: (*conn).cmdCommandInfo},
			{spec: command.Spec{Name: "docs", Tips: "nondeterministic_output_order", ACL: "connection", Arity: -2, Flags: flags, Since: "7.0.0", Complexity: "O(N) where N is the number of commands to look up", Summary: "Get array of specific Redis command documentation",
				Syntax: "[command-name [command-name ...]]"}, when: anytime, run: (*conn).cmdCommandDocs},
			{spec: command.Spec{Name: "getkeys", ACL: "connection", Arity: -4, Flags: flags, Since: "2.8.13", Complexity: "O(N) where N is the number of arguments to the command", Summary: "Extract keys given a full Redis command"},
				when: anytime, run: func(c *conn, argv [][]byte) { command.WriteKeys(c.enc, c.srv.opts.Table, argv[2:], false) }},
			{spec: command.Spec{Name: "getkeysandflags", ACL: "connection", Arity: -4, Flags: flags, Since: "7.0.0", Complexity: "O(N) where N is the number of arguments to the command", Summary: "Extract keys and access flags given a full Redis command"},
				when: anytime, run: func(c *conn, argv [][]byte) { command.WriteKeys(c.enc, c.srv.opts.Table, argv[2:], true) }},
			{spec: withACL("connection", command.Help("command", "server", "5.0.0",
				"(no subcommand)",
				"    Return details about all Redis commands.",
				"COUNT",
				"    Return the total number of commands in this Redis server.",
				"LIST",
				"    Return a list of all commands in this Redis server.",
				"INFO [<command-name> ...]",
				"    Return details about multiple Redis commands.",
				"    If no command names are given, documentation details for all",
				"    commands are returned.",
				"DOCS [<command-name> ...]",
				"    Return documentation details about multiple Redis commands.",
				"    If no command names are given, documentation details for all",
				"    commands are returned.",
				"GETKEYS <full-command>",
				"    Return the keys from a full Redis command.",
				"GETKEYSANDFLAGS <full-command>",
				"    Return the keys and the access flags from a full Redis command."))},
		},
	}
}

func withACL(categories string, s *command.Spec) command.Spec {
	s.ACL = categories
	return *s
}

// named finds a command by the name that COMMAND knows it by: "config|get".
func (s *Server) named(name []byte) *command.Spec {
	parent, sub, isSub := strings.Cut(string(name), "|")
	spec := s.opts.Table.Lookup([]byte(parent))
	if isSub && spec != nil {
		return spec.Sub([]byte(sub))
	}
	return spec
}

func (c *conn) cmdCommandInfo(argv [][]byte) {
	if len(argv) == 2 {
		all := c.srv.opts.Table.All()
		c.enc.Array(len(all))
		for _, spec := range all {
			command.WriteInfo(c.enc, spec)
		}
		return
	}
	c.enc.Array(len(argv) - 2)
	for _, name := range argv[2:] {
		if spec := c.srv.named(name); spec != nil {
			command.WriteInfo(c.enc, spec)
		} else {
			c.enc.Null()
		}
	}
}

func (c *conn) cmdCommandDocs(argv [][]byte) {
	specs := c.srv.opts.Table.All()
	if len(argv) > 2 {
		specs = nil
		for _, name := range argv[2:] {
			if spec := c.srv.named(name); spec != nil {
				specs = append(specs, spec)
			}
		}
	}
	c.enc.Map(len(specs))
	for _, spec := range specs {
		c.enc.BulkString(spec.FullName())
		command.WriteDocs(c.enc, spec)
	}
}

func (c *conn) cmdCommandList(argv [][]byte) {
	keep := func(*command.Spec) bool { return true }
	if len(argv) > 2 {
		if len(argv) != 5 || !command.EqualFold(argv[2], "filterby") {
			c.enc.Error(command.ErrSyntax)
			return
		}
		switch arg := argv[4]; {
		case command.EqualFold(argv[3], "module"):
			keep = func(*command.Spec) bool { return false } // there are none
		case command.EqualFold(argv[3], "aclcat"):
			category := strings.ToLower(string(arg))
			keep = func(s *command.Spec) bool { return slices.Contains(s.Categories(), category) }
		case command.EqualFold(argv[3], "pattern"):
			keep = func(s *command.Spec) bool { return glob.Match(arg, []byte(s.FullName()), true) }
		default:
			c.enc.Error(command.ErrSyntax)
			return
		}
	}
	var names []string
	var visit func(specs []*command.Spec)
	visit = func(specs []*command.Spec) {
		for _, s := range specs {
			if keep(s) {
				names = append(names, s.FullName())
			}
			visit(s.Subcommands)
		}
	}
	visit(c.srv.opts.Table.All())
	c.enc.Strings(names...)
}
