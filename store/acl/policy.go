package acl

import (
	"slices"
	"strings"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/glob"
)

// Commands is what rules about commands mean: the program's table, numbered.
type Commands struct {
	table   *command.Table
	specs   []*command.Spec // a container is followed by its subcommands
	subs    []int           // how many follow each
	ids     map[*command.Spec]int
	members map[string][]int // of each category, in order
}

// NewCommands numbers the commands of a table.
func NewCommands(table *command.Table) *Commands {
	cs := &Commands{table: table, ids: make(map[*command.Spec]int), members: make(map[string][]int)}
	for _, c := range command.Categories() {
		cs.members[c] = nil
	}
	for _, s := range table.All() {
		cs.add(s)
		for _, sub := range s.Subcommands {
			cs.add(sub)
		}
	}
	return cs
}

func (cs *Commands) add(s *command.Spec) {
	id := len(cs.specs)
	cs.ids[s] = id
	cs.specs, cs.subs = append(cs.specs, s), append(cs.subs, len(s.Subcommands))
	for _, c := range s.Categories() {
		cs.members[c] = append(cs.members[c], id)
	}
}

// category returns the commands of a category.
func (cs *Commands) category(name string) (ids []int, ok bool) {
	ids, ok = cs.members[name]
	return ids, ok
}

// Category returns the names of the commands of a category, in any case of
// letters.
func (cs *Commands) Category(name string) (names []string, ok bool) {
	ids, ok := cs.category(strings.ToLower(name))
	for _, id := range ids {
		names = append(names, cs.specs[id].FullName())
	}
	return names, ok
}

// lookup finds a command, or a subcommand written with a bar, nil if there is
// none.
func (cs *Commands) lookup(name string) *command.Spec {
	parent, sub, is := strings.Cut(name, "|")
	s := cs.table.Lookup([]byte(parent))
	if s == nil || !is {
		return s
	}
	return s.Sub([]byte(sub))
}

// Policy is what a user may do with the commands of this program. It never
// changes.
type Policy struct {
	User *User

	free      bool // may do everything
	selectors []grants
}

// grants is what a selector comes to.
type grants struct {
	*selector
	allowed   allowed
	firstArgs map[int][]string // by command: what its first argument may be nevertheless
	keys      []keyGlob
	channels  [][]byte
}

type keyGlob struct {
	pattern []byte
	access  access
}

// allowed is a set of commands. all says that later ones are in it as well.
type allowed struct {
	all  bool
	bits []uint64
}

func (a *allowed) has(id int) bool { return a.bits[id/64]>>(id%64)&1 != 0 }

func (a *allowed) put(id int, yes bool) {
	if yes {
		a.bits[id/64] |= 1 << (id % 64)
	} else {
		a.bits[id/64] &^= 1 << (id % 64)
	}
}

// none is the empty set.
func (cs *Commands) none() allowed { return allowed{bits: make([]uint64, (len(cs.specs)+63)/64)} }

// every is the set of all commands.
func (cs *Commands) every() allowed {
	a := cs.none()
	a.all = true
	for id := range cs.specs {
		a.put(id, true)
	}
	return a
}

// change adds a command and its subcommands, or takes them away. As in Redis that
// forgets what their first arguments may be.
func (cs *Commands) change(a *allowed, id int, yes bool, firstArgs map[int][]string) {
	a.put(id, yes)
	delete(firstArgs, id)
	for i := range cs.subs[id] {
		a.put(id+1+i, yes)
	}
}

func (cs *Commands) changeCategory(a *allowed, category string, yes bool, firstArgs map[int][]string) {
	for _, id := range cs.members[category] {
		cs.change(a, id, yes, firstArgs)
	}
}

// Policy finds out what a user may do. nil stands for one who is gone, and may do
// nothing.
func (cs *Commands) Policy(u *User) *Policy {
	if u == nil {
		return &Policy{}
	}
	p := &Policy{User: u, free: u.Unrestricted()}
	for i := range u.selectors {
		p.selectors = append(p.selectors, cs.grants(&u.selectors[i]))
	}
	return p
}

func (cs *Commands) grants(s *selector) grants {
	g := grants{selector: s, allowed: cs.none(), firstArgs: map[int][]string{}}
	for _, op := range s.commands {
		yes, name := op[0] == '+', op[1:]
		if op == allCommands {
			g.allowed = cs.every()
			continue
		}
		if category, is := strings.CutPrefix(name, "@"); is {
			cs.changeCategory(&g.allowed, category, yes, g.firstArgs)
			continue
		}
		if spec := cs.lookup(name); spec != nil {
			cs.change(&g.allowed, cs.ids[spec], yes, g.firstArgs)
			continue
		}
		// What this program does not know, it does not run either.
		parent, first, is := strings.Cut(name, "|")
		if spec := cs.lookup(parent); yes && is && spec != nil && len(spec.Subcommands) == 0 {
			id := cs.ids[spec]
			if !slices.ContainsFunc(g.firstArgs[id], func(have string) bool { return strings.EqualFold(have, first) }) {
				g.firstArgs[id] = append(g.firstArgs[id], first)
			}
		}
	}
	for _, k := range s.keys {
		g.keys = append(g.keys, keyGlob{[]byte(k.pattern), k.access})
	}
	for _, c := range s.channels {
		g.channels = append(g.channels, []byte(c))
	}
	return g
}

// Free reports whether the user may do everything, so that there is nothing to
// check.
func (p *Policy) Free() bool { return p.free }

// Denied is why a call is not allowed.
type Denied byte

// Reasons, the more specific later: the call itself, a key of it, a channel of it.
const (
	Allowed Denied = iota
	DeniedCommand
	DeniedKey
	DeniedChannel
	deniedAuth
)

// Verdict is what Check says of a call. Arg is the position of the key or channel.
type Verdict struct {
	Denied Denied
	Arg    int
}

// OK reports whether the call is allowed.
func (v Verdict) OK() bool { return v.Denied == Allowed }

// Check reports whether the user may make a call of spec.
func (p *Policy) Check(cs *Commands, spec *command.Spec, argv [][]byte) Verdict {
	if p.free {
		return Verdict{}
	}
	c := call{cs: cs, spec: spec, argv: argv, id: -1}
	if id, ok := cs.ids[spec]; ok {
		c.id = id
	}
	worst := Verdict{Denied: DeniedCommand}
	for i := range p.selectors {
		v := p.selectors[i].check(&c)
		if v.OK() {
			return v
		}
		if v.Denied > worst.Denied || v.Denied == worst.Denied && v.Arg > worst.Arg {
			worst = v
		}
	}
	return worst
}

// Refusal is a call of a script that the script's user may not make, as ACL LOG shows
// it.
type Refusal struct {
	Denied
	Object string // the command, the key or the channel
}

// inScript is Check for a call that the user's script makes. line is the error, "" if
// the call is allowed.
func (p *Policy) inScript(cs *Commands, spec *command.Spec, argv [][]byte) (line string, why Refusal) {
	v := p.Check(cs, spec, argv)
	why = Refusal{v.Denied, spec.FullName()}
	switch v.Denied {
	case Allowed:
		return "", why
	case DeniedKey:
		why.Object = string(argv[v.Arg])
		return "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments", why
	case DeniedChannel:
		why.Object = string(argv[v.Arg])
		return "ERR The user executing the script can't publish to the channel mentioned in the command", why
	default:
		return "ERR The user executing the script can't run this command or subcommand", why
	}
}

// Permits is command.Host.Permits for the user's scripts. logged is called for a refusal
// that belongs into the log.
func (p *Policy) Permits(cs *Commands, spec *command.Spec, argv [][]byte, step command.PermitStep, logged func(Refusal)) (refusal string) {
	if step == command.PermitRun {
		return p.Foreign(cs, spec, argv)
	}
	line, why := p.inScript(cs, spec, argv)
	if line != "" && step == command.PermitCall {
		logged(why)
	}
	return line
}

// Foreign returns the error for a call that reads keys which its user may not read and
// which are not among its arguments (command.Spec.Foreign), "" if there is nothing
// against it. Which keys these are is known only when the command runs, so it takes
// permission for all.
func (p *Policy) Foreign(cs *Commands, spec *command.Spec, argv [][]byte) string {
	if spec.Foreign == nil || p.readsAll(cs, spec, argv) {
		return ""
	}
	return spec.Foreign(argv)
}

// call is what is checked against several selectors.
type call struct {
	cs     *Commands
	spec   *command.Spec
	argv   [][]byte
	id     int
	keys   []command.KeyRef
	looked bool // keys have been looked for
}

// find returns the keys of the call. Arguments in which they cannot be found, or too
// few or too many, are for the command itself to refuse.
func (c *call) find() []command.KeyRef {
	if !c.looked {
		c.looked = true
		if !c.spec.ArityOK(len(c.argv)) {
			return nil
		}
		if keys, err := command.Keys(c.spec, c.argv); err == nil {
			c.keys = keys
		}
	}
	return c.keys
}

func (g *grants) check(c *call) Verdict {
	if c.spec.Flags&command.NoAuth == 0 && !g.command(c) {
		return Verdict{Denied: DeniedCommand}
	}
	if !g.allKeys && c.spec.HasKeys() {
		for _, ref := range c.find() {
			if !g.key(c.argv[ref.Pos], needs(ref.Flags)) {
				return Verdict{DeniedKey, ref.Pos}
			}
		}
	}
	if !g.allChannels && c.spec.Channels != command.NoChannels {
		from, to := c.spec.Channels.Among(len(c.argv))
		for i := from; i < to; i++ {
			if !g.channel(c.argv[i], c.spec.Channels == command.AllPatterns) {
				return Verdict{DeniedChannel, i}
			}
		}
	}
	return Verdict{}
}

func (g *grants) command(c *call) bool {
	if c.id < 0 {
		return g.allowed.all
	}
	if g.allowed.has(c.id) {
		return true
	}
	return len(c.argv) > 1 && slices.ContainsFunc(g.firstArgs[c.id], func(first string) bool {
		return strings.EqualFold(cString(string(c.argv[1])), cString(first))
	})
}

func (g *grants) key(key []byte, need access) bool {
	return g.allKeys || slices.ContainsFunc(g.keys, func(k keyGlob) bool {
		return k.access&need == need && glob.Match(k.pattern, key, false)
	})
}

// channel matches a channel. A pattern that somebody subscribes to is allowed only
// if it is one of those in the rules, letter by letter.
func (g *grants) channel(name []byte, pattern bool) bool {
	return g.allChannels || slices.ContainsFunc(g.channels, func(c []byte) bool {
		if pattern {
			return string(c) == string(name)
		}
		return glob.Match(c, name, false)
	})
}

// needs returns what the flags of a key ask for.
func needs(flags string) (a access) {
	for flag := range strings.FieldsSeq(flags) {
		switch flag {
		case "ACCESS":
			a |= read
		case "INSERT", "DELETE", "UPDATE":
			a |= write
		}
	}
	return a
}

// Channel reports whether the user may subscribe to a channel, or to a pattern of
// channels.
func (p *Policy) Channel(name []byte, pattern bool) bool {
	return p.free || slices.ContainsFunc(p.selectors, func(g grants) bool { return g.channel(name, pattern) })
}

// Key reports whether the user may do with a key what flags (as in
// command.KeySpec) say.
func (p *Policy) Key(key []byte, flags string) bool {
	need := needs(flags)
	return p.free || slices.ContainsFunc(p.selectors, func(g grants) bool { return g.key(key, need) })
}

// readsAll reports whether the user may make the call, and read any key beside
// those that it names: SORT's BY and GET need that.
func (p *Policy) readsAll(cs *Commands, spec *command.Spec, argv [][]byte) bool {
	if p.free {
		return true
	}
	c := call{cs: cs, spec: spec, argv: argv, id: -1}
	if id, ok := cs.ids[spec]; ok {
		c.id = id
	}
	return slices.ContainsFunc(p.selectors, func(g grants) bool {
		return g.check(&c).OK() && (g.allKeys || slices.ContainsFunc(g.keys, func(k keyGlob) bool {
			return k.access&read != 0 && string(k.pattern) == "*"
		}))
	})
}
