package machine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// commands are of every type, and between them have everything in them that could
// differ between two members: chance, time, waiting, order.
var commands = []string{
	"set s0 %d", "set s1 %d EX 2 GET", "set s%k %d PX 900", "incr s0", "append s1 x", "setrange s2 %d x", "getdel s1", "setbit s2 %d 1",
	"expire l1 3", "pexpire h0 %d", "persist h0", "rename s0 s1", "copy h0 h1 REPLACE", "del z0", "restore s0 0 bad",
	"rpush l0 %d b c", "rpush l%k %d", "lpop l0", "lmove l0 l1 LEFT RIGHT", "linsert l0 BEFORE b %d", "ltrim l1 0 5", "rename l0 l1",
	"hset h0 f%d v g 1", "hincrby h0 g %d", "hdel h0 g",
	"sadd t0 %d a b c", "spop t0", "spop t0 2", "smove t0 t1 a", "sinterstore t2 t0 t1",
	"zadd z0 %d a 2 b 3 c", "zadd z%k %d m", "zpopmin z0", "zincrby z0 1.5 a", "zunionstore z1 2 z0 t0", "zrangestore z2 z0 0 -1",
	"xadd x0 * f %d", "xadd x0 MAXLEN 10 * f v", "xgroup CREATE x0 g $ MKSTREAM", "xgroup CREATE x0 h $ MKSTREAM", "xadd x0 * f w", "xtrim x0 MAXLEN 3", "pfadd p0 %d", "pfmerge p1 p0", "del x0",
	"geoadd g0 13.3 38.1 a", "swapdb 0 1", "sort l0 ALPHA STORE l1", "bitop NOT s1 s0", "del l%k",
}

// scripts are what EVAL and FUNCTION LOAD are given: @n in a line of scriptCalls is the
// nth. They end in every way that there is.
var scripts = []string{
	`return redis.call('incrby', KEYS[1], ARGV[1])`,
	`for i = 1, tonumber(ARGV[1]) do redis.call('rpush', KEYS[1], i, tostring(math.random())) end return redis.call('lrange', KEYS[1], 0, -1)`,
	`redis.call('set', 's0', redis.call('time')[1]) error('then')`,
	`local m = redis.call('srandmember', 't0', 2) for _, x in ipairs(m) do redis.call('zadd', 'z0', #x, x) end return redis.call('spop', 't1')`,
	`redis.call('select', 2) redis.call('set', KEYS[1], ARGV[1]) return redis.pcall('lpush', KEYS[1], 'x')`,
	`redis.call('incr', 'spins') while true do redis.call('append', KEYS[1], 'x') end`,
	`redis.call('incr', 'grows') local t = {} while true do t[#t+1] = string.rep('x', 1000) .. #t end`,
	`local t = {} for k, v in pairs({a = 1, b = 2, [3] = 4, c = 5}) do t[#t+1] = tostring(k) .. v end return redis.call('set', 's1', table.concat(t, ','))`,
	`return redis.call('blpop', 'l0', 0)`,
	`#!lua flags=no-writes` + "\n" + `return redis.call('set', 's0', 'x')`,
	`return (`,
	`#!lua name=lib` + "\n" + `redis.register_function('bump', function(keys, args) return redis.call('hincrby', keys[1], args[1], 1) end)`,
	`#!lua name=lib` + "\n" + `redis.register_function('bump', function(keys, args) return redis.call('hincrby', keys[1], args[1], 10) end)`,
	`#!lua name=other` + "\n" + `redis.register_function{function_name='pop', callback=function(keys) redis.call('lpop', keys[1]) return redis.call('rpoplpush', 'l1', 'l0') end}`,
	`#!lua name=clash` + "\n" + `redis.register_function('bump', function() return 1 end)`,
}

var scriptCalls = []string{
	"eval @0 1 s%k %d", "eval @1 1 l%k 3", "eval @2 0", "eval @3 0", "eval @4 1 s%k %d", "eval @7 0", "eval @8 0", "eval @9 0", "eval @10 0", "eval_ro @0 1 s0 1",
	"evalsha #0 1 s%k 1", "evalsha #1 1 l0 %k", "evalsha #3 0", "evalsha_ro #7 0", "script load @%k", "script load @10", "eval return(%d) 0",
	"function load @11", "function load REPLACE @12", "function load @13", "function load @14", "function delete lib",
	"fcall bump 1 h0 f%k", "fcall pop 1 l%k", "fcall_ro pop 1 l0", "fcall nope 0", "fcall bump x",
}

// rareScripts take long, or forget what the others need.
var rareScripts = []string{"eval @5 1 spun", "eval @6 0", "script flush", "function flush"}

// scriptArgs puts scripts, and their SHA-1, in the place of what stands for them.
func scriptArgs(argv [][]byte) [][]byte {
	for i, a := range argv {
		if len(a) < 2 || a[0] != '@' && a[0] != '#' {
			continue
		}
		n, err := strconv.Atoi(string(a[1:]))
		if err != nil {
			continue
		}
		if argv[i] = []byte(scripts[n]); a[0] == '#' {
			argv[i] = []byte(command.SHA(argv[i]))
		}
	}
	return argv
}

// waits may have to wait.
var waits = []string{
	"blpop l%k l1 0", "brpop l%k 0", "blmove l%k l%k LEFT RIGHT 0", "blmpop 0 2 l%k l0 LEFT COUNT 2",
	"bzpopmin z%k z1 0", "bzpopmax z%k 0", "bzmpop 0 1 z%k MIN COUNT 2", "xreadgroup GROUP g c BLOCK 0 STREAMS x0 >", "xreadgroup GROUP h c BLOCK 0 STREAMS x0 >", "xreadgroup GROUP g d NOACK BLOCK 0 STREAMS x0 x0 > >",
}

// logMaker invents a log as a faulty network would make it: requests of two
// members that come twice, late, out of order, from an earlier run, below the
// floor.
type logMaker struct {
	rnd *rand.Rand
	seq [3]uint64
	run [3]uint64
	now Millis
	old [][]byte

	users []acl.Change // of those that scripts run on behalf of
}

func newLogMaker(users []acl.Change, seed uint64) *logMaker {
	return &logMaker{rnd: rand.New(rand.NewPCG(seed, 0)), run: [3]uint64{0, 1, 1}, now: 1_000_000, users: users}
}

// userChanges are changes of users on whose behalf scripts run.
func userChanges(t testing.TB) []acl.Change {
	changes := []acl.Change{acl.DelUser([]string{"bob"})}
	for _, line := range []string{"bob on nopass ~s* +@all", "bob resetkeys ~l*", "bob -incrby -lpop", "ann on nopass %R~* ~h* +@all", "ann allkeys"} {
		name, rules, _ := strings.Cut(line, " ")
		changes = append(changes, setUser(t, name, strings.Fields(rules)...))
	}
	return changes
}

func (m *logMaker) fill(line string) [][]byte {
	line = strings.ReplaceAll(line, "%d", fmt.Sprint(m.rnd.IntN(50)))
	for strings.Contains(line, "%k") {
		line = strings.Replace(line, "%k", fmt.Sprint(m.rnd.IntN(4)), 1)
	}
	return scriptArgs(args(line))
}

func (m *logMaker) command() [][]byte {
	switch {
	case m.rnd.IntN(150) == 0:
		return args("flushall")
	case m.rnd.IntN(150) == 0:
		return m.fill(rareScripts[m.rnd.IntN(len(rareScripts))])
	case m.rnd.IntN(5) == 0:
		return m.fill(scriptCalls[m.rnd.IntN(len(scriptCalls))])
	}
	return m.fill(commands[m.rnd.IntN(len(commands))])
}

func (m *logMaker) request() []byte {
	origin := uint64(1 + m.rnd.IntN(2))
	if m.rnd.IntN(60) == 0 {
		m.run[origin]++
		m.seq[origin] = 0
	}
	m.seq[origin]++
	seq := m.seq[origin]
	floor := seq - min(seq-1, m.rnd.Uint64N(6))
	return request(Head{origin, m.run[origin], seq, floor}, func(r *Request) {
		for range m.rnd.IntN(4) {
			db := m.rnd.IntN(3)
			switch m.rnd.IntN(8) {
			case 0:
				n := 1 + m.rnd.IntN(3)
				r.Exec([]Watched{{DB: db, Key: fmt.Appendf(nil, "s%d", m.rnd.IntN(3)), Mark: keyspace.Mark(m.rnd.Uint64N(2))}}, n)
				for range n {
					r.ExecWrite(db, m.command())
				}
			case 1:
				r.Expire(db, []string{fmt.Sprintf("s%d", m.rnd.IntN(4)), "l1", "h0"})
			case 2:
				r.Users(m.users[m.rnd.IntN(len(m.users))])
			case 3:
				r.As(m.rnd.Uint64N(6)) // of whom some are not there
				r.Write(db, m.fill(scriptCalls[m.rnd.IntN(len(scriptCalls))]))
			default:
				r.Write(db, m.command())
			}
		}
		m.wait(r, origin)
	})
}

// wait says something about clients that may be waiting, and may end a request with
// a command that waits.
func (m *logMaker) wait(r *Request, origin uint64) {
	switch m.rnd.IntN(4) {
	case 0:
		var all []Settlement
		for range 1 + m.rnd.IntN(4) {
			last := m.seq[origin]
			all = append(all, Settlement{last - min(last, m.rnd.Uint64N(12)), What(m.rnd.IntN(int(whats)))})
		}
		r.Settle(all)
	case 1:
		if m.rnd.IntN(8) == 0 {
			other := 1 + m.rnd.Uint64N(2)
			r.GiveUp(other, m.run[other])
		}
	}
	if m.rnd.IntN(2) == 0 {
		r.Block(m.rnd.IntN(2), m.fill(waits[m.rnd.IntN(len(waits))]), m.rnd.IntN(2) == 0, m.rnd.Int64N(3)*m.rnd.Int64N(9000))
	}
}

func (m *logMaker) entry() []byte {
	if m.rnd.IntN(10) == 0 {
		return nil // raft's own
	}
	m.now += Millis(m.rnd.Int64N(900) - 100) // the next leader's clock may be behind
	var requests [][]byte
	for range m.rnd.IntN(4) {
		r := m.request()
		m.old = append(m.old, r)
		switch m.rnd.IntN(6) {
		case 0: // lost, so far
		case 1:
			requests = append(requests, r, r)
		default:
			requests = append(requests, r)
		}
		if m.rnd.IntN(3) == 0 {
			requests = append(requests, m.old[m.rnd.IntN(len(m.old))])
		}
	}
	m.rnd.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	return Seal(nil, m.now, m.rnd.Uint64(), requests)
}

func (m *logMaker) log(n int) [][]byte {
	entries := make([][]byte, n)
	for i := range entries {
		entries[i] = m.entry()
	}
	return entries
}

// restored returns a machine that starts from a snapshot of another.
func restored(t testing.TB, m *Machine, w *watcher) *Machine {
	t.Helper()
	var body bytes.Buffer
	if err := m.Capture().Write(&body); err != nil {
		t.Fatal(err)
	}
	fresh, err := Load(m.table, w, &body)
	if err != nil {
		t.Fatalf("load at %d: %v", m.Index(), err)
	}
	return impatient(fresh)
}

// impatient returns the machine with less time for scripts, so that tests can have
// many that go on for ever.
func impatient(m *Machine) *Machine {
	m.host.Limits.Instructions, m.host.Limits.Memory = 50_000, 4<<20
	return m
}

// The heart of the matter: the state is a function of the log. Machines with
// different observers are compared after every entry, one of which sees everything
// twice; and a snapshot taken at every index, restored and carried on, arrives at
// the same states.
func TestSameLogSameState(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	log := newLogMaker(userChanges(t), seed).log(250)
	digests := make([]string, len(log)+1)
	table := testTable(t)
	apply := func(m *Machine, i int) {
		t.Helper()
		if err := m.Apply(uint64(i)+1, 1+uint64(i)/50, log[i]); err != nil {
			t.Fatal(err)
		}
	}

	seen := &watcher{member: 1}
	one, two := impatient(New(table, seen)), impatient(New(table, &watcher{member: 2}))
	digests[0] = one.Capture().Digest()
	var snapshots []*Machine // restored at every index, to be carried on
	for i := range log {
		apply(one, i)
		digests[i+1] = one.Capture().Digest()
		for j := max(0, i-3); j <= i; j++ {
			apply(two, j)
		}
		if got := two.Capture().Digest(); got != digests[i+1] {
			t.Fatalf("at %d two members differ", i+1)
		}
		fresh := restored(t, one, &watcher{member: 3})
		if got := fresh.Capture().Digest(); got != digests[i+1] {
			t.Fatalf("a snapshot at %d restores to another state", i+1)
		}
		snapshots = append(snapshots, fresh)
	}
	t.Logf("%d doubles, %d commands, %d of scripts, %d clients waited, %d were served, %d claimed it, %d left", seen.duplicates, seen.commands, seen.inside, seen.waits, seen.served, seen.claimed, seen.ended)
	if seen.duplicates == 0 || seen.commands < 150 || seen.inside < 3 || seen.waits < 10 || seen.served == 0 || seen.ended == 0 {
		t.Error("a poor log")
	}
	for at, m := range snapshots {
		for i := range log {
			apply(m, i)
			if at%20 == 0 && i > at && m.Capture().Digest() != digests[i+1] {
				t.Fatalf("restored at %d and carried on, %d differs", at+1, i+1)
			}
		}
		if m.Capture().Digest() != digests[len(log)] {
			t.Fatalf("restored at %d and carried on, the end differs", at+1)
		}
	}
}

// A picture stays as it was while the machine goes on.
func TestPictureIsFrozen(t *testing.T) {
	table, users := testTable(t), userChanges(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := impatient(New(table, &watcher{}))
		type taken struct {
			p      *Picture
			digest string
		}
		var all []taken
		for i, data := range newLogMaker(users, rapid.Uint64().Draw(rt, "seed")).log(60) {
			if err := m.Apply(uint64(i)+1, 1, data); err != nil {
				rt.Fatal(err)
			}
			if rapid.IntRange(0, 4).Draw(rt, "capture") == 0 {
				p := m.Capture()
				all = append(all, taken{p, p.Digest()})
			}
		}
		for _, x := range all {
			if x.p.Digest() != x.digest {
				rt.Fatalf("the picture at %d changed afterwards", x.p.Index)
			}
		}
	})
}

func TestCommandsOfTheLogAreCommands(t *testing.T) {
	table := testTable(t)
	m := newLogMaker(nil, 1)
	for _, line := range slices.Concat(commands, waits, scriptCalls, rareScripts) {
		argv := m.fill(line)
		if spec := table.Resolve(argv); spec == nil || !spec.IsWrite() || !spec.ArityOK(len(argv)) {
			t.Errorf("%q is not a write command", line)
		}
	}
}
