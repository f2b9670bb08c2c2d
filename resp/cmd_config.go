package resp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/resp/directive"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/glob"
)

func configContainer() local {
	const flags = command.Admin | command.NoScript | command.Loading | command.Stale
	return local{
		spec: command.Spec{Name: "config", Arity: -2, Group: "server", Since: "2.0.0", Complexity: "Depends on subcommand.", Summary: "A container for server configuration commands"},
		subs: []local{
			{spec: command.Spec{Name: "get", Arity: -3, Flags: flags, Since: "2.0.0", Complexity: "O(N) when N is the number of configuration parameters provided",
				Summary: "Get the values of configuration parameters", Syntax: "parameter [parameter ...]"}, when: inOrder, run: (*conn).cmdConfigGet},
			{spec: command.Spec{Name: "set", Tips: "request_policy:all_nodes response_policy:all_succeeded", Arity: -4, Flags: flags, Since: "2.0.0", Complexity: "O(N) when N is the number of configuration parameters provided",
				Summary: "Set configuration parameters to the given values", Syntax: "parameter value [parameter value ...]"}, when: slow, run: (*conn).cmdConfigSet,
				secret: func(argv [][]byte, i int) bool {
					return i >= 3 && i%2 == 1 && command.EqualFold(argv[i-1], "requirepass")
				}},
			{spec: command.Spec{Name: "resetstat", Arity: 2, Flags: flags, Since: "2.0.0", Complexity: "O(1)",
				Summary: "Reset the stats returned by INFO"}, when: inOrder, run: (*conn).cmdConfigResetstat},
			{spec: command.Spec{Name: "rewrite", Arity: 2, Flags: flags, Since: "2.8.0", Complexity: "O(1)",
				Summary: "Rewrite the configuration file with the in memory configuration"}, when: slow, run: (*conn).cmdConfigRewrite},
			{spec: *command.Help("config", "server", "5.0.0",
				"GET <pattern>",
				"    Return parameters matching the glob-like <pattern> and their values.",
				"SET <directive> <value>",
				"    Set the configuration <directive> to <value>.",
				"RESETSTAT",
				"    Reset statistics reported by the INFO command.",
				"REWRITE",
				"    Rewrite the configuration file.")},
		},
	}
}

// setting is one directive that CONFIG knows, with its value: a field of the
// front's Config, or what another owner says.
type setting struct {
	directive.Directive

	get   func(*Config) string
	stage func(*Config, string) error // nil: Owner is not Front
	set   func(string) error          // nil: Owner is Front, or it is Immutable
}

// settings is the registry of CONFIG, composed from the owners' lists.
func (s *Server) settings() []setting {
	var all []setting
	for _, d := range Directives() {
		all = append(all, setting{Directive: d.Directive, get: d.get, stage: d.set})
	}
	for _, o := range s.others {
		all = append(all, setting{Directive: o.Directive, get: func(*Config) string { return o.Get() }, set: o.Set})
	}
	return all
}

// cmdConfigGet answers every directive that a pattern matches, once, under the
// name that matched.
func (c *conn) cmdConfigGet(argv [][]byte) {
	cfg := c.srv.config()
	var names, values []string
	for _, s := range c.srv.settings() {
		for _, name := range s.Names() {
			if slices.ContainsFunc(argv[2:], func(p []byte) bool {
				return glob.Match(p, []byte(name), true)
			}) {
				names, values = append(names, name), append(values, s.get(cfg))
			}
		}
	}
	c.enc.Map(len(names))
	for i := range names {
		c.enc.BulkString(names[i])
		c.enc.BulkString(values[i])
	}
}

// cmdConfigSet changes all of the given directives or none of them.
func (c *conn) cmdConfigSet(argv [][]byte) {
	if len(argv)%2 != 0 {
		c.enc.Error(command.ErrSyntax)
		return
	}
	s := c.srv
	s.cfgMu.Lock()
	defer s.cfgMu.Unlock()
	all := s.settings()
	type change struct {
		setting *setting
		name    string // that it was called by
		value   string
	}
	var changes []change
	for i := 2; i < len(argv); i += 2 {
		name := string(argv[i])
		at := slices.IndexFunc(all, func(st setting) bool {
			return slices.ContainsFunc(st.Names(), func(n string) bool { return strings.EqualFold(n, name) })
		})
		if at < 0 {
			c.enc.Error(oneLine(fmt.Sprintf("ERR Unknown option or number of arguments for CONFIG SET - '%s'", name)))
			return
		}
		if all[at].Owner == directive.Nobody && all[at].Says(string(argv[i+1])) {
			continue // it is so anyway: programs ask for save "" and for noeviction
		}
		changes = append(changes, change{&all[at], name, string(argv[i+1])})
	}
	fail := func(name, why string) {
		c.enc.Error(oneLine(fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument '%s') - %s", name, why)))
	}
	next := *s.config()
	for i, ch := range changes {
		if ch.setting.Immutable {
			fail(ch.name, "can't set immutable config")
			return
		}
		if slices.ContainsFunc(changes[:i], func(o change) bool { return o.setting == ch.setting }) {
			fail(ch.name, "duplicate parameter")
			return
		}
	}
	for _, ch := range changes {
		if ch.setting.stage != nil {
			if err := ch.setting.stage(&next, ch.value); err != nil {
				fail(ch.setting.Name, err.Error())
				return
			}
		}
	}
	if most := s.opts.MostClients; most > 0 && next.MaxClients > most {
		fail("maxclients", fmt.Sprintf("The operating system is not able to handle the specified number of clients, try with %d", most))
		return
	}
	var done []change
	undo := func() {
		for _, u := range done {
			if err := u.setting.set(u.value); err != nil {
				s.log.Error("restore a directive", zap.String("name", u.setting.Name), zap.Error(err))
			}
		}
	}
	for _, ch := range changes {
		if ch.setting.set == nil {
			continue
		}
		old := ch.setting.get(nil)
		if err := ch.setting.set(ch.value); err != nil {
			undo()
			fail(ch.setting.Name, err.Error())
			return
		}
		done = append(done, change{setting: ch.setting, value: old})
	}
	if i := slices.IndexFunc(changes, func(ch change) bool { return ch.setting.Name == "requirepass" }); i >= 0 {
		old := s.users().Default().PasswordRules()
		if err := s.setUser(acl.DefaultName, passwordRules(changes[i].value)); err != nil {
			undo()
			fail(changes[i].setting.Name, strings.TrimPrefix(store.Line(err), "ERR "))
			return
		}
		undoOthers := undo
		undo = func() {
			undoOthers()
			if err := s.setUser(acl.DefaultName, old); err != nil {
				s.log.Error("restore a directive", zap.String("name", "requirepass"), zap.Error(err))
			}
		}
	}
	if at := slices.IndexFunc(changes, func(ch change) bool { return isTLS(&ch.setting.Directive) }); at >= 0 {
		if err := s.changeTLS(&next); err != nil {
			undo()
			fail(changes[at].setting.Name, err.Error())
			return
		}
	}
	s.applyConfig(&next)
	for _, ch := range changes {
		s.changed[ch.setting.Name] = ch.setting.get(&next)
	}
	c.enc.Status("OK")
}

// applyConfig makes next the configuration that everybody reads from now on.
func (s *Server) applyConfig(next *Config) {
	s.cfg.Store(next)
	s.slowlog.mu.Lock()
	s.slowlog.trim(int(next.SlowlogMaxLen))
	s.slowlog.mu.Unlock()
	s.store.LimitTracking(int(next.TrackingKeys))
}

func (c *conn) cmdConfigResetstat([][]byte) {
	c.srv.resetStats()
	c.enc.Status("OK")
}

func (c *conn) cmdConfigRewrite([][]byte) {
	s := c.srv
	if s.opts.Rewrite == nil {
		c.enc.Error(errNoConfigFile)
		return
	}
	s.cfgMu.Lock()
	defer s.cfgMu.Unlock()
	if err := s.opts.Rewrite(s.changed); err != nil {
		c.enc.Error("ERR Rewriting config file: " + err.Error())
		return
	}
	c.enc.Status("OK")
}

// eachCommand calls visit for every command and subcommand, in the order of
// names.
func (s *Server) eachCommand(visit func(*cmd)) {
	for _, spec := range s.opts.Table.All() {
		cm := s.commands[spec.Name]
		visit(cm)
		for _, sub := range cm.subs {
			visit(sub)
		}
	}
}

// humanBytes writes a number of bytes as INFO does.
func humanBytes(n int64) string {
	units := []string{"B", "K", "M", "G", "T", "P"}
	f, i := float64(n), 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + "B"
	}
	return fmt.Sprintf("%.2f%s", f, units[i])
}
