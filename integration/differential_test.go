package integration

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	differentialSeed  = flag.Uint64("differential.seed", 0, "seed of the random commands; 0 takes a new one")
	differentialCount = flag.Int("differential.count", 3000, "how many random commands to compare, in each protocol")
)

// pair is one connection to raftredis and one to redis-server, that get the
// same bytes.
type pair struct {
	ours, real *conn
	resp3      bool
}

// newPair connects to both and speaks RESP2 or RESP3.
func newPair(t testing.TB, ours, real string, resp3 bool) *pair {
	t.Helper()
	p := &pair{ours: connect(t, ours), real: connect(t, real), resp3: resp3}
	if resp3 {
		must(t, p.ours, "HELLO", "3")
		must(t, p.real, "HELLO", "3")
	}
	return p
}

// do sends a command to both and returns both replies.
func (p *pair) do(t testing.TB, args ...string) (ours, real value) {
	t.Helper()
	replies := p.pipeline(t, [][]string{args})
	return replies[0][0], replies[0][1]
}

// pipeline sends commands in one write to each, and returns pairs of replies.
func (p *pair) pipeline(t testing.TB, cmds [][]string) [][2]value {
	t.Helper()
	var b []byte
	for _, c := range cmds {
		b = append(b, encode(c...)...)
	}
	replies := make([][2]value, len(cmds))
	for which, c := range []*conn{p.ours, p.real} {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		for i := range cmds {
			v, err := c.Receive()
			if err != nil {
				t.Fatalf("%s: reply to %.100q: %v", []string{"raftredis", "redis-server"}[which], cmds[i], err)
			}
			replies[i][which] = v
		}
	}
	return replies
}

// how two replies are compared.
type how struct {
	unordered bool  // the order of elements is open
	shape     bool  // only types and lengths count
	kind      bool  // only the first byte counts
	approx    int64 // integers may differ by so much
}

// differs returns why two replies are not the same, or "".
func (h how) differs(ours, real value) string {
	same := bytes.Equal(ours.Raw, real.Raw)
	switch {
	case same:
	case h.kind:
		same = ours.Type == real.Type
	case h.shape:
		same = shape(ours) == shape(real)
	case h.approx > 0 && ours.Type == ':' && real.Type == ':':
		a, _ := ours.Int()
		b, _ := real.Int()
		same = a-b <= h.approx && b-a <= h.approx
	case h.unordered:
		same = sorted(ours) == sorted(real)
	}
	if same {
		return ""
	}
	return fmt.Sprintf("raftredis    %s\nredis-server %s", show(ours), show(real))
}

func show(v value) string {
	s := strconv.Quote(string(v.Raw))
	if len(s) > 1000 {
		s = s[:1000] + "..."
	}
	return s
}

// shape is the types of a reply without its contents.
func shape(v value) string {
	if v.Elems == nil {
		return string(v.Type)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%c%d(", v.Type, len(v.Elems))
	for _, e := range v.Elems {
		b.WriteString(shape(e))
	}
	return b.String() + ")"
}

// sorted is a reply with the elements of every aggregate in one order.
func sorted(v value) string {
	if v.Elems == nil {
		return string(v.Raw)
	}
	var all []string
	step := 1
	if v.Type == '%' {
		step = 2
	}
	for i := 0; i+step <= len(v.Elems); i += step {
		item := ""
		for _, e := range v.Elems[i : i+step] {
			item += sorted(e)
		}
		all = append(all, item)
	}
	slices.Sort(all)
	return fmt.Sprintf("%c%d %s", v.Type, len(v.Elems), strings.Join(all, ""))
}

// entry is what COMMAND says about one command.
type entry struct {
	name  string // "config|get" for a subcommand
	arity int
	flags []string
	keys  [3]int // first, last, step
	tips  []string
	subs  []entry
	raw   value
}

func entries(v value) []entry {
	var all []entry
	for _, c := range v.Elems {
		if len(c.Elems) < 10 {
			continue
		}
		arity, _ := c.Elems[1].Int()
		e := entry{name: c.Elems[0].Str, arity: int(arity), flags: c.Elems[2].Strings(), tips: c.Elems[7].Strings(), raw: c}
		for i := range e.keys {
			n, _ := c.Elems[3+i].Int()
			e.keys[i] = int(n)
		}
		e.subs = entries(c.Elems[9])
		all = append(all, e)
	}
	return all
}

// argv is how the command is called.
func (e entry) argv() []string { return strings.Split(e.name, "|") }

func (e entry) is(flag string) bool { return slices.Contains(e.flags, flag) }

// table returns the commands of ours that Redis has as well, with the tips that
// Redis gives about them.
func commonCommands(t testing.TB, ours, real string) []entry {
	t.Helper()
	index := map[string]entry{}
	var add func([]entry)
	add = func(all []entry) {
		for _, e := range all {
			index[e.name] = e
			add(e.subs)
		}
	}
	add(entries(must(t, connect(t, real), "COMMAND")))
	var common []entry
	var pick func([]entry)
	pick = func(all []entry) {
		for _, e := range all {
			if r, ok := index[e.name]; ok {
				e.tips = r.tips
				common = append(common, e)
				pick(e.subs)
			}
		}
	}
	pick(entries(must(t, connect(t, ours), "COMMAND")))
	if len(common) < 50 {
		t.Fatalf("only %d commands in common", len(common))
	}
	return common
}

// how the replies to a command can be compared, by Redis's own tips.
func (e entry) how() how {
	return how{
		unordered: slices.Contains(e.tips, "nondeterministic_output_order"),
		shape:     slices.Contains(e.tips, "nondeterministic_output"),
	}
}

// reporter collects differences, so that one wrong command does not hide the
// others, and a systematic one does not print thousands.
type reporter struct {
	t     testing.TB
	count map[string]int
}

const perCommand = 3

func newReporter(t testing.TB) *reporter {
	r := &reporter{t: t, count: map[string]int{}}
	t.Cleanup(func() {
		for name, n := range r.count {
			if n > perCommand {
				t.Errorf("%s: %d more differences", name, n-perCommand)
			}
		}
	})
	return r
}

func (r *reporter) check(name, what string, h how, ours, real value) {
	r.t.Helper()
	why := h.differs(ours, real)
	if why == "" {
		return
	}
	if r.count[name]++; r.count[name] <= perCommand {
		r.t.Errorf("%s\n%s", what, why)
	}
}

// TestDifferential compares raftredis with redis-server, reply by reply.
func TestDifferential(t *testing.T) {
	real := startRedis(t)
	c := start(t, 1, "--enable-debug-command", "yes")
	ours := c.Nodes[0].Addr
	commands := commonCommands(t, ours, real)
	t.Logf("%d commands and subcommands in common", len(commands))

	t.Run("table", func(t *testing.T) { compareTables(t, ours, real) })
	t.Run("help", func(t *testing.T) { compareHelp(t, newPair(t, ours, real, false), commands) })
	for _, resp3 := range []bool{false, true} {
		name := map[bool]string{false: "resp2", true: "resp3"}[resp3]
		t.Run(name, func(t *testing.T) {
			t.Run("arity", func(t *testing.T) { compareArity(t, newPair(t, ours, real, resp3), commands) })
			t.Run("types", func(t *testing.T) { compareTypes(t, newPair(t, ours, real, resp3), commands) })
			scripts, err := filepath.Glob("testdata/differential/*.txt")
			if err != nil || len(scripts) == 0 {
				t.Fatalf("no scripts: %v", err)
			}
			for _, path := range scripts {
				t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
					compareScript(t, newPair(t, ours, real, resp3), path)
				})
			}
			t.Run("random", func(t *testing.T) { compareRandom(t, newPair(t, ours, real, resp3), commands) })
		})
	}
}

// compareTables compares what both say about their commands.
func compareTables(t *testing.T, ours, real string) {
	p := newPair(t, ours, real, true)
	for _, e := range entries(must(t, p.ours, "COMMAND")) {
		o, r := p.do(t, "COMMAND", "INFO", e.name)
		if len(r.Elems) == 0 || len(r.Elems[0].Elems) == 0 {
			continue // ours alone
		}
		compareEntry(t, o.Elems[0], r.Elems[0])
	}
}

// notHelp are the containers whose HELP has other subcommands than Redis's, with the
// reason.
var notHelp = map[string]string{
	"debug":   "most of it looks into Redis itself",
	"cluster": "Redis refuses all of it unless it is a cluster: TestDialectFormats compares it",
}

// compareHelp compares what the containers say about themselves.
func compareHelp(t *testing.T, p *pair, commands []entry) {
	n := 0
	for _, e := range commands {
		if len(e.subs) == 0 && e.name != "debug" || notHelp[e.name] != "" {
			continue
		}
		n++
		if ours, real := p.do(t, e.name, "HELP"); !bytes.Equal(ours.Raw, real.Raw) {
			t.Errorf("%s HELP:\n%s", e.name, how{}.differs(ours, real))
		}
	}
	if n < 10 {
		t.Errorf("only %d commands have subcommands", n)
	}
}

// tableFields are what the elements of COMMAND INFO are. Tips are left out:
// Redis's describe its cluster's behaviour.
var tableFields = map[int]string{1: "arity", 2: "flags", 3: "first key", 4: "last key", 5: "step", 6: "ACL categories", 8: "key specs"}

func compareEntry(t *testing.T, ours, real value) {
	t.Helper()
	name := ours.Elems[0].Str
	for i, field := range tableFields {
		if why := (how{unordered: true}).differs(withoutNotes(ours.Elems[i]), withoutNotes(real.Elems[i])); why != "" {
			t.Errorf("%s: %s:\n%s", name, field, why)
		}
	}
	for _, o := range ours.Elems[9].Elems {
		for _, r := range real.Elems[9].Elems {
			if o.Elems[0].Str == r.Elems[0].Str {
				compareEntry(t, o, r)
			}
		}
	}
}

// withoutNotes drops the prose from key specs.
func withoutNotes(v value) value {
	var kept []value
	for i := 0; i < len(v.Elems); i++ {
		if v.Type == '%' && i%2 == 0 && v.Elems[i].Str == "notes" {
			i++
			continue
		}
		kept = append(kept, withoutNotes(v.Elems[i]))
	}
	if v.Elems == nil {
		return v
	}
	v.Elems = kept
	v.Raw = []byte(sorted(v))
	return v
}

// compareArity calls every command with a wrong number of arguments.
func compareArity(t *testing.T, p *pair, commands []entry) {
	r := newReporter(t)
	for _, e := range commands {
		argv := e.argv()
		var counts []int
		if e.arity < 0 {
			counts = []int{-e.arity - 1}
		} else {
			counts = []int{e.arity - 1, e.arity + 1, e.arity + 20}
		}
		for _, n := range counts {
			if n < len(argv) {
				continue
			}
			call := slices.Clone(argv)
			for len(call) < n {
				call = append(call, "1")
			}
			ours, real := p.do(t, call...)
			r.check(e.name, fmt.Sprint(call), how{}, ours, real)
		}
		if len(e.subs) > 0 {
			for _, call := range [][]string{{e.name}, {e.name, "nonsense"}, {e.name, "nonsense\r\n", "x"}} {
				if len(call) < -e.arity {
					continue
				}
				if len(call) == 1 && e.arity == -1 {
					continue // COMMAND alone lists all commands
				}
				ours, real := p.do(t, call...)
				r.check(e.name, fmt.Sprintf("%q", call), how{}, ours, real)
			}
		}
	}
	for _, call := range [][]string{
		{"nonsense"}, {"nonsense", "a", "b"}, {strings.Repeat("x", 200), strings.Repeat("y", 200)}, {"a\r\nb", "c\nd"}, {""},
	} {
		ours, real := p.do(t, call...)
		r.check("unknown", fmt.Sprintf("%q", call), how{}, ours, real)
	}
}

// notCompared are commands whose replies, given valid arguments, are about the
// server or the connection and not about data, or that would end the test. Their
// wrong uses are compared all the same, and scripts compare what can be.
var notCompared = map[string]string{
	"acl": "about users", "auth": "no password is set on either", "bgrewriteaof": "timing", "bgsave": "timing",
	"client": "ids and addresses", "cluster": "another kind of cluster", "command": "see the table test", "config": "other settings",
	"debug": "another implementation", "discard": "scripts", "exec": "scripts", "failover": "another kind of cluster", "hello": "ids",
	"info": "about the program", "lastsave": "a time", "latency": "measurements", "lolwut": "a version", "memory": "another allocator",
	"module": "there are none", "monitor": "would take the connection over", "multi": "scripts", "object": "idle times",
	"psubscribe": "would take the connection over", "psync": "Redis's replication", "quit": "would close the connection",
	"scan": "cursors", "replicaof": "Redis's replication", "slaveof": "Redis's replication", "replconf": "Redis's replication", "reset": "scripts",
	"role": "addresses", "save": "timing", "select": "scripts", "shutdown": "would end the test", "slowlog": "measurements",
	"ssubscribe": "would take the connection over", "subscribe": "would take the connection over", "sync": "Redis's replication",
	"time": "a time", "wait": "replicas", "watch": "scripts", "swapdb": "scripts", "script": "about scripts", "function": "about functions",
	"migrate": "another server", "asking": "another kind of cluster", "readonly": "another kind of cluster", "readwrite": "another kind of cluster",
	"unsubscribe": "scripts", "punsubscribe": "scripts", "sunsubscribe": "scripts", "pfselftest": "a self test", "pfdebug": "internals",
	"restore-asking": "another kind of cluster",
}

// typedKeys are one key of each type, made by these commands. Collections have
// one element, so that random choices among them agree.
func typedKeys() (cmds [][]string, keys []string) {
	return [][]string{
		{"FLUSHALL"},
		{"SET", "k:string", "10"}, {"SET", "k:text", "some text"}, {"RPUSH", "k:list", "1"}, {"SADD", "k:set", "1"},
		{"HSET", "k:hash", "1", "1"}, {"ZADD", "k:zset", "1", "1"}, {"XADD", "k:stream", "1-1", "1", "1"},
	}, []string{"k:string", "k:text", "k:list", "k:set", "k:hash", "k:zset", "k:stream", "k:missing"}
}

// fillers are what stands in all places that are not keys.
var fillers = []string{"1", "-1", "a"}

// compareTypes calls every command with each type of key in the place of its
// first key and another one in the places of the others, and with simple
// arguments elsewhere, in the smallest number that it takes and some more.
func compareTypes(t *testing.T, p *pair, commands []entry) {
	r := newReporter(t)
	setup, keys := typedKeys()
	known := map[string]bool{}
	for _, e := range commands {
		known[e.name] = true
	}
	setup = slices.DeleteFunc(setup, func(c []string) bool { return !known[strings.ToLower(c[0])] })
	for _, c := range setup {
		ours, real := p.do(t, c...)
		r.check("setup", fmt.Sprint(c), how{}, ours, real)
	}
	for _, e := range commands {
		top, _, _ := strings.Cut(e.name, "|")
		if notCompared[top] != "" || e.is("blocking") || len(e.subs) > 0 {
			continue
		}
		least := max(e.arity, -e.arity)
		most := least
		if e.arity < 0 {
			most = least + 3
		}
		var batch [][]string
		for n := least; n <= most; n++ {
			for _, filler := range fillers {
				for _, key := range keys {
					call := e.argv()
					for i := len(call); i < n; i++ {
						arg := filler
						if e.keys[0] > 0 && i >= e.keys[0] && (e.keys[1] < 0 || i <= e.keys[1]) && e.keys[2] > 0 && (i-e.keys[0])%e.keys[2] == 0 {
							arg = key
							if i > e.keys[0] {
								arg = keys[(slices.Index(keys, key)+i)%len(keys)]
							}
						}
						call = append(call, arg)
					}
					batch = append(batch, setup...)
					batch = append(batch, call)
				}
				if e.keys[0] == 0 {
					break
				}
			}
		}
		replies := p.pipeline(t, batch)
		h := e.how()
		for i, call := range batch {
			if i%(len(setup)+1) == len(setup) {
				r.check(e.name, fmt.Sprint(call), h, replies[i][0], replies[i][1])
			}
		}
	}
}

// compareScript runs a file of commands on both.
func compareScript(t *testing.T, p *pair, path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p.do(t, "FLUSHALL")
	r := newReporter(t)
	for n, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		h, args, run, compared, err := parseLine(line, p.resp3)
		where := fmt.Sprintf("%s:%d: %s", filepath.Base(path), n+1, line)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		if !run {
			continue
		}
		ours, real := p.do(t, args...)
		if compared {
			// Every line of a script is a case of its own: nothing is summed up.
			if why := h.differs(ours, real); why != "" {
				r.t.Errorf("%s\n%s", where, why)
			}
		}
	}
}

// parseLine reads marks and a command. See DESIGN.md for the marks.
func parseLine(line string, resp3 bool) (h how, args []string, run, compared bool, err error) {
	words, err := splitWords(line)
	run, compared = true, true
	for err == nil && len(words) > 0 {
		switch words[0] {
		case "unordered":
			h.unordered = true
		case "shape":
			h.shape = true
		case "type":
			h.kind = true
		case "skip":
			compared = false
		case "resp2":
			run = run && !resp3
		case "resp3":
			run = run && resp3
		case "approx":
			if len(words) < 2 {
				return h, nil, false, false, fmt.Errorf("approx needs a number")
			}
			h.approx, err = strconv.ParseInt(words[1], 10, 64)
			words = words[1:]
		default:
			return h, words, run, compared, nil
		}
		words = words[1:]
	}
	if err == nil {
		err = fmt.Errorf("no command")
	}
	return h, nil, false, false, err
}

// splitWords splits a line as redis-cli does: "..." with escapes, '...', bare
// words. {N*c} in a bare word stands for N times the character c.
func splitWords(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return words, nil
		}
		switch line[0] {
		case '"':
			end := 1
			for end < len(line) && line[end] != '"' {
				if line[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(line) {
				return nil, fmt.Errorf("unbalanced quotes")
			}
			word, err := strconv.Unquote(line[:end+1])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line[:end+1], err)
			}
			words, line = append(words, word), line[end+1:]
		case '\'':
			word, rest, ok := strings.Cut(line[1:], "'")
			if !ok {
				return nil, fmt.Errorf("unbalanced quotes")
			}
			words, line = append(words, word), rest
		default:
			word, rest, _ := strings.Cut(line, " ")
			if n, c, ok := strings.Cut(strings.Trim(word, "{}"), "*"); ok && word[0] == '{' {
				count, err := strconv.Atoi(n)
				if err != nil {
					return nil, err
				}
				word = strings.Repeat(c, count)
			}
			words, line = append(words, word), rest
		}
	}
}
