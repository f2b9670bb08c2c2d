package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	blockingSeed  = flag.Uint64("blocking.seed", 0, "seed of the random blocking commands; 0 takes a new one")
	blockingCount = flag.Int("blocking.count", 400, "how many random steps to compare, for each place of the clients")
)

// stage is a server, or a cluster, with clients on it that may be blocked. Its
// clients are spread over addrs.
type stage struct {
	t        testing.TB
	addrs    []string
	controls []*conn // one for each address
	clients  map[string]*actor
	order    []string
}

// actor is one client.
type actor struct {
	name    string
	at      int // of addrs
	c       *conn
	id      string
	pending int // commands without a reply
	replyC  chan value
}

func newStage(t testing.TB, addrs ...string) *stage {
	s := &stage{t: t, addrs: addrs, clients: map[string]*actor{}}
	for _, addr := range addrs {
		c := connect(t, addr)
		if _, err := c.Do("READWRITE"); err != nil { // a read of ours waits for what is committed; Redis refuses
			t.Fatal(err)
		}
		s.controls = append(s.controls, c)
	}
	return s
}

// client returns the client of this name, which is on the i-th address.
func (s *stage) client(name string, at int) *actor {
	s.t.Helper()
	if a := s.clients[name]; a != nil {
		return a
	}
	c, err := dial(s.addrs[at%len(s.addrs)])
	if err != nil {
		s.t.Fatal(err)
	}
	a := &actor{name: name, at: at % len(s.addrs), c: c, replyC: make(chan value, 64)}
	a.id = must(s.t, c, "CLIENT", "ID").Str
	c.Timeout = time.Hour
	go func() {
		defer close(a.replyC)
		for {
			v, err := c.Receive()
			if err != nil {
				return
			}
			a.replyC <- v
		}
	}()
	s.clients[name] = a
	s.order = append(s.order, name)
	s.t.Cleanup(func() { c.Close() })
	return a
}

// send sends commands in one write.
func (s *stage) send(a *actor, cmds ...[]string) {
	var b []byte
	for _, cmd := range cmds {
		b = append(b, encode(cmd...)...)
	}
	a.pending += len(cmds)
	if _, err := a.c.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) hangUp(a *actor) {
	a.c.Close()
	delete(s.clients, a.name)
	s.order = slices.DeleteFunc(s.order, func(n string) bool { return n == a.name })
}

// settle waits until every client has its replies or waits, on all nodes, and
// returns the replies that have come.
func (s *stage) settle() string {
	s.t.Helper()
	replies := map[string][]string{}
	open := 0
	take := func() {
		open = 0
		for _, a := range s.clients {
			for more := true; more && a.pending > 0; {
				select {
				case v, ok := <-a.replyC:
					if !ok {
						s.t.Fatalf("%s lost its connection", a.name)
					}
					a.pending--
					replies[a.name] = append(replies[a.name], string(v.Raw))
				default:
					more = false
				}
			}
			open += a.pending // whoever is blocked waits for one reply alone
		}
	}
	eventually(s.t, "everybody has a reply or is blocked", func() error {
		// Whoever has replies now has all that follows from them behind it when all
		// nodes have applied what is committed.
		take()
		blocked, before := 0, open
		for _, c := range s.controls {
			if _, err := c.Do("EXISTS", "nosuch"); err != nil { // behind everything that is committed
				return err
			}
		}
		for _, c := range s.controls {
			n, _ := strconv.Atoi(infoField(must(s.t, c, "INFO", "clients").Str, "blocked_clients"))
			blocked += n
		}
		take()
		if open != blocked || open != before {
			return fmt.Errorf("%d replies are open, %d clients are blocked", open, blocked)
		}
		return nil
	})
	var b strings.Builder
	for _, name := range s.order {
		if r := replies[name]; len(r) > 0 {
			fmt.Fprintf(&b, "%s: %q\n", name, r)
		}
	}
	return b.String()
}

func infoField(info, field string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), field+":"); ok {
			return v
		}
	}
	return ""
}

// stages are redis-server and the places of the clients to compare with it.
func stages(t *testing.T, run func(t *testing.T, ours, real *stage)) {
	real := startRedis(t)
	c := start(t, 3)
	leader, follower := c.leader().Addr, c.follower().Addr
	all := []string{c.Nodes[0].Addr, c.Nodes[1].Addr, c.Nodes[2].Addr}
	for name, addrs := range map[string][]string{"leader": {leader}, "follower": {follower}, "spread": all} {
		t.Run(name, func(t *testing.T) {
			for _, addr := range []string{leader, real} {
				must(t, connect(t, addr), "FLUSHALL")
			}
			c.sameDigests() // what a client reads on its node has to be flushed there
			run(t, newStage(t, addrs...), newStage(t, real))
		})
	}
	c.sameDigests()
}

// scenes are what clients do, a line each: who, and commands that are sent in one
// write. "hangs up" and "unblocks X" are what they say.
var scenes = map[string]string{
	"pushed and popped in one write": `
		A BLPOP q 0
		W RPUSH q v ; LPOP q
		W LRANGE q 0 -1`,
	"pushed and trimmed": `
		A BLPOP q 0
		W LPUSH q v ; LTRIM q 0 0 ; LPUSH q w ; LTRIM q 0 0
		W LRANGE q 0 -1`,
	"pushed and deleted": `
		A BLPOP q 0
		W RPUSH q v ; DEL q
		A BLPOP q 0
		W RPUSH q v ; RENAME q r
		A BLPOP q 0
		W RPUSH q v ; SET q string
		W EXISTS q r`,
	"pushed and deleted in a transaction": `
		A BLPOP q 0
		W MULTI ; RPUSH q v ; DEL q ; EXEC
		W MULTI ; RPUSH q v w ; LPOP q ; EXEC
		W EXISTS q`,
	"a stream's entry that is deleted": `
		A XREAD BLOCK 0 STREAMS s $
		W XADD s 1-1 f v ; XDEL s 1-1
		A XREAD BLOCK 0 STREAMS s $
		W MULTI ; XADD s 2-1 f v ; XDEL s 2-1 ; EXEC`,
	"a score that changes": `
		A BZPOPMIN z 0
		W ZADD z 5 m ; ZADD z 1 m
		W ZRANGE z 0 -1 WITHSCORES`,
	"keys in the order in which they became ready": `
		C0 BLPOP a 0
		C1 BLPOP a c 0
		W MULTI ; RPUSH c x ; RPUSH a y ; EXEC
		W EXISTS a c`,
	"through a move": `
		C2 BRPOPLPUSH c a 0
		C0 BLPOP a 0
		C1 BLPOP a c 0
		W RPUSH c v
		W EXISTS a c`,
	"the key that became ready first": `
		A BLPOP k1 k2 0
		W MULTI ; RPUSH k2 b ; RPUSH k1 a ; EXEC`,
	"a chain of moves": `
		A BLMOVE a b LEFT RIGHT 0
		B BLMOVE b c LEFT RIGHT 0
		C BLMOVE c a LEFT RIGHT 0
		W RPUSH a 1 2
		W LRANGE a 0 -1 ; LRANGE b 0 -1 ; LRANGE c 0 -1`,
	"a move to a key of another type": `
		W SET b string
		A BLMOVE a b LEFT RIGHT 0
		B BLPOP a 0
		W RPUSH a 1`,
	"several at once": `
		A BLMPOP 0 2 a b LEFT COUNT 2
		B BLPOP b 0
		C BRPOP a b 0
		W RPUSH b 1 2 3 4
		W LRANGE b 0 -1`,
	"sorted sets": `
		A BZPOPMAX y z 0
		B BZMPOP 0 2 z y MIN COUNT 2
		W ZADD z 1 a 2 b 3 c
		W ZRANGE z 0 -1`,
	"another type than is waited for": `
		A BLPOP k 0
		B BZPOPMIN k 0
		W SET k string
		W DEL k
		W ZADD k 1 m
		W RPUSH k v`,
	"groups": `
		W XGROUP CREATE s g $ MKSTREAM
		A XREADGROUP GROUP g a BLOCK 0 STREAMS s >
		B XREADGROUP GROUP g b BLOCK 0 STREAMS s >
		C XREAD BLOCK 0 STREAMS s $
		W XADD s 1-1 f v
		W XADD s 2-1 f v
		W XPENDING s g`,
	"a group, or its stream, that goes": `
		W XGROUP CREATE s g $ MKSTREAM ; XGROUP CREATE t g $ MKSTREAM ; XGROUP CREATE u g $ MKSTREAM
		A XREADGROUP GROUP g a BLOCK 0 STREAMS s >
		B XREADGROUP GROUP g b BLOCK 0 STREAMS t >
		C XREADGROUP GROUP g c BLOCK 0 STREAMS u >
		W XGROUP DESTROY s g
		W DEL t
		W SET u string`,
	"everything flushed": `
		W XGROUP CREATE s g $ MKSTREAM
		A XREADGROUP GROUP g a BLOCK 0 STREAMS s >
		B BLPOP q 0
		W FLUSHALL
		W RPUSH q v`,
	"databases swapped": `
		A BLPOP q 0
		W SELECT 3 ; RPUSH q v ; SWAPDB 0 3 ; SELECT 0
		W EXISTS q`,
	"one that leaves": `
		A BLPOP q 0
		B BLPOP q 0
		A hangs up
		W RPUSH q v w
		W LRANGE q 0 -1`,
	"unblocked": `
		A BLPOP q 0
		B BLPOP q 0
		C BZPOPMIN q 0
		D XREAD BLOCK 0 STREAMS s $
		W unblocks A
		W unblocks C with an error
		W unblocks D
		W RPUSH q v`,
	"times out": `
		A BLPOP q 3
		B BLMOVE q r LEFT LEFT 3
		C XREAD BLOCK 3000 STREAMS s $
		D BZMPOP 3 1 q MIN
		A sleeps
		W RPUSH q v`,
	"overtaken by nobody": `
		A BLPOP q 0
		B LPOP q
		W RPUSH q v
		B LPOP q`,
	"expired in a stream's stead": `
		A BLPOP q 0
		W MULTI ; RPUSH q v ; PEXPIRE q 0 ; EXEC
		W RPUSH q w`,
}

// play runs one line.
func (s *stage) play(line string) string {
	s.t.Helper()
	who, what, _ := strings.Cut(line, " ")
	a := s.client(who, len(s.order))
	words := strings.Fields(what)
	switch {
	case what == "hangs up":
		s.hangUp(a)
	case what == "sleeps":
		eventually(s.t, "all wait is over", func() error {
			if n := infoField(must(s.t, s.controls[0], "INFO", "clients").Str, "blocked_clients"); n != "0" {
				return fmt.Errorf("%s are blocked", n)
			}
			return nil
		})
	case words[0] == "unblocks":
		whom := s.clients[words[1]]
		cmd := []string{"CLIENT", "UNBLOCK", whom.id}
		if len(words) > 2 {
			cmd = append(cmd, "ERROR")
		}
		must(s.t, s.controls[whom.at], cmd...)
	default:
		var cmds [][]string
		for cmd := range strings.SplitSeq(what, ";") {
			cmds = append(cmds, strings.Fields(cmd))
		}
		s.send(a, cmds...)
	}
	return s.settle()
}

// end lets everybody go who still waits, so that each has had exactly the replies
// that are due.
func (s *stage) end() string {
	s.t.Helper()
	var b strings.Builder
	for _, name := range slices.Clone(s.order) {
		a := s.clients[name]
		if a.pending > 0 {
			must(s.t, s.controls[a.at], "CLIENT", "UNBLOCK", a.id)
			b.WriteString(s.settle())
		}
		s.hangUp(a)
	}
	return b.String()
}

// TestBlockingOrder: who is served, with what and when, as redis-server does it, on
// a leader, through a follower, and with the clients on three nodes.
func TestBlockingOrder(t *testing.T) {
	stages(t, func(t *testing.T, ours, real *stage) {
		for name, scene := range scenes {
			t.Run(name, func(t *testing.T) {
				for _, s := range []*stage{ours, real} {
					s.t = t
					must(t, s.controls[0], "FLUSHALL")
					s.settle()
				}
				for line := range strings.Lines(strings.TrimSpace(scene)) {
					line = strings.TrimSpace(line)
					got, want := ours.play(line), real.play(line)
					if got != want {
						t.Errorf("%s\nraftredis\n%sredis-server\n%s", line, got, want)
					}
				}
				if got, want := ours.end(), real.end(); got != want {
					t.Errorf("at the end\nraftredis\n%sredis-server\n%s", got, want)
				}
			})
		}
	})
}

// blockingMaker invents steps of a few clients on a few keys.
type blockingMaker struct {
	rnd *rand.Rand
	id  int // of the last entry of a stream
}

func (m *blockingMaker) key(kinds string) string {
	return string(kinds[m.rnd.IntN(len(kinds))]) + strconv.Itoa(m.rnd.IntN(3))
}

func (m *blockingMaker) keys(kinds string) string {
	n := 1 + m.rnd.IntN(3)
	keys := make([]string, n)
	for i := range keys {
		keys[i] = m.key(kinds)
	}
	return strings.Join(keys, " ")
}

func (m *blockingMaker) side() string { return []string{"LEFT", "RIGHT"}[m.rnd.IntN(2)] }

// waits returns a command that may block. Keys that begin with l hold lists, with z
// sorted sets, with s streams, most of the time.
func (m *blockingMaker) waits() string {
	counted := func(kinds string) string {
		keys := m.keys(kinds)
		return fmt.Sprintf("%d %s", len(strings.Fields(keys)), keys)
	}
	switch m.rnd.IntN(10) {
	case 0, 1:
		return "BLPOP " + m.keys("lllz") + " 0"
	case 2:
		return "BRPOP " + m.keys("lll") + " 0"
	case 3:
		return fmt.Sprintf("BLMOVE %s %s %s %s 0", m.key("l"), m.key("llllz"), m.side(), m.side())
	case 4:
		return fmt.Sprintf("BRPOPLPUSH %s %s 0", m.key("l"), m.key("l"))
	case 5:
		return fmt.Sprintf("BLMPOP 0 %s %s COUNT %d", counted("l"), m.side(), 1+m.rnd.IntN(3))
	case 6:
		return fmt.Sprintf("BZPOP%s %s 0", []string{"MIN", "MAX"}[m.rnd.IntN(2)], m.keys("zzzl"))
	case 7:
		return fmt.Sprintf("BZMPOP 0 %s %s COUNT %d", counted("z"), []string{"MIN", "MAX"}[m.rnd.IntN(2)], 1+m.rnd.IntN(3))
	case 8:
		return fmt.Sprintf("XREADGROUP GROUP g%d c BLOCK 0 STREAMS %s >", m.rnd.IntN(2), m.key("s"))
	default:
		return fmt.Sprintf("XREAD BLOCK 0 STREAMS %s $", m.key("s"))
	}
}

func (m *blockingMaker) write() string {
	switch m.rnd.IntN(20) {
	case 0, 1, 2, 3:
		return fmt.Sprintf("%s %s%s", []string{"LPUSH", "RPUSH"}[m.rnd.IntN(2)], m.key("l"), strings.Repeat(fmt.Sprintf(" v%d", m.rnd.IntN(100)), 1+m.rnd.IntN(3)))
	case 4:
		return []string{"LPOP ", "RPOP "}[m.rnd.IntN(2)] + m.key("l")
	case 5:
		return fmt.Sprintf("LTRIM %s 0 %d", m.key("l"), m.rnd.IntN(2))
	case 6, 7, 8:
		return fmt.Sprintf("ZADD %s %d m%d %d m%d", m.key("z"), m.rnd.IntN(9), m.rnd.IntN(5), m.rnd.IntN(9), m.rnd.IntN(5))
	case 9:
		return "DEL " + m.key("llzzs")
	case 10:
		return "RENAME " + m.key("lzs") + " " + m.key("lzs")
	case 11:
		return "SET " + m.key("lzs") + " string"
	case 12, 13, 14:
		m.id++
		return fmt.Sprintf("XADD %s %d-1 f v", m.key("s"), m.id)
	case 15:
		return fmt.Sprintf("XDEL %s %d-1", m.key("s"), m.id)
	case 16:
		return fmt.Sprintf("XGROUP CREATE %s g%d $ MKSTREAM", m.key("s"), m.rnd.IntN(2))
	case 17:
		return fmt.Sprintf("XGROUP DESTROY %s g%d", m.key("s"), m.rnd.IntN(2))
	case 18:
		return "COPY " + m.key("lzs") + " " + m.key("lzs") + " REPLACE"
	default:
		return "ZUNIONSTORE " + m.key("z") + " 1 " + m.key("z")
	}
}

// step returns what a client that is free does: often several commands at once.
func (m *blockingMaker) step() string {
	switch n := m.rnd.IntN(100); {
	case n < 50:
		return m.waits()
	case n < 62:
		return "DEL l0 l1 l2 z0 z1 z2" // else everything is full and nobody waits
	case n < 63:
		return "FLUSHALL"
	}
	cmds := make([]string, 1+m.rnd.IntN(4))
	for i := range cmds {
		cmds[i] = m.write()
	}
	line := strings.Join(cmds, " ; ")
	switch m.rnd.IntN(6) {
	case 0, 1:
		line = "MULTI ; " + line + " ; EXEC"
	case 2:
		line += " ; " + m.waits()
	case 3:
		line += " ; LRANGE l0 0 -1 ; ZRANGE z0 0 -1 ; EXISTS s0 s1"
	}
	return line
}

// TestBlockingRandom compares random clients that block, write, leave and are
// unblocked with redis-server, step by step.
func TestBlockingRandom(t *testing.T) {
	seed := *blockingSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1e9
	}
	stages(t, func(t *testing.T, ours, real *stage) {
		t.Logf("run again with -blocking.seed=%d", seed)
		m := &blockingMaker{rnd: rand.New(rand.NewPCG(seed, 1))}
		var played []string
		blocked := 0
		for i := range *blockingCount {
			name := fmt.Sprintf("c%d", m.rnd.IntN(7))
			line := name + " " + m.step()
			if a := real.clients[name]; a != nil && a.pending > 0 {
				blocked++
				switch m.rnd.IntN(6) {
				case 0:
					line = name + " hangs up"
				case 1:
					line = "control unblocks " + name
				default:
					line = "free " + m.write()
				}
			}
			played = append(played, line)
			got, want := ours.play(line), real.play(line)
			if got != want {
				t.Fatalf("at step %d, with seed %d:\n%s\nraftredis\n%sredis-server\n%s", i, seed, strings.Join(played[max(0, len(played)-40):], "\n"), got, want)
			}
		}
		if got, want := ours.end(), real.end(); got != want {
			t.Errorf("at the end, with seed %d\nraftredis\n%sredis-server\n%s", seed, got, want)
		}
		t.Logf("a client was blocked at %d of %d steps", blocked, *blockingCount)
		for _, key := range []string{"l0", "l1", "l2", "z0", "z1", "z2", "s0", "s1", "s2"} {
			ours, real := must(t, ours.controls[0], "EXISTS", key), must(t, real.controls[0], "EXISTS", key)
			if why := (how{}).differs(ours, real); why != "" {
				t.Errorf("%s: %s", key, why)
			}
		}
	})
}
