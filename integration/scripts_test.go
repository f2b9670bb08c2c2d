package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// load loads a script through one node.
func load(t testing.TB, addr, script string) (sha string) {
	t.Helper()
	return must(t, connect(t, addr), "SCRIPT", "LOAD", script).Str
}

// refusal sends a command and returns the error that it is answered with, "" if there
// is none.
func refusal(t testing.TB, c *conn, args ...string) string {
	t.Helper()
	v, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%.80q: %v", args, err)
	}
	if !v.IsError() {
		return ""
	}
	return v.Str
}

// TestScriptsEverywhere: what one node has loaded every node runs, after snapshots and
// restarts as well, and a node that joins from a snapshot, too.
func TestScriptsEverywhere(t *testing.T) {
	c := start(t, 3, "--snapshot-bytes", "32768", "--snapshot-catch-up-bytes", "8192")
	sha := load(t, c.Nodes[0].Addr, "return redis.call('incrby', KEYS[1], ARGV[1])")
	must(t, connect(t, c.Nodes[1].Addr), "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('twice', function(keys) redis.call('incr', keys[1]) return redis.call('incr', keys[1]) end)")
	// Evaluated, and a write: kept as well.
	must(t, connect(t, c.Nodes[2].Addr), "EVAL", "return redis.call('set', KEYS[1], 'x')", "1", "evaluated")
	want := 0
	check := func(when string) {
		t.Helper()
		for _, n := range c.Nodes {
			conn := connect(t, n.Addr)
			want += 5
			if got := must(t, conn, "EVALSHA", sha, "1", "n", "5"); got.String() != fmt.Sprint(want) {
				t.Fatalf("%s: node %d answers %s, want %d", when, n.ID, got, want)
			}
			want += 2
			if got := must(t, conn, "FCALL", "twice", "1", "n"); got.String() != fmt.Sprint(want) {
				t.Fatalf("%s: node %d answers %s, want %d", when, n.ID, got, want)
			}
		}
		c.sameDigests()
	}
	check("loaded")
	dump := must(t, connect(t, c.Nodes[0].Addr), "FUNCTION", "DUMP").Str

	w := count(c.Nodes, 8, "counter") // so that the log is compacted
	w.waitAcked(t, 1500)
	waitSnapshot(t, c)
	for _, n := range c.Nodes {
		n.Kill()
	}
	for _, n := range c.Nodes {
		c.startBare(n)
	}
	c.ready()
	w.finish(t, c, "counter")
	check("restarted")

	must(t, connect(t, c.Nodes[2].Addr), "FUNCTION", "FLUSH")
	must(t, connect(t, c.Nodes[1].Addr), "SCRIPT", "FLUSH")
	for _, n := range c.Nodes {
		conn := connect(t, n.Addr)
		for want, args := range map[string][]string{
			"NOSCRIPT No matching script. Please use EVAL.": {"EVALSHA", sha, "1", "n", "5"},
			"ERR Function not found":                        {"FCALL", "twice", "1", "n"},
		} {
			if got := refusal(t, conn, args...); got != want {
				t.Errorf("flushed: node %d answers %q with %q", n.ID, args, got)
			}
		}
	}
	// Dumps are Redis's: there and back.
	real := connect(t, startRedis(t))
	must(t, real, "FUNCTION", "RESTORE", dump)
	must(t, connect(t, c.Nodes[0].Addr), "FUNCTION", "RESTORE", must(t, real, "FUNCTION", "DUMP").Str)
	must(t, connect(t, c.Nodes[1].Addr), "FCALL", "twice", "1", "n")
	c.sameDigests()
}

// TestEndlessScript: a script that never ends and has not written is its node's affair,
// and can be killed; one that has ends everywhere at the same instruction. Neither
// costs the cluster its leader.
func TestEndlessScript(t *testing.T) {
	c := start(t, 3, "--busy-reply-threshold", "200")
	term := func() string {
		info, err := c.Nodes[0].Info("raft")
		if err != nil {
			t.Fatal(err)
		}
		return info["raft_term"]
	}
	before := term()
	for _, n := range []string{"leader", "follower"} {
		node := c.leader()
		other := c.follower()
		if n == "follower" {
			node, other = other, node
		}
		for _, kind := range []string{"SCRIPT", "FUNCTION"} {
			endless := []string{"EVAL", "redis.call('get', 'a') while true do end", "0"}
			if kind == "FUNCTION" {
				must(t, connect(t, node.Addr), "FUNCTION", "LOAD", "REPLACE", "#!lua name=endless\nredis.register_function('spin', function() while true do end end)")
				endless = []string{"FCALL", "spin", "0"}
			}
			conn, client := connect(t, node.Addr), connect(t, node.Addr)
			if err := conn.Send(endless...); err != nil {
				t.Fatal(err)
			}
			busy := fmt.Sprintf("BUSY Redis is busy running a script. You can only call %s KILL or SHUTDOWN NOSAVE.", kind)
			eventually(t, "the node to say that it is busy", func() error {
				if got := refusal(t, client, "GET", "a"); got != busy {
					return fmt.Errorf("not busy: %q", got)
				}
				return nil
			})
			// What other clients do goes on, and this node applies it.
			must(t, connect(t, other.Addr), "SET", "a", "1")
			c.sameDigests()
			if got := refusal(t, client, map[string]string{"SCRIPT": "FUNCTION", "FUNCTION": "SCRIPT"}[kind], "KILL"); got != busy {
				t.Errorf("the other KILL answers %q", got)
			}
			must(t, client, kind, "KILL")
			if v, err := conn.Receive(); err != nil || !strings.HasPrefix(v.Str, "ERR Script killed by user with SCRIPT KILL...") {
				t.Errorf("the script ended with %s, %v", v, err)
			}
			must(t, client, "GET", "a")
			if got := refusal(t, client, kind, "KILL"); got != "NOTBUSY No scripts in execution right now." {
				t.Errorf("%s KILL answers %q", kind, got)
			}
		}
		// One that has written.
		got := refusal(t, connect(t, node.Addr), "EVAL", "redis.call('incr', 'half') while true do end", "0")
		if !strings.HasPrefix(got, "ERR script ended: it reached the limit of instructions") {
			t.Errorf("the script that has written ended with %q", got)
		}
		c.sameDigests()
	}
	if got := must(t, connect(t, c.Nodes[0].Addr), "GET", "half"); got.Str != "2" {
		t.Errorf("two scripts have written %s", got)
	}
	if after := term(); after != before {
		t.Errorf("the term went from %s to %s", before, after)
	}
}

// TestHungryScripts: whatever a script wants, it gets a clear error, and the members
// stay equal.
func TestHungryScripts(t *testing.T) {
	c := start(t, 3)
	functions := 1000
	if raceDetector { // it makes filling the memory take ten times as long
		functions = 100
	}
	for i, script := range []string{
		"redis.call('set', 'a', '1') return string.rep('x', 2^31-1)",
		"redis.call('set', 'a', '1') local s = 'x' while true do s = s .. s end",
		"redis.call('set', 'a', '1') local t = {} for i = 1, 2^40 do t[i] = {i} end",
		"redis.call('set', 'a', '1') local function f() return f() + 1 end return f()",
		"redis.call('set', 'a', '1') local function f(n) return {f(n)} end return f(1)",
		"redis.call('set', 'a', '1') return string.find(string.rep('a', 100000), string.rep('a?', 100000) .. 'b')",
		"local s = 'x' while true do s = s .. s end",
		"local t = {} for i = 1, 2^40 do t[i] = {i} end",
	} {
		nodes := c.Nodes[:2]
		if raceDetector {
			nodes = nodes[i%2:][:1]
		}
		for _, n := range nodes {
			conn := connect(t, n.Addr)
			conn.Timeout = time.Minute
			if got := refusal(t, conn, "EVAL", script, "0"); !strings.HasPrefix(got, "ERR ") {
				t.Errorf("%s: %q", script, got)
			}
		}
	}
	conn := connect(t, c.Nodes[0].Addr)
	conn.Timeout = time.Minute
	big := must(t, conn, "EVAL", "redis.call('set', 'a', '2') return string.rep('x', 100*1024*1024)", "0")
	if len(big.Str) != 100<<20 {
		t.Errorf("a big reply has %d bytes", len(big.Str))
	}
	c.sameDigests()
	for i := range functions {
		must(t, connect(t, c.Nodes[0].Addr), "FUNCTION", "LOAD", fmt.Sprintf("#!lua name=l%d\nredis.register_function('f%d', function() return %d end)", i, i, i))
	}
	last := fmt.Sprint(functions - 1)
	if got := must(t, connect(t, c.Nodes[1].Addr), "FCALL", "f"+last, "0"); got.String() != last {
		t.Errorf("FCALL answers %s", got)
	}
	c.sameDigests()
}
