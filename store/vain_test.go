package store

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// TestVain: what a command with nothing to work on is answered without the log is what
// it is answered by the log, errors of its arguments and all, and the log changes nothing
// by it.
func TestVain(t *testing.T) {
	lines := []string{
		"DEL none", "DEL none nil", "UNLINK none nil", "GETDEL none",
		"HDEL none f", "SREM none m", "ZREM none m", "LREM none 0 x", "LREM none zero x",
		"LPOP none", "LPOP none 0", "LPOP none 3", "LPOP none -1", "LPOP none three", "LPOP none 1 2",
		"RPOP none", "RPOP none 3", "RPOP none 1 2", "LMPOP 2 none nil LEFT", "LMPOP 2 none nil LEFT COUNT 3", "LMPOP 2 none nil UP",
		"SPOP none", "SPOP none 0", "SPOP none 3", "SPOP none -1", "SPOP none 1 2",
		"ZPOPMIN none", "ZPOPMIN none 3", "ZPOPMIN none -1", "ZPOPMAX none", "ZPOPMAX none x", "ZPOPMIN none 1 2",
		"ZMPOP 2 none nil MIN", "ZMPOP 1 none MAX COUNT 2", "ZMPOP 1 none MOST",
		"RPOPLPUSH none nil", "LMOVE none nil LEFT RIGHT", "LMOVE none nil UP RIGHT",
		"PERSIST none",
	}
	c := newCluster(t, 1)
	m := c.start(1, 1, Config{}, nil)
	defer m.stop()
	cl := &client{t: t, s: m.store}
	cl.do("SET other 1", "RPUSH others a b")
	tested := compareVain(t, cl, lines)
	if cl.do("DBSIZE") != "2" {
		t.Error("there is something that was not")
	}
	for _, spec := range m.store.cfg.Table.All() {
		if spec.Vain && !tested[spec] {
			t.Errorf("%s is not tried", spec.Name)
		}
	}
}

// TestUnchanged: the same of a command that finds all as it wants it.
func TestUnchanged(t *testing.T) {
	c := newCluster(t, 1)
	m := c.start(1, 1, Config{}, nil)
	defer m.stop()
	cl := &client{t: t, s: m.store}
	cl.do("SADD set a b c", "SADD ints 1 2 3", "ZADD z 1 a 2.5 b inf c -0 zero", "HSET h f v g w", "SET str 1", "SET timed 1 EX 1000",
		"PFADD pf a b c", "SADD big "+strings.Repeat("x", 100))
	tested := compareVain(t, cl, []string{
		"SADD set a", "SADD set b a b", "SADD ints 3 1", "SADD big " + strings.Repeat("x", 100),
		"SREM set x", "SREM set x y", "SREM ints a 4 01", "HDEL h x y", "HSETNX h f x", "ZREM z x y",
		"ZADD z 1 a", "ZADD z 1 a 2.5 b", "ZADD z 0x1 a 25e-1 b +inf c", "ZADD z CH 1 a", "ZADD z 0 zero", "ZADD z -0 zero",
		"ZADD z NX 7 a 8 b", "ZADD z NX CH 7 a", "ZADD z XX 7 x", "ZADD z XX CH 1 a 7 x", "ZADD z GT 0 a 2.5 b", "ZADD z LT 2 a", "ZADD z gt xx ch 1 a 9 x",
		"ZADD z INCR 0 a", "ZADD z NX INCR 5 a", "ZADD z XX INCR 5 x", "ZADD z GT INCR -1 a", "ZADD z LT INCR 1 a", "ZADD z INCR 5 c", "ZADD z INCR 0 zero",
		"ZINCRBY z 0 a", "ZINCRBY z 1 c", "ZINCRBY z -0 zero",
		"SETNX str 2", "SETNX set 2", "SET str 2 NX", "SET set 2 nx px 100", "SET timed 2 EX 10 NX", "SET str 2 NX KEEPTTL",
		"MSETNX none 1 str 2", "MSETNX set 1", "PERSIST str", "PERSIST set", "PFADD pf", "PFADD pf a", "PFADD pf c b",
	})
	for _, spec := range m.store.cfg.Table.All() {
		if spec.Unchanged != nil && !tested[spec] {
			t.Errorf("%s is not tried", spec.Name)
		}
	}
	for _, line := range []string{ // something to do, or something wrong
		"SADD set a d", "SADD none a", "SADD str a", "SREM set a x", "SREM str a", "HDEL h f x", "HDEL set f", "HSETNX h x 1", "HSETNX none f 1", "HSETNX set f 1",
		"ZADD z 2 a", "ZADD z 1 a 1 x", "ZADD z GT 2 a", "ZADD z LT 0 a", "ZADD z XX 2 a", "ZADD none XX 1 a", "ZADD set 1 a", "ZADD z one a", "ZADD z 1 a one b", "ZADD z nan a", "ZADD z 1 a 2",
		"ZADD z NX XX 1 a", "ZADD z GT LT 1 a", "ZADD z NX GT 1 a", "ZADD z INCR 0 a 0 b", "ZADD z INCR 1 a", "ZADD z INCR -inf c", "ZADD z NX INCR",
		"ZINCRBY z 1 a", "ZINCRBY z 0 x", "ZINCRBY set 0 a", "ZINCRBY z -inf c",
		"SETNX none 1", "SET str 1", "SET str 1 XX", "SET none 1 NX", "SET none 1 XX", "SET str 2 NX GET", "SET str 2 NX XX", "SET str 2 NX EX 0", "SET str 2 NX EX x", "SET str 1 EX 10",
		"MSETNX none 1 nil 2", "MSETNX str", "MSETNX str 1 none", "PERSIST timed", "PFADD pf x", "PFADD none", "PFADD str a", "PFADD set a", "ZREM z a x", "ZREM set a",
	} {
		if got := get(m.store, 0, line); got != "" {
			t.Errorf("%s was answered %q without the log", line, got)
		}
	}
}

// compareVain has commands answered both ways, and returns which they were.
func compareVain(t *testing.T, cl *client, lines []string) map[*command.Spec]bool {
	t.Helper()
	tested := map[*command.Spec]bool{}
	changes := watchChanges(cl)
	for _, line := range lines {
		tested[cl.s.cfg.Table.Resolve(args(line))] = true
		before := changes()
		got := get(cl.s, 0, line)
		if want := cl.do(line); got != want || want == "" {
			t.Errorf("%s: %q without the log, %q with it", line, got, want)
		}
		if changes() != before {
			t.Errorf("%s has changed something", line)
		}
	}
	return tested
}

// watchChanges returns what counts the changes from here on, and what is told of.
func watchChanges(cl *client) func() int {
	cl.run(func(b *Batch) {
		b.Write(0, cl.s.cfg.Table.Internal(command.SetEvents), [][]byte{[]byte(command.SetEvents), []byte("KEA")})
	})
	n := 0
	cl.s.mu.Lock()
	defer cl.s.mu.Unlock()
	ks := cl.s.m.Keyspace()
	touch, event := ks.OnTouch, ks.OnEvent
	ks.OnTouch = func(of keyspace.Touch) { n++; touch(of) }
	ks.OnEvent = func(db int, name string, key []byte) { n++; event(db, name, key) }
	return func() int {
		cl.s.mu.RLock()
		defer cl.s.mu.RUnlock()
		return n
	}
}

// TestVainAtRandom: whatever there is, a command that is answered without the log is answered
// as by the log, which changes nothing.
func TestVainAtRandom(t *testing.T) {
	for _, seed := range []uint64{1, uint64(time.Now().UnixNano())} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { testVainAtRandom(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func testVainAtRandom(t *testing.T, r *rand.Rand) {
	c := newCluster(t, 1)
	m := c.start(1, 1, Config{}, nil)
	defer m.stop()
	cl := &client{t: t, s: m.store}
	changes := watchChanges(cl)
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	// $k is a key, $m members, $s scores and members, $o options, $n a number.
	forms := []string{
		"SADD $k $m", "SREM $k $m", "ZADD $k $o $s", "ZADD $k $s", "ZADD $k $o INCR $n $e", "ZINCRBY $k $n $e", "ZREM $k $m", "HSET $k $e $n", "HSETNX $k $e $n",
		"HDEL $k $m", "SETNX $k $n", "SET $k $n NX", "SET $k $n NX EX 1000", "SET $k $n XX", "SET $k $n", "MSETNX $k $n $k $n", "PFADD $k $m",
		"PERSIST $k", "EXPIRE $k 1000", "EXPIRE $k 100 NX", "LPUSHX $k $e", "RPUSH $k $e", "LPOP $k", "LREM $k 0 $e", "SPOP $k", "ZPOPMIN $k", "GETDEL $k", "DEL $k",
		"RPOPLPUSH $k $k", "LMPOP 2 $k $k LEFT",
	}
	vain := map[string]int{}
	for range 6000 {
		line := pick(forms...)
		group := m.store.cfg.Table.Resolve(args(line)).Group // whose keys are mostly of its type
		for strings.Contains(line, "$") {
			i := strings.Index(line, "$")
			var by string
			switch line[i+1] {
			case 'k':
				by = pick("a", "b", group, group, group, group+"s")
				if group == "generic" {
					by = pick("a", "b", "string", "list", "set", "sorted-set", "hash", "hyperloglog")
				}
			case 'e':
				by = pick("1", "2", "x", "y")
			case 'm':
				by = pick("$e", "$e", "$e $m")
			case 'n':
				by = pick("0", "-0", "1", "2", "inf", "-inf", "x")
			case 's':
				by = pick("$n $e", "$n $e", "$n $e $s")
			case 'o':
				by = pick("NX", "XX", "GT", "LT", "CH", "CH $o", "GT $o", "XX $o")
			}
			line = line[:i] + by + line[i+2:]
		}
		before, got := changes(), get(m.store, 0, line)
		want := cl.do(line)
		if got == "" {
			continue
		}
		if changes() != before || got != want {
			t.Fatalf("%s was answered %q without the log, %q with it, which changed %d things", line, got, want, changes()-before)
		}
		vain[strings.Fields(line)[0]]++
	}
	for _, form := range forms {
		spec := m.store.cfg.Table.Resolve(args(form))
		if name := strings.Fields(form)[0]; spec.MayBeVain(args(form)) && vain[name] == 0 {
			t.Errorf("%s has never come to nothing", name)
		}
	}
}

// TestNotVain: what may have something to do goes through the log.
func TestNotVain(t *testing.T) {
	c := newCluster(t, 1)
	m := c.start(1, 1, Config{}, nil)
	defer m.stop()
	cl := &client{t: t, s: m.store}
	cl.do("RPUSH list a", "SET string 1")
	for _, line := range []string{
		"LPOP list", "LPOP string", "DEL none list", "LMPOP 2 none list LEFT", "LMPOP x none LEFT", "RPOPLPUSH none list",
		"LPUSH none x", "SET none 1",
	} {
		if got := get(m.store, 0, line); got != "" {
			t.Errorf("%s was answered %q without the log", line, got)
		}
	}
	if got, want := cl.do("RPUSH queue a b", "LPOP queue", "LPOP queue", "LPOP queue"), `2 "a" "b" nil`; got != want {
		t.Errorf("a pipeline was answered %s, want %s", got, want)
	}
	if m.store.m.Keyspace().Events() != 0 {
		t.Fatal("events are told by default")
	}
	cl.run(func(b *Batch) {
		b.Write(0, m.store.cfg.Table.Internal(command.SetEvents), [][]byte{[]byte(command.SetEvents), []byte("KEm")})
	})
	if got := get(m.store, 0, "GETDEL none"); got != "" {
		t.Errorf("with keymiss told of, GETDEL was answered %q without the log", got)
	}
	if got := strings.TrimSpace(get(m.store, 0, "DEL none")); got != "0" {
		t.Errorf("DEL, which misses nothing, was answered %q", got)
	}
}

// TestVainDue: the end of a key whose deadline has passed is for the log to say.
func TestVainDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := c.start(1, 1, Config{}, nil)
		defer m.stop()
		eventually(t, "ready", m.store.Ready)
		cl := &client{t: t, s: m.store}
		cl.do("SET due 1 PX 100", "SADD dueset a", "PEXPIRE dueset 100", "ZADD duez 1 a", "PEXPIRE duez 100", "HSET dueh f v", "PEXPIRE dueh 100")
		c.Allow(0) // nobody deletes it
		eventually(t, "the key's time is over", func() bool { return get(m.store, 0, "EXISTS due dueset duez dueh") == "0" })
		for _, line := range []string{
			"DEL due", "GETDEL due", "LPOP due", "SADD dueset a", "SREM dueset x", "ZADD duez 1 a", "ZREM duez x", "HDEL dueh x", "HSETNX dueh f w",
			"SETNX due 1", "SET due 1 NX", "EXPIRE due 1", "PERSIST due", "MSETNX due 1 none 2",
		} {
			if got := get(m.store, 0, line); got != "" {
				t.Errorf("%s was answered %q without the log", line, got)
			}
		}
		c.Allow(math.MaxInt)
	})
}

// TestVainUnsettled: while a write whose client was told that its outcome is unknown may
// yet come true, what would come to nothing goes through the log, which ends that.
func TestVainUnsettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := c.start(1, 1, Config{ProposalTimeout: time.Second}, nil)
		defer m.stop()
		eventually(t, "ready", m.store.Ready)
		cl := &client{t: t, s: m.store}
		cl.do("SET other 1")
		c.Lose(true) // on its way, nobody knows where
		if got := cl.do("SET k v"); got != "-"+string(ErrUnknown) {
			t.Fatalf("a lost write was answered %q", got)
		}
		c.Lose(false)
		for _, line := range []string{"DEL k", "SETNX other 2"} {
			if got := get(m.store, 0, line); got != "" {
				t.Errorf("%s was answered %q without the log", line, got)
			}
		}
		cl.do("DEL k")
		if got := get(m.store, 0, "DEL k"); got != "0" {
			t.Errorf("afterwards, DEL was answered %q without the log", got)
		}
	})
}

// TestVainFull: with no room left, what is refused then is for the log to refuse.
func TestVainFull(t *testing.T) {
	c := newCluster(t, 1)
	m := c.start(1, 1, Config{}, nil)
	defer m.stop()
	m.Level.Store(uint64(command.Level2))
	eventually(t, "the level that maxmemory needs", func() bool { return m.store.Level() == command.Level2 })
	cl := &client{t: t, s: m.store}
	limit := func(maxmemory int) {
		if got := cl.run(func(b *Batch) {
			b.Write(0, nil, args(fmt.Sprint(command.SetLimits, " maxmemory ", maxmemory, " maxmemory-policy ", int(keyspace.NoEviction))))
		}); got != "OK" {
			t.Fatalf("the limit was answered %q", got)
		}
	}
	cl.do("SADD set a", "ZADD z 1 a")
	limit(1)
	for _, line := range []string{"SADD set a", "ZADD z 1 a", "LMOVE none nil LEFT RIGHT", "SETNX set 1"} {
		if got, want := get(m.store, 0, line), "-"+command.ErrOOM; got != "" || cl.do(line) != want {
			t.Errorf("%s was answered %q without the log, and not %q by it", line, got, want)
		}
	}
	for _, line := range []string{"SREM set x", "DEL none", "ZREM z x"} { // they take no memory
		if got := get(m.store, 0, line); got != "0" {
			t.Errorf("%s was answered %q without the log", line, got)
		}
	}
	limit(0)
	if got := get(m.store, 0, "SADD set a"); got != "0" {
		t.Errorf("with room again, SADD was answered %q without the log", got)
	}
}

// TestVainUse: a command that comes to nothing is a use of the key that it finds, once.
func TestVainUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := c.start(1, 1, Config{}, nil)
		defer m.stop()
		s := m.store
		eventually(t, "ready", s.Ready)
		(&client{t: t, s: s}).do("SADD set a")
		idle := func() string { return get(s, 0, "OBJECT IDLETIME set") }
		time.Sleep(10 * time.Second)
		argv := args("SADD set a")
		spec := s.cfg.Table.Resolve(argv)
		r := s.BeginRead()
		if !r.Vain(0, spec, argv) {
			t.Error("SADD of a member is not vain")
		}
		r.End()
		if got := idle(); got != "10" {
			t.Errorf("to look whether a call comes to nothing is a use of its key, idle %s s", got)
		}
		r = s.BeginRead()
		r.By(By{NoTouch: true})
		r.Do(0, spec, argv, command.Discard{})
		r.End()
		if got := idle(); got != "10" {
			t.Errorf("a client that touches nothing has used a key, idle %s s", got)
		}
		before := s.Stats()
		get(s, 0, "SADD set a")
		if st := s.Stats(); st.Hits != before.Hits || st.Misses != before.Misses {
			t.Error("SADD counts as a hit or a miss")
		}
		if got := idle(); got != "0" {
			t.Errorf("SADD was no use of its key, idle %s s", got)
		}
	})
}

// TestVainBy: who runs a command that comes to nothing runs only that: what the reader is asked next
// is not read for its cache.
func TestVainBy(t *testing.T) {
	s := offline(t, Config{Member: 9}, 1)
	apply(t, s, "SADD set a")
	c := newCacher(s, 1, TrackingMode{})
	var reply recorder
	r := s.BeginRead()
	for _, line := range []string{"DEL none", "SADD set a", "GET k"} {
		if line != "GET k" {
			r.By(By{Tracker: &c.Tracker, Remember: true})
		}
		if !r.Do(0, s.cfg.Table.Resolve(args(line)), args(line), &reply) {
			t.Errorf("%s is not answered", line)
		}
	}
	r.End()
	apply(t, s, "SET k 1", "SADD set b")
	if got := c.take(); got != "" || reply.String() != "0 0 nil" {
		t.Errorf("a client that has read nothing is told %q, and the replies were %s", got, reply.String())
	}
}
