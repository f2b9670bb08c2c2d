package resp

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
)

// access is what the server knows about users beside their state: what that means
// for the commands that there are.
type access struct {
	commands *acl.Commands

	// seed is what the options of this node say of users, and seeded the users that
	// come of it. They count here until the log has a word on users: until then a
	// node that asks for a password must not be open.
	seed   acl.Change
	seeded *acl.Users

	// As long as a node that is no new one has not caught up once since its start, it
	// does not know who its users are: what it has may be years old, or nothing. They
	// are unknown then: nobody can log in or is taken to have done so, and there is
	// nothing to be had but what is LOADING anyway or does not matter.
	known   atomic.Bool
	unknown *acl.Users

	mu       sync.Mutex
	policies map[*acl.User]*acl.Policy
}

// users returns the users that are in force on this node.
func (s *Server) users() *acl.Users {
	if a := s.access; !a.known.Load() {
		if !s.store.Serving() {
			return a.unknown
		}
		a.known.Store(true)
	}
	if us := s.store.Users(); us.Version() > 0 {
		return us
	}
	return s.access.seeded
}

// newAccess reads what the options say of users.
func newAccess(table *command.Table, cfg *Config, users []UserLine) (*access, error) {
	a := &access{commands: acl.NewCommands(table), seed: acl.Seed(), seeded: acl.New(), unknown: acl.New(), policies: make(map[*acl.User]*acl.Policy)}
	p := parserFor(a.commands, cfg)
	add := func(name string, args []string) error {
		if !acl.ValidName(name) {
			return errors.New("Usernames can't contain spaces or null characters")
		}
		rules, err := p.Parse(args)
		if err != nil {
			return err
		}
		if line := rules.Error(a.seeded, name, p.AllChannels); line != "" {
			return errors.New(line)
		}
		a.seed.Add(name, p.AllChannels, rules)
		a.seeded, _, err = acl.New().Apply(a.seed)
		if failed := (*acl.Failure)(nil); errors.As(err, &failed) {
			return errors.New(rules.Explain(failed))
		}
		return err
	}
	if pass := cfg.RequirePass; pass != "" {
		if err := add(acl.DefaultName, passwordRules(pass)); err != nil {
			return nil, err
		}
	}
	for _, u := range users {
		rules := u.Rules
		if u.Name == acl.DefaultName {
			rules = append([]string{"reset"}, rules...) // as Redis: its line says all of it
		}
		if err := add(u.Name, rules); err != nil {
			return nil, fmt.Errorf("%suser %s: %w", u.Where, u.Name, err)
		}
	}
	return a, nil
}

// CheckUsers reads the users of the configuration, for main to know that they can
// be read before anything depends on it.
func CheckUsers(table *command.Table, cfg *Config, users []UserLine) error {
	_, err := newAccess(table, cfg, users)
	return err
}

// passwordRules are what requirepass is for the default user.
func passwordRules(password string) []string {
	if password == "" {
		return []string{"resetpass", "nopass"}
	}
	return []string{"resetpass", ">" + password}
}

// changeUsers has users changed on all nodes. What the options say of them comes
// first, so that a change does not come to stand on users that are not those in
// force here.
func (s *Server) changeUsers(change acl.Change) (changed int, err error) {
	if s.store.Users().Version() == 0 && !s.access.seed.Empty() {
		if _, err := s.store.ChangeUsers(s.access.seed); err != nil {
			return 0, err
		}
	}
	return s.store.ChangeUsers(change)
}

// SeedUsers is called by main, on a goroutine of its own: it makes what the options
// say of users state of the cluster, if nobody has said anything about users yet,
// and says where the cluster's are others. It ends with the server at the latest.
func (s *Server) SeedUsers() {
	a := s.access
	if a.seed.Empty() {
		return
	}
	for s.store.Users().Version() == 0 {
		_, err := s.store.ChangeUsers(a.seed)
		if err == nil {
			break
		}
		s.log.Warn("the users of the options are in force on this node alone as yet", zap.Error(err))
		select {
		case <-s.stopC:
			return
		case <-time.After(time.Second):
		}
	}
	now := s.store.Users()
	for _, want := range a.seeded.All() {
		have := now.Find(want.Name)
		if have == nil || s.policy(have).Line(a.commands) != s.policy(want).Line(a.commands) {
			s.log.Warn("a user of the options is not that of the cluster, which counts: ACL SETUSER changes it for all members", zap.String("user", want.Name))
		}
	}
}

// openToAll reports whether who connects needs no password, as far as is known.
func (s *Server) openToAll() bool {
	users := s.users()
	return users != s.access.unknown && users.Default().NoPass()
}

// policy returns what a user may do.
func (s *Server) policy(u *acl.User) *acl.Policy {
	a := s.access
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.policies[u]
	if p == nil {
		p = a.commands.Policy(u)
		a.policies[u] = p
	}
	return p
}

// usersChanged is called by the store after the users have changed. Every
// connection sees for itself whether its user is still there; those that have
// nothing to do are woken for that.
func (s *Server) usersChanged() {
	users := s.users()
	a := s.access
	a.mu.Lock()
	for u := range a.policies {
		if users.Find(u.Name) != u {
			delete(a.policies, u)
		}
	}
	a.mu.Unlock()
	go s.eachClient(func(c *conn) { c.link.Wake() }) // the apply loop waits for nobody
}

// identity is who a connection's commands are checked against.
type identity struct {
	limited bool        // there is something to check: see be
	authed  bool        // it has said who it is, or need not
	users   *acl.Users  // of which policy is
	policy  *acl.Policy // never nil
}

// be makes the connection's commands those of u, who is one of users.
func (c *conn) be(users *acl.Users, u *acl.User, authed bool) {
	p := c.srv.policy(u)
	c.who = identity{!authed || !p.Free() || users == c.srv.access.unknown, authed, users, p}
}

// beDefault makes the connection one that has not said who it is.
func (c *conn) beDefault() {
	users := c.srv.users()
	u := users.Default()
	c.be(users, u, u.Open() && users != c.srv.access.unknown)
}

// login makes the connection's user the one of that name, if the password is
// right. cm and argv are what is logged if it is not.
func (c *conn) login(cm *cmd, argv [][]byte, name, password []byte) bool {
	users := c.srv.users()
	if u := users.Find(string(name)); u != nil && u.Accepts(password) {
		c.be(users, u, true)
		return true
	}
	c.denied(cm, c.where(), "auth", string(argv[0]), string(name))
	return false
}

// refresh has the connection go by the users of now. The connection of a user that
// is gone comes to its end, and so does one that listens to what its user may not
// hear any more.
func (c *conn) refresh() {
	users := c.srv.users()
	if c.who.users == users {
		return
	}
	if c.unknown() {
		c.beDefault()
		if cfg := c.srv.config(); cfg.ProtectedMode && users.Default().NoPass() && !c.isLocal {
			c.dead = true // it would not have been let in
		}
		return
	}
	was := c.who.policy.User
	u := users.Find(was.Name)
	if u == nil || u.ID != was.ID {
		c.be(users, users.Default(), false)
		if c.state == forKeys || c.state == forPause {
			c.dead = true // it would never come to an end by itself
		}
		c.closing = true // the reply to ACL DELUSER may be its own
		return
	}
	c.be(users, u, c.who.authed)
	if u != was && c.overhears() {
		c.closing = true
	}
}

// overhears reports whether the connection subscribes to what its user may not, or
// not any more.
func (c *conn) overhears() bool {
	if c.listen.total() == 0 || c.who.policy.Free() {
		return false
	}
	for kind := range topicWords {
		for _, name := range c.srv.store.Subscriptions(&c.subscriber, store.Topic(kind)) {
			if !c.who.policy.Channel([]byte(name), store.Topic(kind) == store.Patterns) {
				return true
			}
		}
	}
	return false
}

// authRequired reports whether the connection has to say who it is first.
func (c *conn) authRequired() bool { return !c.who.authed && !c.who.users.Default().Open() }

// unknown reports whether this node does not know its users yet.
func (c *conn) unknown() bool { return c.who.users == c.srv.access.unknown }

// Texts of refusals, when a command comes and when EXEC runs it.
const (
	errNoPermCommand = "NOPERM this user has no permissions to run the '%s' command"
	errNoPermKey     = "NOPERM this user has no permissions to access one of the keys used as arguments"
	errNoPermChannel = "NOPERM this user has no permissions to access one of the channels used as arguments"
	errNoPermYet     = "NOPERM the members of the cluster have not agreed yet on who this user is: scripts have to wait for that"
	errNoPermExec    = "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: "
)

// permitted reports whether the connection's user may make a call; if not, line is
// the error. A refusal is logged.
func (c *conn) permitted(cm *cmd, argv [][]byte) (line string, ok bool) {
	v := c.who.policy.Check(c.srv.access.commands, cm.spec, argv)
	switch v.Denied {
	case acl.Allowed:
		if !c.mayScript(cm) {
			return errNoPermYet, false
		}
		return "", true
	case acl.DeniedKey:
		line = errNoPermKey
	case acl.DeniedChannel:
		line = errNoPermChannel
	default:
		line = fmt.Sprintf(errNoPermCommand, cm.name)
	}
	c.logVerdict(cm, c.where(), argv, v)
	return line, false
}

// mayScript reports whether the user may run scripts and functions already. What a
// script does is checked against what its user may, by every member: the users of this
// node's options mean nothing to the others before they are those of the log.
func (c *conn) mayScript(cm *cmd) bool {
	return cm.spec.Runs == 0 || c.who.policy.Free() || c.who.users != c.srv.access.seeded
}

// scriptPolicy is store.By.Policy.
func (c *conn) scriptPolicy() *acl.Policy {
	if p := c.who.policy; !p.Free() {
		return p
	}
	return nil
}

// refusedInside logs what the connection's scripts were not let do.
func (c *conn) refusedInside(cm *cmd, all []acl.Refusal) {
	for _, why := range all {
		reason := "command"
		switch why.Denied {
		case acl.DeniedKey:
			reason = "key"
		case acl.DeniedChannel:
			reason = "channel"
		}
		c.denied(cm, "lua", reason, why.Object, c.who.policy.User.Name)
	}
}

// deniedNow returns the error for a command that EXEC is about to run and that the
// user may not run, or not any more, "" if there is nothing against it.
func (c *conn) deniedNow(cm *cmd, argv [][]byte) (line string) {
	if !c.who.limited {
		return ""
	}
	v := c.who.policy.Check(c.srv.access.commands, cm.spec, argv)
	switch v.Denied {
	case acl.Allowed:
		if !c.mayScript(cm) {
			return errNoPermYet
		}
		return ""
	case acl.DeniedKey:
		line = errNoPermExec + "no permission to touch the specified keys"
	case acl.DeniedChannel:
		line = errNoPermExec + "no permission to access one of the channels used as arguments"
	default:
		line = errNoPermExec + "no permission to execute the command or subcommand"
	}
	c.logVerdict(cm, "multi", argv, v)
	return line
}

func (c *conn) logVerdict(cm *cmd, where string, argv [][]byte, v acl.Verdict) {
	user := c.who.policy.User.Name
	switch v.Denied {
	case acl.DeniedKey:
		c.denied(cm, where, "key", string(argv[v.Arg]), user)
	case acl.DeniedChannel:
		c.denied(cm, where, "channel", string(argv[v.Arg]), user)
	default:
		c.denied(cm, where, "command", cm.name, user)
	}
}

// deniedInside returns the error for a call that Redis lets run, and that finds out itself
// that it may not go on.
func (c *conn) deniedInside(cm *cmd, argv [][]byte) string {
	if line := c.otherDatabase(cm, argv); line != "" {
		return line
	}
	return c.foreignDenied(cm, argv)
}

// foreignDenied returns the error for a call that reads what its user may not beside
// its keys: see acl.Policy.Foreign.
func (c *conn) foreignDenied(cm *cmd, argv [][]byte) string {
	if !c.who.limited {
		return ""
	}
	return c.who.policy.Foreign(c.srv.access.commands, cm.spec, argv)
}
