package integration

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestACLDifferential compares users, and what they may do, with redis-server:
// every command against every category, calls with keys that may be read, written,
// both or neither, and users made of random rules.
func TestACLDifferential(t *testing.T) {
	real := startRedis(t)
	ours := start(t, 1).Nodes[0].Addr
	commands := commonCommands(t, ours, real)
	p := newPair(t, ours, real, false)
	t.Run("categories", func(t *testing.T) { compareCategories(t, p, commands) })
	t.Run("keys", func(t *testing.T) { compareKeys(t, p, commands) })
	t.Run("rules", func(t *testing.T) { compareRules(t, p, commands) })
	t.Run("scripts", func(t *testing.T) { compareScripts(t, newPair(t, ours, real, false)) })
}

// callOf is a call of the command with enough arguments.
func callOf(e entry, arg func(i int) string) []string {
	call := e.argv()
	for len(call) < max(e.arity, -e.arity) {
		call = append(call, arg(len(call)))
	}
	return call
}

// dryRuns asks both whether the user may make these calls.
func dryRuns(t *testing.T, p *pair, r *reporter, what, user string, calls [][]string) {
	t.Helper()
	var cmds [][]string
	for _, call := range calls {
		cmds = append(cmds, append([]string{"ACL", "DRYRUN", user}, call...))
	}
	for i, replies := range p.pipeline(t, cmds) {
		r.check(calls[i][0], fmt.Sprintf("%s: %q", what, calls[i]), how{}, replies[0], replies[1])
	}
}

func compareCategories(t *testing.T, p *pair, commands []entry) {
	r := newReporter(t)
	ours, real := p.do(t, "ACL", "CAT")
	r.check("acl|cat", "ACL CAT", how{}, ours, real)
	var calls [][]string
	for _, e := range commands {
		calls = append(calls, callOf(e, func(int) string { return "1" }))
	}
	for _, category := range append(real.Strings(), "all") {
		for _, rules := range [][]string{{"+@" + category}, {"+@all", "-@" + category}} {
			ours, real := p.do(t, append([]string{"ACL", "SETUSER", "cat", "reset", "allkeys", "allchannels"}, rules...)...)
			r.check("acl|setuser", fmt.Sprint(rules), how{}, ours, real)
			dryRuns(t, p, r, fmt.Sprint(rules), "cat", calls)
		}
	}
}

// compareKeys calls every command with arguments among which are keys of all kinds
// and the words that mark keys.
func compareKeys(t *testing.T, p *pair, commands []entry) {
	r := newReporter(t)
	seed := *differentialSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	p.do(t, "ACL", "SETUSER", "keys", "reset", "+@all", "%R~r*", "%W~w*", "~b*", "%RW~?*end", "(+@read %W~r* ~s[a-c])", "&ch*")
	words := []string{"r1", "w1", "b1", "x", "r:end", "sa", "sd", "ch1", "no", "1", "2", "3", "0", "-1", "STORE", "GET", "BY", "LIMIT", "KEYS", "STREAMS", "STOREDIST", "*", "", "GROUP", "COUNT"}
	var calls [][]string
	for _, e := range commands {
		for range 60 {
			call := callOf(e, func(int) string { return words[rng.IntN(len(words))] })
			for e.arity < 0 && rng.IntN(3) > 0 {
				call = append(call, words[rng.IntN(len(words))])
			}
			calls = append(calls, call)
		}
	}
	dryRuns(t, p, r, "keys", "keys", calls)
}

// compareRules makes users of random rules, good and bad.
func compareRules(t *testing.T, p *pair, commands []entry) {
	r := newReporter(t)
	seed := *differentialSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	_, categories := p.do(t, "ACL", "CAT")
	name := func() string {
		e := commands[rng.IntN(len(commands))]
		if rng.IntN(4) == 0 {
			return strings.ToUpper(e.name)
		}
		return e.name
	}
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	inner := func() string {
		switch rng.IntN(16) {
		case 0, 1, 2:
			return pick("+", "-") + name()
		case 3, 4, 5:
			return pick("+@", "-@") + pick(append(categories.Strings(), "all", "ALL", "Read")...)
		case 6, 7:
			return pick("~", "%R~", "%W~", "%RW~", "%rw~", "%WR~", "%w~") + pick("*", "a*", "b?", "[xy]z", "")
		case 8:
			return pick("&", "&") + pick("*", "ch*", "news", "")
		case 9:
			return pick("allkeys", "resetkeys", "ALLCHANNELS", "resetchannels", "allcommands", "nocommands", "resetkeys", "resetchannels")
		case 10:
			return "+" + pick("select|0", "select|1", "SELECT|0", "get|a", "config|get", "config|nope", "config|", "config|get|x", "get|a|b", "|", "client|id")
		case 11:
			return pick("nope", "+nope", "-", "+", "+@nope", "%", "%X~a", "%RR~a", "~a b", "& x", "-get|a", "(", ")", "%R")
		default:
			return pick("+@read", "-@write", "+get", "-get", "+@all", "-@all", "resetkeys", "~k*")
		}
	}
	outer := func() string {
		switch rng.IntN(12) {
		case 0:
			return pick("on", "off", "ON", "nopass", "resetpass", "reset", "sanitize-payload", "skip-sanitize-payload", "clearselectors")
		case 1:
			return pick(">", "<", ">", "#", "!") + pick("p1", "p2", "")
		case 2:
			return pick("#", "#", "!") + hash(pick("p1", "p2", "p3"))
		case 3:
			n := rng.IntN(4)
			words := make([]string, n)
			for i := range words {
				words[i] = inner()
			}
			return "(" + strings.Join(words, " ") + pick(")", ")", ")", "")
		case 4:
			return pick("", "#"+strings.ToUpper(hash("p")), "(+get '~a b')", "(\"~q\" +get)", "(~'x)")
		default:
			return inner()
		}
	}
	var probes [][]string
	common := map[string]bool{}
	for _, e := range commands {
		common[e.name] = true
		probes = append(probes, callOf(e, func(i int) string { return pick("a1", "bx", "xz", "k1", "q", "0", "1", "ch1", "news") }))
	}
	for range 400 {
		user := pick("u1", "u2", "u3")
		rules := []string{"ACL", "SETUSER", user}
		for range rng.IntN(7) {
			rules = append(rules, outer())
		}
		ours, real := p.do(t, rules...)
		r.check("acl|setuser", fmt.Sprintf("%q", rules), how{}, ours, real)
		compareUser(t, p, r, common, user, rules)
	}
	for _, user := range []string{"u1", "u2", "u3"} {
		dryRuns(t, p, r, "the end", user, probes)
	}
	for range 60 {
		rules := []string{"ACL", "SETUSER", "probe", "reset"}
		for range 1 + rng.IntN(8) {
			rules = append(rules, inner())
		}
		ours, real := p.do(t, rules...)
		r.check("acl|setuser", fmt.Sprintf("%q", rules), how{}, ours, real)
		compareUser(t, p, r, common, "probe", rules)
		dryRuns(t, p, r, fmt.Sprintf("%q", rules), "probe", probes)
	}
}

// compareUser compares what GETUSER says.
func compareUser(t *testing.T, p *pair, r *reporter, common map[string]bool, user string, rules []string) {
	t.Helper()
	ours, real := p.do(t, "ACL", "GETUSER", user)
	if ours.Type != '*' || real.Type != '*' || len(ours.Elems) != 12 || len(real.Elems) != 12 {
		r.check("acl|getuser", fmt.Sprintf("%q", rules), how{}, ours, real)
		return
	}
	for i := range ours.Elems {
		switch i {
		case 5: // commands
			compareCommands(t, r, common, ours.Elems[5].Str, real.Elems[5].Str, rules)
		case 11: // selectors
			for j := range min(len(ours.Elems[11].Elems), len(real.Elems[11].Elems)) {
				o, w := ours.Elems[11].Elems[j], real.Elems[11].Elems[j]
				compareCommands(t, r, common, o.Elems[1].Str, w.Elems[1].Str, rules)
				for k := 2; k < len(o.Elems); k++ {
					r.check("acl|getuser", fmt.Sprintf("%q: selector %d", rules, j), how{}, o.Elems[k], w.Elems[k])
				}
			}
			r.check("acl|getuser", fmt.Sprintf("%q: selectors", rules), how{shape: true}, ours.Elems[i], real.Elems[i])
		default:
			r.check("acl|getuser", fmt.Sprintf("%q: field %d", rules, i), how{}, ours.Elems[i], real.Elems[i])
		}
	}
}

// compareCommands compares two descriptions of the commands that a selector allows.
func compareCommands(t *testing.T, r *reporter, common map[string]bool, ours, real string, rules []string) {
	t.Helper()
	words := func(s string) string {
		var all []string
		for word := range strings.FieldsSeq(s) {
			name, _, _ := strings.Cut(word[1:], "|")
			if common[name] || name[0] == '@' {
				all = append(all, word)
			}
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	if words(ours) == words(real) {
		return
	}
	// Where a description names categories it depends on all the commands that there
	// are, and these are not the same on both: what it comes to is then left to the
	// dry runs.
	if !strings.Contains(strings.TrimPrefix(ours[1:], "@all"), "@") && !strings.Contains(strings.TrimPrefix(real[1:], "@all"), "@") {
		r.check("acl|getuser", fmt.Sprintf("%q: commands", rules), how{}, value{Type: '$', Raw: []byte(ours)}, value{Type: '$', Raw: []byte(real)})
	}
}

// users is what a node says about all users.
func users(addr string, auth ...string) (string, error) {
	c, err := dial(addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if len(auth) > 0 {
		if v, err := c.Do(append([]string{"AUTH"}, auth...)...); err != nil || v.IsError() {
			return "", fmt.Errorf("AUTH: %v, %w", v, err)
		}
	}
	v, err := c.Do("ACL", "LIST")
	if err != nil {
		return "", err
	}
	return strings.Join(v.Strings(), "\n"), nil
}

// TestRulesThatAreNone: what is no rule, however much of it there is, is refused with a
// clear error and changes nothing on any member.
func TestRulesThatAreNone(t *testing.T) {
	c := start(t, 3)
	conn := connect(t, c.follower().Addr)
	must(t, conn, "ACL", "SETUSER", "alice", "on", "nopass", "~a", "+get")
	want, err := users(c.follower().Addr)
	if err != nil {
		t.Fatal(err)
	}
	const many = 10_000
	good := make([]string, many)
	for i := range good {
		good[i] = fmt.Sprintf("~key:%d", i)
	}
	for _, x := range []struct {
		rules []string
		want  string
	}{
		{[]string{"nonsense"}, "ERR Error in ACL SETUSER modifier 'nonsense': Syntax error"},
		{[]string{"+@nonsense"}, "ERR Error in ACL SETUSER modifier '+@nonsense': Unknown command or category name in ACL"},
		{[]string{"off", "resetkeys", "(~a"}, "ERR Unmatched parenthesis in acl selector starting at '(~a'."},
		{[]string{strings.Repeat("(", 1<<20)}, "ERR Unmatched parenthesis in acl selector starting at '" + strings.Repeat("(", 40)},
		{[]string{strings.Repeat("x", 8<<20)}, "ERR Error in ACL SETUSER modifier '" + strings.Repeat("x", 40)},
		{[]string{"%" + strings.Repeat("RW", 1<<20) + "~a"}, "ERR Error in ACL SETUSER modifier '%RWRW"},
		{[]string{"+get|" + strings.Repeat("a|", 1<<20)}, "ERR Error in ACL SETUSER modifier '+get|"},
		{append(slices.Clone(good), "off", "nonsense"), "ERR Error in ACL SETUSER modifier 'nonsense': Syntax error"},
	} {
		if got := refusal(t, conn, append([]string{"ACL", "SETUSER", "alice"}, x.rules...)...); !strings.HasPrefix(got, x.want) {
			t.Errorf("%.60q is answered with %.200q", x.rules[len(x.rules)-1], got)
		}
	}
	for _, n := range c.Nodes {
		if got, err := users(n.Addr); err != nil || got != want {
			t.Errorf("node %d has %s, %v", n.ID, got, err)
		}
	}
	c.sameDigests()
	// Many that are rules.
	must(t, conn, append([]string{"ACL", "SETUSER", "bob", "on", "nopass", "+@all"}, good...)...)
	bob := connect(t, c.leader().Addr)
	must(t, bob, "AUTH", "bob", "")
	must(t, bob, "SET", fmt.Sprintf("key:%d", many-1), "1")
	if got := refusal(t, bob, "SET", fmt.Sprintf("key:%d", many), "1"); !strings.HasPrefix(got, "NOPERM") {
		t.Errorf("a key that none of the patterns match: %q", got)
	}
	c.sameDigests()
}

// TestACLIsReplicated: a user that is changed on one node is so on all, and stays
// so through restarts and snapshots; who is deleted is sent away everywhere.
func TestACLIsReplicated(t *testing.T) {
	c := start(t, 3)
	f, l := c.follower(), c.leader()
	fc := connect(t, f.Addr)
	must(t, fc, "ACL", "SETUSER", "alice", "on", ">wonder", "~a:*", "+@all", "-@dangerous", "(~b:* +get)")
	must(t, fc, "ACL", "SETUSER", "bob", "on", "nopass", "allkeys", "allcommands", "&ch")
	// In force here as soon as it is answered.
	bob := connect(t, f.Addr)
	must(t, bob, "AUTH", "bob", "whatever")
	must(t, bob, "SET", "x", "1")
	want, err := users(f.Addr)
	if err != nil {
		t.Fatal(err)
	}
	everywhere := func(want string) {
		t.Helper()
		for _, n := range c.Nodes {
			eventually(t, fmt.Sprintf("node %d", n.ID), func() error {
				if got, err := users(n.Addr); err != nil || got != want {
					return fmt.Errorf("%w: %s", err, got)
				}
				return nil
			})
		}
	}
	everywhere(want)
	alice := connect(t, l.Addr)
	must(t, alice, "AUTH", "alice", "wonder")
	must(t, alice, "SET", "a:1", "1")
	must(t, alice, "GET", "b:1")
	for _, call := range [][]string{{"SET", "b:1", "1"}, {"FLUSHALL"}, {"GET", "c"}} {
		if v, err := alice.Do(call...); err != nil || !strings.HasPrefix(v.Str, "NOPERM") {
			t.Fatalf("%q: %v, %v", call, v, err)
		}
	}

	// A snapshot, and what comes after it.
	for _, n := range c.Nodes {
		must(t, connect(t, n.Addr), "BGSAVE")
	}
	waitSnapshot(t, c)
	must(t, fc, "ACL", "SETUSER", "carol", "+@read", "-get")
	want, _ = users(f.Addr)
	c.sameDigests()
	for _, n := range c.Nodes {
		n.Kill()
	}
	c.startAll()
	everywhere(want)

	// Deleted on one node, gone on all.
	stays, goes := connect(t, l.Addr), connect(t, l.Addr)
	must(t, goes, "AUTH", "bob", "x")
	must(t, stays, "PING")
	if err := goes.Send("BLPOP", "nothing", "0"); err != nil {
		t.Fatal(err)
	}
	if v := must(t, connect(t, f.Addr), "ACL", "DELUSER", "bob", "nobody"); v.Raw[1] != '1' {
		t.Fatal(v)
	}
	if v, err := goes.Receive(); err == nil {
		t.Fatalf("a client whose user is gone got %v", v)
	}
	must(t, stays, "PING")
	c.sameDigests()
	checkNoSecret(t, c, "wonder")
}

// checkNoSecret looks for a password in everything that the nodes have written.
func checkNoSecret(t *testing.T, c *nodes, secret string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(filepath.Dir(c.Nodes[0].LogFile()), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if strings.Contains(string(b), secret) {
			return fmt.Errorf("%s has the password", path)
		}
		return nil
	})
	if err != nil || files < 6 {
		t.Fatalf("%v; %d files", err, files)
	}
}

// TestConfiguredUsers: requirepass and user lines are the users of a new cluster,
// in force from the first moment, and of no other.
func TestConfiguredUsers(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "users.conf")
	content := "requirepass s3cr3t\nuser alice on \">quoted word\" ~a* +@all (+get ~b*)\nacllog-max-len 2\n"
	if err := os.WriteFile(conf, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c := prepare(t, 3, "--config", conf)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	addr := c.Nodes[0].Addr
	eventually(t, "a node that asks for a password", func() error {
		v, err := ask(addr, "GET", "x")
		if err == nil {
			t.Fatalf("without a password: %v", v)
		}
		if strings.HasPrefix(err.Error(), "NOAUTH") {
			err = nil
		}
		return err
	})
	eventually(t, "the password", func() error {
		_, err := users(addr, "s3cr3t")
		return err
	})
	admin := connect(t, addr)
	must(t, admin, "AUTH", "s3cr3t")
	alice := connect(t, addr)
	must(t, alice, "AUTH", "alice", "quoted word")

	// A change on any node is a change on all; configuration files have no say now.
	eventually(t, "a leader", func() error {
		v, err := admin.Do("CONFIG", "SET", "requirepass", "other")
		if err == nil && v.IsError() {
			err = errors.New(v.Str)
		}
		return err
	})
	for _, n := range c.Nodes {
		eventually(t, "the new password", func() error {
			_, err := users(n.Addr, "other")
			return err
		})
	}
	for _, n := range c.Nodes {
		n.Kill()
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new password after a restart", func() error {
		_, err := users(addr, "other")
		return err
	})
	if v, err := ask(addr, "AUTH", "s3cr3t"); err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS") {
		t.Fatalf("the old password: %v, %v", v, err)
	}
	checkNoSecret(t, c, "s3cr3t")
	checkNoSecret(t, c, "quoted word")
}

// compareScripts has users with less than all permissions run scripts and functions:
// those that only read, those that go through the log, behind other commands and in
// transactions; and compares what is logged of it.
func compareScripts(t *testing.T, p *pair) {
	r := newReporter(t)
	do := func(args ...string) {
		t.Helper()
		ours, real := p.do(t, args...)
		r.check(args[0], fmt.Sprintf("%q", args), how{}, ours, real)
	}
	do("ACL", "LOG", "RESET")
	do("ACL", "SETUSER", "bob", "reset", "on", ">pw", "~b:*", "%R~r:*", "&c*", "+@all", "-flushall", "(~s:* +sort +sort_ro)")
	do("ACL", "SETUSER", "few", "reset", "on", ">pw", "allkeys", "+eval", "+evalsha", "+fcall", "+get", "+config|get")
	do("MSET", "r:1", "x", "a:1", "x", "b:1", "x")
	do("RPUSH", "s:l", "2", "1")
	do("FUNCTION", "LOAD", "REPLACE", "#!lua name=acl\nredis.register_function('acl_get', function(keys, args) return redis.call('get', args[1]) end)\n"+
		"redis.register_function('acl_set', function(keys, args) return redis.call('set', args[1], 'y') end)")
	calls := []string{
		"'get', 'b:1'", "'get', 'r:1'", "'get', 'a:1'", "'set', 'b:1', 'x'", "'set', 'r:1', 'x'", "'set', 'a:1', 'x'", "'set', 'b:1', 'x', 'get'",
		"'publish', 'c1', 'x'", "'publish', 'd1', 'x'", "'flushall'", "'get'", "'nope'", "'config', 'get', 'save'", "'config', 'nope'", "'mget', 'b:1', 'r:1', 'a:1'",
		"'sort', 's:l'", "'sort', 's:l', 'by', 'w*'", "'sort', 's:l', 'get', '#'", "'sort_ro', 's:l', 'get', 'x*'", "'copy', 'r:1', 'b:2'", "'copy', 'b:1', 'r:2'", "'eval', 'return 1', '0'",
	}
	for _, user := range []string{"bob", "few"} {
		do("AUTH", user, "pw")
		for _, call := range calls {
			for _, form := range []string{
				"return redis.call(%s)",
				"return redis.pcall(%s)",
				"redis.pcall('set', 'b:3', 'x') return redis.pcall(%s)",
				"local a = redis.pcall(%s) redis.pcall('set', 'b:3', 'x') return a",
				"return tostring(redis.acl_check_cmd(%s))",
				"#!lua flags=no-writes\nreturn redis.call(%s)",
			} {
				script := fmt.Sprintf(form, call)
				do("EVAL", script, "0")
				do("EVAL_RO", script, "0")
				do("EVALSHA", fmt.Sprintf("%x", sha1.Sum([]byte(script))), "0")
				cmds := [][]string{{"SET", "b:4", "x"}, {"EVAL", script, "0"}, {"GET", "b:4"}, {"EVAL_RO", script, "0"}, {"MULTI"}, {"EVAL", script, "1", "b:1"}, {"SET", "b:4", "y"}, {"EVAL", script, "0"}, {"EXEC"}, {"MULTI"}, {"EVAL_RO", script, "0"}, {"GET", "b:1"}, {"EXEC"}}
				for i, replies := range p.pipeline(t, cmds) {
					r.check("eval", fmt.Sprintf("%s: pipeline %d: %q", user, i, script), how{}, replies[0], replies[1])
				}
			}
		}
		for _, key := range []string{"a:1", "b:1", "r:1"} {
			for _, fn := range []string{"acl_get", "acl_set"} {
				do("FCALL", fn, "1", "b:1", key)
				do("FCALL", fn, "1", "a:1", key)
				do("FCALL_RO", fn, "0", key)
			}
		}
		do("AUTH", "default", "")
	}
	ours, real := p.do(t, "ACL", "LOG", "1000")
	if a, b := refusals(ours), refusals(real); !slices.Equal(a, b) {
		for _, line := range a {
			if !slices.Contains(b, line) {
				t.Errorf("ACL LOG has %s, which redis-server's has not", line)
			}
		}
		for _, line := range b {
			if !slices.Contains(a, line) {
				t.Errorf("ACL LOG lacks %s", line)
			}
		}
		if !t.Failed() {
			t.Errorf("ACL LOG in another order:\n%q\n%q", a, b)
		}
	}
}

// refusals are what ACL LOG shows of refusals, but for when and how often they were.
func refusals(log value) (lines []string) {
	for _, e := range log.Elems {
		s := e.Strings()
		lines = append(lines, strings.Join(s[2:10], " "))
	}
	return lines
}
