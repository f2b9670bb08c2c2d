package resp

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/raftredis/raftredis/resp/wire"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
)

func aclFamily() []local {
	const flags = command.NoScript | command.Loading | command.Stale
	sub := func(name string, arity int, since, complexity, summary, syntax string, w when, run func(*conn, [][]byte)) local {
		return local{spec: command.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Complexity: complexity, Summary: summary, Syntax: syntax}, when: w, run: run}
	}
	admin := func(l local) local { l.spec.Flags |= command.Admin; return l }
	const perUser = "O(N). Where N is the number of configured users."
	return []local{{
		spec: command.Spec{Name: "acl", Arity: -2, Group: "server", Since: "6.0.0", Complexity: "Depends on subcommand.", Summary: "A container for Access List Control commands"},
		subs: []local{
			sub("cat", -2, "6.0.0", "O(1) since the categories and commands are a fixed set.", "List the ACL categories or the commands inside a category", "[categoryname]", anytime, (*conn).cmdACLCat),
			admin(sub("deluser", -3, "6.0.0", "O(1) amortized time considering the typical user.", "Remove the specified ACL users and the associated rules", "username [username ...]", slow, (*conn).cmdACLDelUser)),
			admin(sub("dryrun", -4, "7.0.0", "O(1).", "Returns whether the user can execute the given command without executing the command.", "username command [arg ...]", inOrder, (*conn).cmdACLDryRun)),
			sub("genpass", -2, "6.0.0", "O(1)", "Generate a pseudorandom secure password to use for ACL users", "[bits:integer]", anytime, (*conn).cmdACLGenPass),
			admin(sub("getuser", 3, "6.0.0", "O(N). Where N is the number of password, command and pattern rules that the user has.", "Get the rules for a specific ACL user", "username", inOrder, (*conn).cmdACLGetUser)),
			admin(sub("list", 2, "6.0.0", perUser, "List the current ACL rules in ACL config file format", "", inOrder, (*conn).cmdACLList)),
			admin(sub("load", 2, "6.0.0", perUser, "Reload the ACLs from the configured ACL file", "", anytime, (*conn).cmdACLFile)),
			admin(sub("log", -2, "6.0.0", "O(N) with N being the number of entries shown.", "List latest events denied because of ACLs in place", "[count:integer | RESET]", inOrder, (*conn).cmdACLLog)),
			admin(sub("save", 2, "6.0.0", perUser, "Save the current ACL rules in the configured ACL file", "", anytime, (*conn).cmdACLFile)),
			admin(sub("setuser", -3, "6.0.0", "O(N). Where N is the number of rules provided.", "Modify or create the rules for a specific ACL user", "username [rule [rule ...]]", slow, (*conn).cmdACLSetUser)).hiding(2),
			admin(sub("users", 2, "6.0.0", perUser, "List the username of all the configured ACL rules", "", inOrder, (*conn).cmdACLUsers)),
			sub("whoami", 2, "6.0.0", "O(1)", "Return the name of the user associated to the current connection", "", inOrder, func(c *conn, _ [][]byte) { c.enc.BulkString(c.who.policy.User.Name) }),
			{spec: *command.Help("acl", "server", "6.0.0",
				"CAT [<category>]",
				"    List all commands that belong to <category>, or all command categories",
				"    when no category is specified.",
				"DELUSER <username> [<username> ...]",
				"    Delete a list of users.",
				"DRYRUN <username> <command> [<arg> ...]",
				"    Returns whether the user can execute the given command without executing the command.",
				"GETUSER <username>",
				"    Get the user's details.",
				"GENPASS [<bits>]",
				"    Generate a secure 256-bit user password. The optional `bits` argument can",
				"    be used to specify a different size.",
				"LIST",
				"    Show users details in config file format.",
				"LOAD",
				"    Reload users from the ACL file.",
				"LOG [<count> | RESET]",
				"    Show the ACL log entries.",
				"SAVE",
				"    Save the current config to the ACL file.",
				"SETUSER <username> <attribute> [<attribute> ...]",
				"    Create or modify a user with the specified attributes.",
				"USERS",
				"    List all the registered usernames.",
				"WHOAMI",
				"    Return the current connection username.")},
		},
	}}
}

// parserFor reads rules as a node's directives want.
func parserFor(commands *acl.Commands, cfg *Config) *acl.Parser {
	return &acl.Parser{Commands: commands, Split: splitWords, AllChannels: cfg.ACLPubSubDefault == "allchannels"}
}

// splitWords is wire.SplitInline for strings.
func splitWords(line string) ([]string, bool) {
	argv, ok := wire.SplitInline([]byte(line), nil)
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = string(a)
	}
	return words, ok
}

// setUser has the rules applied to a user on all nodes. The error's text is
// Redis's, without the code.
func (s *Server) setUser(name string, args []string) error {
	p := parserFor(s.access.commands, s.config())
	rules, err := p.Parse(args)
	if err != nil {
		return err
	}
	if line := rules.Error(s.users(), name, p.AllChannels); line != "" {
		return errors.New(line)
	}
	_, err = s.changeUsers(acl.SetUser(name, p.AllChannels, rules))
	if failed := (*acl.Failure)(nil); errors.As(err, &failed) {
		return errors.New(rules.Explain(failed))
	}
	return err
}

func (c *conn) cmdACLSetUser(argv [][]byte) {
	name := string(argv[2])
	if !acl.ValidName(name) {
		c.enc.Error("ERR Usernames can't contain spaces or null characters")
		return
	}
	rules := make([]string, len(argv)-3)
	for i := range rules {
		rules[i] = string(argv[3+i])
	}
	if err := c.srv.setUser(name, rules); err != nil {
		c.enc.Error(oneLine(store.Line(err)))
		return
	}
	c.enc.Status("OK")
}

func (c *conn) cmdACLDelUser(argv [][]byte) {
	var names []string
	for _, a := range argv[2:] {
		if cString(a, len(a)) == acl.DefaultName {
			c.enc.Error("ERR The 'default' user cannot be removed")
			return
		}
		names = append(names, string(a))
	}
	deleted, err := c.srv.changeUsers(acl.DelUser(names))
	if err != nil {
		c.enc.Error(store.Line(err))
		return
	}
	c.enc.Int(int64(deleted))
}

func (c *conn) cmdACLUsers([][]byte) {
	all := c.srv.users().All()
	c.enc.Array(len(all))
	for _, u := range all {
		c.enc.BulkString(u.Name)
	}
}

func (c *conn) cmdACLList([][]byte) {
	all := c.srv.users().All()
	c.enc.Array(len(all))
	for _, u := range all {
		c.enc.BulkString("user " + u.Name + " " + c.srv.policy(u).Line(c.srv.access.commands))
	}
}

func (c *conn) cmdACLGetUser(argv [][]byte) {
	u := c.srv.users().Find(string(argv[2]))
	if u == nil {
		c.enc.Null()
		return
	}
	selectors := c.srv.policy(u).Describe(c.srv.access.commands)
	describe := func(d acl.Description) {
		c.enc.BulkString("commands")
		c.enc.BulkString(d.Commands)
		c.enc.BulkString("keys")
		c.enc.BulkString(d.Keys)
		c.enc.BulkString("channels")
		c.enc.BulkString(d.Channels)
	}
	c.enc.Map(6)
	c.enc.BulkString("flags")
	flags := u.Flags()
	c.enc.Set(len(flags))
	for _, f := range flags {
		c.enc.BulkString(f)
	}
	c.enc.BulkString("passwords")
	c.enc.Strings(u.Passwords()...)
	describe(selectors[0])
	c.enc.BulkString("selectors")
	c.enc.Array(len(selectors) - 1)
	for _, d := range selectors[1:] {
		c.enc.Map(3)
		describe(d)
	}
}

func (c *conn) cmdACLCat(argv [][]byte) {
	switch len(argv) {
	case 2:
		c.enc.Strings(command.Categories()...)
	case 3:
		names, ok := c.srv.access.commands.Category(cString(argv[2], len(argv[2])))
		if !ok {
			c.enc.Error(oneLine(fmt.Sprintf("ERR Unknown category '%s'", cString(argv[2], 128))))
			return
		}
		c.enc.Strings(names...)
	default:
		c.enc.Error(subcommandSyntax(argv))
	}
}

// cmdACLFile is LOAD and SAVE. Users are state of the cluster: they are on the
// disks of all members, and a file of one of them has no say.
func (c *conn) cmdACLFile([][]byte) {
	c.enc.Error("ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.")
}

func (c *conn) cmdACLGenPass(argv [][]byte) {
	const most = 4096
	bits := int64(256)
	if len(argv) > 3 {
		c.enc.Error(subcommandSyntax(argv))
		return
	}
	if len(argv) == 3 {
		var ok bool
		if bits, ok = command.ParseInt(argv[2]); !ok {
			c.enc.Error(command.ErrNotInteger)
			return
		}
	}
	if bits <= 0 || bits > most {
		c.enc.Error(fmt.Sprintf("ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to %d", most))
		return
	}
	chars := (bits + 3) / 4
	b := make([]byte, (chars+1)/2)
	_, _ = rand.Read(b) // it never fails
	c.enc.BulkString(hex.EncodeToString(b)[:chars])
}

func (c *conn) cmdACLLog(argv [][]byte) {
	count := int64(10)
	switch {
	case len(argv) > 3:
		c.enc.Error(subcommandSyntax(argv))
		return
	case len(argv) == 3 && command.EqualFold(argv[2], "reset"):
		c.srv.aclLog.reset()
		c.enc.Status("OK")
		return
	case len(argv) == 3:
		var ok bool
		if count, ok = command.ParseInt(argv[2]); !ok {
			c.enc.Error(command.ErrNotInteger)
			return
		}
	}
	now := c.srv.now()
	all := c.srv.aclLog.latest(max(0, count))
	c.enc.Array(len(all))
	for i := range all {
		e := &all[i]
		c.enc.Map(7)
		c.enc.BulkString("count")
		c.enc.Int(e.count)
		for _, field := range [][2]string{{"reason", e.reason}, {"context", e.where}, {"object", e.object}, {"username", e.user}} {
			c.enc.BulkString(field[0])
			c.enc.BulkString(field[1])
		}
		c.enc.BulkString("age-seconds")
		c.enc.Double(float64(now.Sub(e.at).Milliseconds()) / 1000)
		c.enc.BulkString("client-info")
		c.enc.BulkString(e.client)
	}
}

func (c *conn) cmdACLDryRun(argv [][]byte) {
	s := c.srv
	call := argv[3:]
	fail := func(format string, a ...any) { c.enc.Error(oneLine("ERR " + fmt.Sprintf(format, a...))) }
	u := s.users().Find(string(argv[2]))
	if u == nil {
		fail("User '%s' not found", cString(argv[2], len(argv[2])))
		return
	}
	cm, _ := s.lookup(call)
	if cm == nil {
		fail("Command '%s' not found", cString(call[0], len(call[0])))
		return
	}
	if !cm.spec.ArityOK(len(call)) {
		fail("wrong number of arguments for '%s' command", cm.name)
		return
	}
	v := s.policy(u).Check(s.access.commands, cm.spec, call)
	switch v.Denied {
	case acl.Allowed:
		c.enc.Status("OK")
	case acl.DeniedKey:
		c.enc.BulkString(fmt.Sprintf("This user has no permissions to access the '%s' key", cString(call[v.Arg], len(call[v.Arg]))))
	case acl.DeniedChannel:
		c.enc.BulkString(fmt.Sprintf("This user has no permissions to access the '%s' channel", cString(call[v.Arg], len(call[v.Arg]))))
	default:
		c.enc.BulkString(fmt.Sprintf("This user has no permissions to run the '%s' command", cm.name))
	}
}
