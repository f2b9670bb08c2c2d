package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
)

// realCommands are of every type, and between them have everything in them that
// could differ between two members: chance, time, waiting, order.
var realCommands = []string{
	"set s0 %d", "set s1 %d EX 2 GET", "incr s0", "append s1 x", "setrange s2 %d x", "getdel s1", "setbit s2 %d 1",
	"expire l1 3", "pexpire h0 %d", "persist h0", "rename s0 s1", "copy h0 h1 REPLACE", "del z0", "restore s0 0 bad",
	"rpush l0 %d b c", "lpop l0", "lmove l0 l1 LEFT RIGHT", "linsert l0 BEFORE b %d", "ltrim l1 0 5", "blpop l0 l1 0", "blmove l0 l1 LEFT LEFT 0",
	"hset h0 f%d v g 1", "hincrby h0 g %d", "hdel h0 g",
	"sadd t0 %d a b c", "spop t0", "spop t0 2", "smove t0 t1 a", "sinterstore t2 t0 t1",
	"zadd z0 %d a 2 b 3 c", "zpopmin z0", "zincrby z0 1.5 a", "zunionstore z1 2 z0 t0", "bzpopmin z0 z1 0", "zrangestore z2 z0 0 -1",
	"xadd x0 * f %d", "xadd x0 MAXLEN 10 * f v", "xgroup CREATE x0 g 0 MKSTREAM", "xtrim x0 MAXLEN 3", "pfadd p0 %d", "pfmerge p1 p0",
	"geoadd g0 13.3 38.1 a", "swapdb 0 1", "sort l0 ALPHA STORE l1", "bitop NOT s1 s0",
}

// The same with the commands of the real table, on members of which one waits
// for the replies and the other does not.
func TestRealCommandsSameState(t *testing.T) {
	table, err := command.NewTable(command.Data())
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for name, calls := 0, len(realCommands); name < calls; name++ {
		argv := args(strings.ReplaceAll(realCommands[name], "%d", "1"))
		if spec := table.Resolve(argv); spec == nil || !spec.IsWrite() || !spec.ArityOK(len(argv)) {
			t.Fatalf("%q is not a write command", realCommands[name])
		}
	}

	proposeC := make(chan *commit.Proposal, 1)
	origin := New(Config{Table: table, Member: 1}, proposeC, nil)
	origin.node.Store(&node{&fakeNode{log: &fakeLog{}}, 1})
	origin.retrying = true
	other := offline(t, Config{Table: table, Member: 2}, 1)

	next := func() [][]byte {
		line := realCommands[rnd.IntN(len(realCommands))]
		return args(strings.ReplaceAll(line, "%d", fmt.Sprint(rnd.IntN(50))))
	}
	now := int64(1_000_000)
	blocked, applied := 0, 0
	for i := range 600 {
		now += rnd.Int64N(300)
		var b Batch
		for range rnd.IntN(4) {
			argv := next()
			b.Write(rnd.IntN(2), table.Resolve(argv), argv)
		}
		if rnd.IntN(4) == 0 {
			var qs []Queued
			for range 1 + rnd.IntN(4) {
				argv := next()
				qs = append(qs, Queued{DB: rnd.IntN(2), Spec: table.Resolve(argv), Argv: argv})
			}
			b.Exec(nil, qs)
		}
		waits := slices.IndexFunc(realCommands, func(s string) bool { return strings.HasPrefix(s, "b") }) // blpop and its like
		argv := args(realCommands[waits+rnd.IntN(2)])
		b.WriteBlocking(rnd.IntN(2), table.Resolve(argv), argv, rnd.IntN(2) == 0)

		var reply recorder
		done := false
		origin.Submit(&b, &reply, func() { done = true })
		p := <-proposeC
		p.Take()
		entry := []commit.Entry{{Index: uint64(i) + 1, Term: 1, Data: sealEntry(nil, now, rnd.Uint64(), [][]byte{p.Data})}}
		for _, s := range []*Store{origin, other} {
			if err := s.apply(&commit.Batch{Entries: entry}); err != nil {
				t.Fatal(err)
			}
		}
		if !done {
			t.Fatal("not answered")
		}
		if b.Blocked() {
			blocked++
		}
		applied += b.Len()
		want := origin.capture().digest()
		if got := other.capture().digest(); got != want {
			t.Fatalf("at %d the members differ, after %q", i+1, p.Data)
		}
		if rnd.IntN(20) == 0 {
			from := other
			other = New(from.cfg, nil, nil)
			other.node.Store(from.node.Load())
			restoreInto(t, other, from)
			if got := other.capture().digest(); got != want {
				t.Fatalf("at %d restored to another state", i+1)
			}
		}
	}
	if blocked < 20 || applied < 1000 {
		t.Errorf("a poor log: %d commands, %d waited", applied, blocked)
	}
}
