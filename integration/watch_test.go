package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// watchSetup makes a key of each type, in two databases.
var watchSetup = []string{
	"SET a 1", "RPUSH b 1 2 3", "SADD c 1 2 x", "HSET d a 1 b 2", "ZADD e 1 a 2 b 3 c",
	"XADD f 1-1 a 1", "XADD f 2-1 a 1", "XADD f 3-1 a 1", "XGROUP CREATE f g 0", "XREADGROUP GROUP g c1 COUNT 2 STREAMS f >",
	"PFADD h a b c", "SELECT 1", "SET a 1", "SET k 1", "SET t 1 EX 1000",
}

// watchTemplates are what the random commands of the grammar have little of: what
// changes many keys at once, and what Redis counts in its own way.
var watchTemplates = []string{
	"FLUSHDB", "FLUSHDB", "FLUSHALL", "SWAPDB <db> <db>", "SWAPDB <db> <db>", "SWAPDB 0 1", "MOVE <watched> <db>", "COPY <watched> <watched> DB <db>",
	"SET <watched> 1", "DEL <watched>", "EXPIRE <watched> 1000", "PERSIST <watched>", "RENAME <watched> <watched>", "GETEX <watched> [EX 1000]",
	"SET <watched> 1 PXAT 1", "PEXPIREAT <watched> 1", "SETRANGE <watched> 0 <value>", "GETDEL <watched>", "RESTORE k 0 x",
	"LREM b 0 <member>", "LTRIM b 0 -1", "LSET b 0 1", "LINSERT b BEFORE 1 y", "RPOPLPUSH b b", "LMPOP 1 b LEFT", "RPUSHX k 1",
	"SREM c <member>", "SADD c <member>", "SMOVE c c <member>", "SINTERSTORE c c nosuch", "SUNIONSTORE k nosuch",
	"HDEL d <member>", "HSETNX d a 1", "HSET d a 1", "HINCRBY d a 0",
	"ZADD e 1 a", "ZADD e XX CH 1 nosuch", "ZADD e GT 0 a", "ZINCRBY e 0 a", "ZREM e <member>", "ZREMRANGEBYRANK e 5 6", "ZRANGESTORE e nosuch 0 1", "ZMPOP 1 e MIN",
	"SORT b STORE b", "SORT nosuch STORE c", "GEOSEARCHSTORE e nosuch FROMLONLAT 0 0 BYRADIUS 1 m",
	"BITOP NOT a a", "BITOP AND k nosuch nosuch", "BITFIELD a GET u8 0", "BITFIELD a SET u8 0 1", "SETBIT a 1 0",
	"PFCOUNT h", "PFCOUNT h", "PFCOUNT h k", "PFADD h a", "PFADD h <value>", "PFADD k", "PFMERGE h k", "PFMERGE k h",
	"XREADGROUP GROUP g <consumer> COUNT 1 STREAMS f >", "XREADGROUP GROUP g <consumer> STREAMS f 0", "XREADGROUP GROUP g <consumer> NOACK STREAMS f >",
	"XACK f g 1-1 2-1", "XGROUP CREATE f g2 $", "XGROUP CREATE k g $ MKSTREAM", "XGROUP CREATECONSUMER f g <consumer>", "XGROUP DELCONSUMER f g <consumer>",
	"XGROUP SETID f g 0", "XGROUP DESTROY f g", "XSETID f 9-9", "XCLAIM f g <consumer> 0 1-1 2-1", "XCLAIM f g <consumer> 0 3-1 FORCE", "XAUTOCLAIM f g <consumer> 0 0",
	"XDEL f 1-1", "XTRIM f MAXLEN 2", "XADD f 9-1 a 1", "XADD k NOMKSTREAM 1-1 a 1",
}

// watchedKeys are those of watchSetup, and some that are not there.
var watchedKeys = []string{"a", "b", "c", "d", "e", "f", "h", "k", "t", "none"}

func watchCommand(rng *rand.Rand, grammar []template) []string {
	if rng.IntN(4) == 0 {
		args := grammar[rng.IntN(len(grammar))].make(rng)
		for i, a := range args {
			// A BITFIELD all of which fails makes the key in Redis, and does not tell who watches
			// it. Here a key that was not there and is there has changed.
			if strings.EqualFold(args[0], "BITFIELD") && strings.EqualFold(a, "FAIL") {
				args[i] = "SAT"
			}
		}
		return args
	}
	tp := template(strings.Fields(watchTemplates[rng.IntN(len(watchTemplates))]))
	args := tp.make(rng)
	for i, a := range args {
		switch a {
		case "<watched>":
			args[i] = watchedKeys[rng.IntN(len(watchedKeys))]
		case "<db>":
			args[i] = fmt.Sprint(rng.IntN(3))
		case "<consumer>":
			args[i] = fmt.Sprintf("c%d", rng.IntN(3))
		}
	}
	return args
}

// TestDifferentialWatch compares whether a transaction runs: one client watches a
// few keys, others send random commands, and EXEC answers. With three nodes the
// one that watches is at a follower, and the others are at all of them.
func TestDifferentialWatch(t *testing.T) {
	real := startRedis(t)
	seed := *differentialSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (repeat with -differential.seed %d)", seed, seed)
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", n), func(t *testing.T) {
			c := start(t, n)
			at := c.Nodes[0]
			if n > 1 {
				at = c.follower()
			}
			watcher := newPair(t, at.Addr, real, false)
			// What the others have written must be here before WATCH looks.
			must(t, watcher.ours, "READWRITE")
			var writers []*pair
			for _, node := range c.Nodes {
				writers = append(writers, newPair(t, node.Addr, real, false))
			}
			compareWatch(t, rand.New(rand.NewPCG(seed, uint64(n))), watcher, writers, commonCommands(t, at.Addr, real))
			c.sameDigests()
		})
	}
}

func compareWatch(t *testing.T, rng *rand.Rand, watcher *pair, writers []*pair, commands []entry) {
	known := map[string]entry{}
	for _, e := range commands {
		known[e.name] = e
	}
	var grammar []template
	for _, tp := range readGrammar(t, known) {
		if e := known[strings.ToLower(tp[0])]; !e.how().shape { // chance would lead to different data
			grammar = append(grammar, tp)
		}
	}
	aborted := 0
	rounds := *differentialCount / 10
	for round := range rounds {
		var history []string
		do := func(p *pair, args []string) (ours, real value) {
			ours, real = p.do(t, args...)
			history = append(history, fmt.Sprintf("%q: %.80q, %.80q", args, ours.Raw, real.Raw))
			return ours, real
		}
		do(writers[0], []string{"FLUSHALL"})
		for _, line := range watchSetup {
			do(writers[0], strings.Fields(line))
		}
		watch := []string{"WATCH"}
		for range 1 + rng.IntN(6) {
			watch = append(watch, watchedKeys[rng.IntN(len(watchedKeys))])
		}
		do(watcher, []string{"SELECT", fmt.Sprint(rng.IntN(2))})
		do(watcher, []string{"EXISTS", "x"}) // a linearizable read
		do(watcher, watch)
		moved, emptied := false, false
		for range 1 + rng.IntN(3) {
			p := append(writers, watcher)[rng.IntN(len(writers)+1)]
			if p != watcher {
				do(p, []string{"SELECT", fmt.Sprint(rng.IntN(2))})
			}
			args := watchCommand(rng, grammar)
			do(p, args)
			moved = moved || args[0] == "SWAPDB"
			emptied = emptied || strings.HasPrefix(args[0], "FLUSH")
		}
		if moved && emptied {
			// On the way from EXEC to its place in the log this may be taken for a
			// change that it is not: the watching node is to have seen it before.
			do(watcher, []string{"EXISTS", "x"})
		}
		do(watcher, []string{"MULTI"})
		do(watcher, []string{"SET", "mark", "1"})
		ours, real := do(watcher, []string{"EXEC"})
		if why := (how{}).differs(ours, real); why != "" {
			t.Fatalf("round %d: %s\n%s", round, why, strings.Join(history, "\n"))
		}
		if real.Type != '*' || len(real.Elems) == 0 {
			aborted++
		}
	}
	t.Logf("%d of %d transactions were aborted", aborted, rounds)
	if aborted == 0 || aborted == rounds {
		t.Errorf("%d of %d transactions were aborted: this shows nothing", aborted, rounds)
	}
}
