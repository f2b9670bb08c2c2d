package acl

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

func testCommands(t testing.TB) *Commands {
	t.Helper()
	local := func(name string, flags command.Flags, subs ...*command.Spec) *command.Spec {
		return &command.Spec{Name: name, Arity: -1, Flags: flags, Summary: "s", Since: "1", Group: "connection", Local: len(subs) == 0, Subcommands: subs}
	}
	listens := func(name string, channels command.Channels) *command.Spec {
		s := local(name, command.PubSub)
		s.Channels = channels
		return s
	}
	table, err := command.NewTable(command.Data(), []*command.Spec{
		local("config", 0, local("get", command.Admin), local("set", command.Admin)),
		local("auth", command.NoAuth|command.Fast), local("select", command.Fast),
		listens("subscribe", command.AllChannels), listens("psubscribe", command.AllPatterns), listens("unsubscribe", command.NoChannels),
	})
	if err != nil {
		t.Fatal(err)
	}
	return NewCommands(table)
}

func words(s string) ([]string, bool) {
	if strings.Count(s, `"`)%2 != 0 {
		return nil, false
	}
	return strings.Fields(strings.ReplaceAll(s, `"`, "")), true
}

// world is users that are changed as ACL SETUSER does.
type world struct {
	t        *testing.T
	commands *Commands
	users    *Users
	channels bool // acl-pubsub-default
}

func newWorld(t *testing.T) *world { return &world{t: t, commands: testCommands(t), users: New()} }

// set makes the change through the form that it has in the log.
func (w *world) set(name string, args ...string) (err string) {
	w.t.Helper()
	p := Parser{Commands: w.commands, Split: words, AllChannels: w.channels}
	rules, e := p.Parse(args)
	if e != nil {
		return e.Error()
	}
	if line := rules.Error(w.users, name, w.channels); line != "" {
		return line
	}
	c := SetUser(name, w.channels, rules)
	read, e := ParseChange(c.Args())
	if e != nil || !reflect.DeepEqual(read.Args(), c.Args()) {
		w.t.Fatalf("%q came back as %q, %v", c.Args(), read.Args(), e)
	}
	next, _, e := w.users.Apply(read)
	if e != nil {
		if next != w.users {
			w.t.Fatal("changed in spite of an error")
		}
		return rules.Explain(e)
	}
	w.users = next
	return ""
}

func (w *world) line(name string) string {
	return w.commands.Policy(w.users.Find(name)).Line(w.commands)
}

func TestSetUser(t *testing.T) {
	const pass = "#2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" // secret
	for _, tt := range []struct {
		rules string // of several calls, separated by ;
		want  string // as ACL LIST, or the error of the last one
	}{
		{"", "off resetchannels -@all"},
		{"reset", "off sanitize-payload resetchannels -@all"},
		{"on >secret >secret", "on " + pass + " resetchannels -@all"},
		{"on >secret <secret", "on resetchannels -@all"},
		{">secret nopass", "off nopass resetchannels -@all"},
		{"nopass >secret", "off " + pass + " resetchannels -@all"},
		{"<secret", "Error in ACL SETUSER modifier '<secret': The password you are trying to remove from the user does not exist"},
		{"!zz", "Error in ACL SETUSER modifier '!zz': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"},
		{"~a %r~b %W~c %wr~b ~a", "off ~a ~b %W~c resetchannels -@all"},
		{"~* ~a", "Error in ACL SETUSER modifier '~a': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"},
		{"~*;%X~a", "Error in ACL SETUSER modifier '%X~a': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"},
		{"%X~a", "Error in ACL SETUSER modifier '%X~a': Syntax error"},
		{"%~a", "Error in ACL SETUSER modifier '%~a': Syntax error"},
		{"%RW~*", "off ~* resetchannels -@all"},
		{"%RW~* ~b", "off ~* ~b resetchannels -@all"},
		{"&* &a", "Error in ACL SETUSER modifier '&a': Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"},
		{"&a &b &a", "off resetchannels &a &b -@all"},
		{"+@all -get", "off resetchannels +@all -get"},
		{"-get;+@all", "off resetchannels +@all"},
		{"+GET +config|GET", "off resetchannels -@all +config|get +get"},
		{"+config -config|set", "off resetchannels -@all +config -config|set"},
		{"+config|get -config", "off resetchannels -@all"},
		{"+select|1 +select|0 +SELECT|1", "off resetchannels -@all +select|1 +select|0"},
		{"+select|1 +select", "off resetchannels -@all +select"},
		{"+select|1 +select -select", "off resetchannels -@all"},
		{"+select|1 -@fast", "off resetchannels -@all"},
		{"+nope", "Error in ACL SETUSER modifier '+nope': Unknown command or category name in ACL"},
		{"+@nope", "Error in ACL SETUSER modifier '+@nope': Unknown command or category name in ACL"},
		{"+config|nope", "Error in ACL SETUSER modifier '+config|nope': Unknown command or category name in ACL"},
		{"+config|get|x", "Error in ACL SETUSER modifier '+config|get|x': Allowing first-arg of a subcommand is not supported"},
		{"+get|", "Error in ACL SETUSER modifier '+get|': Syntax error"},
		{"-select|0", "Error in ACL SETUSER modifier '-select|0': Unknown command or category name in ACL"},
		{"nonsense", "Error in ACL SETUSER modifier 'nonsense': Syntax error"},
		{"(+get ~a) +set", "off resetchannels -@all +set (~a resetchannels -@all +get)"},
		{"(+get;", "Unmatched parenthesis in acl selector starting at '(+get'."},
		{"(on)", "Error in ACL SETUSER modifier '(on)': Syntax error"},
		{"(~* ~b)", "Error in ACL SETUSER modifier '(~* ~b)': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"},
		{"() (+get);clearselectors", "off resetchannels -@all"},
		{`("+get)`, "off resetchannels -@all (resetchannels -@all)"},
		{"on ~a +get nonsense", "Error in ACL SETUSER modifier 'nonsense': Syntax error"},
	} {
		w := newWorld(t)
		got := ""
		for call := range strings.SplitSeq(tt.rules, ";") {
			if got = w.set("u", strings.Fields(call)...); got != "" {
				break
			}
		}
		if got == "" {
			got = w.line("u")
		}
		if got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.rules, got, tt.want)
		}
	}
}

// A call either makes all of its changes or none.
func TestAllOrNothing(t *testing.T) {
	w := newWorld(t)
	w.set("u", "on", "~a")
	was := w.users
	for _, rules := range [][]string{{"off", "nonsense"}, {"off", "<nope"}} {
		if w.set("u", rules...) == "" || w.set("fresh", rules...) == "" || w.users != was {
			t.Errorf("%q: %s", rules, w.line("u"))
		}
	}
}

func TestCheck(t *testing.T) {
	w := newWorld(t)
	for user, rules := range map[string]string{
		"all": "+@all allkeys allchannels", "none": "allkeys", "most": "+@all -get ~* &*",
		"keys":     "+@all %R~r* %W~w* ~b* %R~*c &ch* &p*",
		"two":      "+get ~a* (+set ~b*) (+@all %R~q)",
		"first":    "+select|1 +config|get",
		"default2": "allkeys +@read &x",
	} {
		if err := w.set(user, strings.Fields(rules)...); err != "" {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		user, call string
		want       Verdict
	}{
		{"all", "get x", Verdict{}},
		{"none", "get x", Verdict{DeniedCommand, 0}},
		{"none", "auth x", Verdict{}},
		{"most", "get x", Verdict{DeniedCommand, 0}},
		{"most", "set x 1", Verdict{}},
		{"keys", "get r1", Verdict{}},
		{"keys", "get w1", Verdict{DeniedKey, 1}},
		{"keys", "set w1 1", Verdict{}},
		{"keys", "set w1 1 get", Verdict{DeniedKey, 1}},
		{"keys", "set b1 1 get", Verdict{}},
		{"keys", "set w_c 1 get", Verdict{DeniedKey, 1}}, // no one pattern allows both
		{"keys", "mget r1 b1 x r2", Verdict{DeniedKey, 3}},
		{"keys", "sort r1 store w1", Verdict{}},
		{"keys", "sort r1 store r2", Verdict{DeniedKey, 3}},
		{"keys", "copy r1 w1", Verdict{}},
		{"keys", "publish chat hi", Verdict{}},
		{"keys", "publish other hi", Verdict{DeniedChannel, 1}},
		{"keys", "subscribe chat other", Verdict{DeniedChannel, 2}},
		{"keys", "psubscribe ch*", Verdict{}},
		{"keys", "psubscribe chat*", Verdict{DeniedChannel, 1}},
		{"keys", "unsubscribe other", Verdict{}},
		{"two", "get a1", Verdict{}},
		{"two", "get b1", Verdict{DeniedKey, 1}},
		{"two", "set b1 1", Verdict{}},
		{"two", "set a1 1", Verdict{DeniedKey, 1}},
		{"two", "get q", Verdict{}},
		{"first", "select 1", Verdict{}},
		{"first", "select 0", Verdict{DeniedCommand, 0}},
		{"first", "select", Verdict{DeniedCommand, 0}},
		{"first", "config get", Verdict{}},
		{"first", "config set", Verdict{DeniedCommand, 0}},
	} {
		argv := [][]byte{}
		for word := range strings.FieldsSeq(tt.call) {
			argv = append(argv, []byte(word))
		}
		p := w.commands.Policy(w.users.Find(tt.user))
		spec := w.commands.table.Resolve(argv)
		if got := p.Check(w.commands, spec, argv); got != tt.want {
			t.Errorf("%s: %s: %v, want %v", tt.user, tt.call, got, tt.want)
		}
		for n := range argv { // what is too short is no call, and no reason to panic
			p.Check(w.commands, spec, argv[:n])
		}
	}
	if v := w.commands.Policy(nil).Check(w.commands, w.commands.lookup("get"), [][]byte{[]byte("get"), []byte("k")}); v.OK() {
		t.Error("a user who is gone may still do something")
	}
	sort := [][]byte{[]byte("sort"), []byte("r1")}
	for user, want := range map[string]bool{"all": true, "most": true, "keys": false, "none": false, "default2": false} {
		p := w.commands.Policy(w.users.Find(user))
		if got := p.readsAll(w.commands, w.commands.lookup("sort"), sort); got != want {
			t.Errorf("%s reads all: %v", user, got)
		}
	}
	if p := w.commands.Policy(w.users.Find("keys")); !p.Channel([]byte("chat"), false) || p.Channel([]byte("chat"), true) || !p.Channel([]byte("ch*"), true) ||
		!p.Key([]byte("r1"), "RO ACCESS") || p.Key([]byte("r1"), "RW ACCESS UPDATE") {
		t.Error("single channels or keys")
	}
}

func TestAccepts(t *testing.T) {
	w := newWorld(t)
	w.set("u", ">one", ">two")
	if w.users.Find("u").Accepts([]byte("one")) {
		t.Error("a user who is off got in")
	}
	w.set("u", "on")
	u := w.users.Find("u")
	if !u.Accepts([]byte("one")) || !u.Accepts([]byte("two")) || u.Accepts([]byte("three")) || u.Accepts(nil) || u.Open() {
		t.Error("passwords")
	}
	w.set("u", "resetpass")
	if w.users.Find("u").Accepts(nil) {
		t.Error("a user without a password got in")
	}
	w.set("u", "nopass")
	if u := w.users.Find("u"); !u.Accepts([]byte("any")) || !u.Open() || !w.users.Default().Open() {
		t.Error("nopass")
	}
}

func TestDelUserAndSeed(t *testing.T) {
	w := newWorld(t)
	s := Seed()
	if !s.Empty() {
		t.Error("not empty")
	}
	s.Add("alice", true, Rules{all: []Rule{{op: "on"}}})
	s.Add(DefaultName, false, Rules{all: []Rule{{op: "resetpass"}}})
	read, err := ParseChange(s.Args())
	if err != nil {
		t.Fatal(err)
	}
	seeded, n, err := w.users.Apply(read)
	if err != nil || n != 2 || seeded.Version() != 1 || seeded.Default().Open() {
		t.Fatal(n, err)
	}
	if again, n, _ := seeded.Apply(read); n != 0 || again != seeded {
		t.Error("seeded twice")
	}
	first := seeded.Find("alice").ID
	del := DelUser([]string{"alice", "nobody", "alice", DefaultName})
	without, n, err := seeded.Apply(del)
	if err != nil || n != 1 || without.Find("alice") != nil || without.Default() == nil || seeded.Find("alice") == nil {
		t.Fatal(n, err)
	}
	if same, n, _ := without.Apply(del); n != 0 || same != without {
		t.Error("deleted twice")
	}
	w.users = without
	w.set("alice")
	if w.users.Find("alice").ID == first {
		t.Error("a new user is taken for the old one")
	}
}

func TestParseChangeRefuses(t *testing.T) {
	for _, args := range []string{
		"", "nonsense", "set u 0 x", "set u 0 2 on", "set u 0 1 nonsense", "set u 0 1 #12", "set u 0 1 ( 2 ~*", "set u 0 1 ( x", "set u 0 1 %X~a", "set u 0 -1", "set u 0 1 +",
	} {
		var argv [][]byte
		for word := range strings.SplitSeq(args, " ") {
			argv = append(argv, []byte(word))
		}
		if c, err := ParseChange(argv); err == nil {
			t.Errorf("%q: %+v", args, c)
		}
	}
}

// randomRule is a rule that may be one.
func randomRule(rng *rand.Rand, cs *Commands) string {
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	name := func() string {
		s := cs.specs[rng.IntN(len(cs.specs))]
		return s.FullName()
	}
	switch rng.IntN(12) {
	case 0, 1, 2:
		return pick("+", "-") + name()
	case 3, 4, 5:
		return pick("+@", "-@") + pick(append(command.Categories(), "all")...)
	case 6:
		return pick("~", "%R~", "%W~", "%RW~") + pick("*", "a*", "b")
	case 7:
		return "&" + pick("*", "x", "y*")
	case 8:
		return pick("resetkeys", "resetchannels", "reset", "on", "off", "nopass", "resetpass", "skip-sanitize-payload", "clearselectors")
	case 9:
		return pick(">", "<") + pick("p", "q")
	case 10:
		return "+select|" + pick("0", "1", "A", "a")
	default:
		return "(" + pick("+", "-") + name() + " ~" + pick("a", "b") + " +@" + pick(command.Categories()...) + ")"
	}
}

// model is what rules about commands come to one by one, as Redis applies them.
type model struct {
	allowed
	firstArgs map[int][]string
}

func (m *model) apply(cs *Commands, op string) {
	g := cs.grants(&selector{commands: []string{op}})
	yes, name := op[0] == '+', op[1:]
	switch {
	case name == "@all":
		m.allowed, m.firstArgs = cs.none(), map[int][]string{}
		if yes {
			m.allowed = cs.every()
		}
	case name[0] == '@':
		cs.changeCategory(&m.allowed, name[1:], yes, m.firstArgs)
	case len(g.firstArgs) > 0:
		for id, first := range g.firstArgs {
			if !slices.ContainsFunc(m.firstArgs[id], func(have string) bool { return strings.EqualFold(have, first[0]) }) {
				m.firstArgs[id] = append(m.firstArgs[id], first[0])
			}
		}
	default:
		cs.change(&m.allowed, cs.ids[cs.lookup(name)], yes, m.firstArgs)
	}
}

// TestRandomRules: the rules that are kept come to the same as all that were
// given; a description makes the same user again; and so does a snapshot.
func TestRandomRules(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	for round := range 300 {
		name := fmt.Sprintf("u%d", round%40)
		w.channels = rng.IntN(2) == 0
		m := model{w.commands.none(), map[int][]string{}}
		if u := w.users.Find(name); u != nil {
			w.set(name, "reset")
		}
		for range rng.IntN(30) {
			op := randomRule(rng, w.commands)
			if err := w.set(name, op); err != "" {
				continue
			}
			if op[0] == '+' || op[0] == '-' {
				m.apply(w.commands, op)
			} else if op == "reset" {
				m = model{w.commands.none(), map[int][]string{}}
			}
		}
		u := w.users.Find(name)
		if u == nil {
			continue
		}
		p := w.commands.Policy(u)
		for id, spec := range w.commands.specs {
			if got, want := p.selectors[0].allowed.has(id), m.has(id); got != want {
				t.Fatalf("%s is allowed: %v, by rules %q", spec.FullName(), got, u.selectors[0].commands)
			}
			if got, want := inOrder(p.selectors[0].firstArgs[id]), inOrder(m.firstArgs[id]); got != want && !m.has(id) {
				t.Fatalf("%s: first arguments %q, want %q; by rules %q", spec.FullName(), got, want, u.selectors[0].commands)
			}
		}
		line := w.line(name)
		w.channels = false
		if err := w.set("copy", append([]string{"reset"}, strings.Fields(line)...)...); err != "" {
			// * among other patterns can only come about in one order.
			if !strings.Contains(line, "~*") && !strings.Contains(line, "&*") {
				t.Fatalf("%s: %s", line, err)
			}
			continue
		}
		if u.sanitize == sanitizeUnsaid || strings.Contains(line, " ~* ") {
			continue // reset says it; and ~* behind other patterns takes their place
		}
		if got := w.line("copy"); got != line {
			t.Fatalf("%s\nmade again is\n%s", line, got)
		}
		if u.Unrestricted() && !p.Free() {
			t.Fatal("unrestricted, and not free")
		}
	}
	var e keyspace.Encoder
	w.users.Encode(&e)
	b := e.Take()
	d := keyspace.NewDecoder(b)
	read := Decode(d)
	if d.Err() != nil || !reflect.DeepEqual(normal(read), normal(w.users)) {
		t.Fatalf("another state after a snapshot: %v", d.Err())
	}
	for range 2000 { // damage is an error or other users, never a panic
		bad := slices.Clone(b)
		bad[rng.IntN(len(bad))] ^= byte(1 + rng.IntN(255))
		d := keyspace.NewDecoder(bad[:rng.IntN(len(bad)+1)])
		if us := Decode(d); d.Err() == nil {
			for _, u := range us.All() {
				_ = w.commands.Policy(u).Line(w.commands)
			}
		}
	}
}

func inOrder(firstArgs []string) string {
	all := strings.Fields(strings.ToLower(strings.Join(firstArgs, " ")))
	slices.Sort(all)
	return strings.Join(all, " ")
}

// normal makes empty slices alike.
func normal(us *Users) string {
	var b strings.Builder
	for _, u := range us.all {
		fmt.Fprintf(&b, "%+v\n", *u)
	}
	return fmt.Sprint(us.version, us.lastID, b.String())
}

// The rules of a user do not grow with the number of changes.
func TestRulesAreBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 2000 {
		op := []string{"+get", "-get", "+@read", "-@read", "+config|get", "-config"}[i%6]
		if err := w.set("u", op); err != "" {
			t.Fatal(err)
		}
	}
	if n := len(w.users.Find("u").selectors[0].commands); n > 4 {
		t.Errorf("%d rules", n)
	}
}

func TestFailureIsTold(t *testing.T) {
	var failed *Failure
	_, _, err := New().Apply(Change{kind: setUser, sets: []set{{name: "u", rules: []Rule{{op: "on"}, {op: "!" + hash{}.String()}}}}})
	if !errors.As(err, &failed) || failed.Rule != 1 || failed.Why != errPassword {
		t.Error(err)
	}
}
