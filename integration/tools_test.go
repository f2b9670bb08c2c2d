package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// TestRedisCLI talks to leader and follower as a person does.
func TestRedisCLI(t *testing.T) {
	cli := tool(t, "redis-cli")
	c := start(t, 3)
	for _, n := range []*cluster.Node{c.leader(), c.follower()} {
		_, port, _ := strings.Cut(n.Addr, ":")
		for _, flags := range [][]string{nil, {"-3"}} {
			say := func(args ...string) string {
				t.Helper()
				all := append(append([]string{"-p", port}, flags...), args...)
				out, err := exec.Command(cli, all...).CombinedOutput()
				if err != nil {
					t.Fatalf("redis-cli %v: %v: %s", all, err, out)
				}
				return strings.TrimSpace(string(out))
			}
			for _, line := range []struct {
				args []string
				want string
			}{
				{[]string{"PING"}, "PONG"},
				{[]string{"SET", "greeting", "hello world"}, "OK"},
				{[]string{"GET", "greeting"}, "hello world"},
				{[]string{"GET", "missing"}, ""},
				{[]string{"-n", "3", "SET", "a", "1"}, "OK"},
				{[]string{"-n", "3", "DBSIZE"}, "1"},
				{[]string{"-r", "3", "INCR", "n:" + port + strings.Join(flags, "")}, "1\n2\n3"},
				{[]string{"NONSENSE"}, "ERR unknown command 'NONSENSE', with args beginning with:"},
				{[]string{"ROLE"}, map[bool]string{true: "master", false: "slave"}[n == c.leader()]},
				{[]string{"INFO", "replication"}, "role:"},
				{[]string{"RAFT", "NODES"}, n.Addr},
				{[]string{"RAFT", "HELP"}, "TRANSFER"},
				{[]string{"COMMAND", "COUNT"}, ""},
				{[]string{"--bigkeys"}, "Biggest string"},
				{[]string{"--scan", "--pattern", "greet*"}, "greeting"},
			} {
				// Members learn of one another's client addresses a little after the start.
				eventually(t, fmt.Sprintf("redis-cli %v on %s prints %q", line.args, n.Addr, line.want), func() error {
					if got := say(line.args...); !strings.Contains(got, line.want) {
						return fmt.Errorf("it prints\n%s", got)
					}
					return nil
				})
			}
		}
	}
	c.sameDigests()
}

// TestRedisCLIModes runs the things that redis-cli does beside sending commands, on a
// follower.
func TestRedisCLIModes(t *testing.T) {
	cli, unbuffered := tool(t, "redis-cli"), tool(t, "stdbuf") // what it prints to no terminal is lost when it is stopped
	c := start(t, 3)
	n := c.follower()
	_, port, _ := strings.Cut(n.Addr, ":")
	var load strings.Builder
	for i := range 500 {
		fmt.Fprintf(&load, "SET string:%d %s\r\nRPUSH list:%d a b c\r\nHSET hash:%d f v\r\n", i, strings.Repeat("x", 1+i%50), i%20, i%10)
	}
	script := filepath.Join(t.TempDir(), "script.lua")
	if err := os.WriteFile(script, []byte("redis.call('incrby', KEYS[1], ARGV[1]) return {KEYS[2], ARGV[1], redis.call('get', KEYS[1])}"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(stdin string, limit time.Duration, args ...string) string {
		t.Helper()
		wait := patience
		if limit > 0 { // it goes on until it is stopped
			wait = limit
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		cmd := exec.CommandContext(ctx, unbuffered, append([]string{"-o0", cli, "-p", port}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		if limit > 0 {
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // as Ctrl-C does
			cmd.WaitDelay = patience
		}
		out, err := cmd.CombinedOutput()
		if err != nil && limit == 0 && !strings.Contains(strings.Join(args, " "), "hotkeys") {
			t.Fatalf("redis-cli %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	for _, x := range []struct {
		args  []string
		stdin string
		limit time.Duration
		want  []string
	}{
		{[]string{"--pipe"}, load.String(), 0, []string{"errors: 0, replies: 1500"}},
		{[]string{"--bigkeys"}, "", 0, []string{"Sampled 530 keys in the keyspace!", "Biggest   list found", "500 strings with"}},
		{[]string{"--memkeys"}, "", 0, []string{"Sampled 530 keys in the keyspace!", "Biggest string found"}},
		{[]string{"--hotkeys"}, "", 0, []string{"ERR An LFU maxmemory policy is not selected, access frequency not tracked."}},
		{[]string{"CONFIG", "SET", "maxmemory-policy", "allkeys-lfu", "lfu-log-factor", "0", "lfu-decay-time", "0"}, "", 0, []string{"OK"}},
		{[]string{"-r", "90", "GET", "string:77"}, "", 0, []string{strings.Repeat("x", 28)}},
		{[]string{"-r", "40", "LLEN", "list:11"}, "", 0, []string{"75\n"}},
		{[]string{"--hotkeys"}, "", 0, []string{"Sampled 530 keys in the keyspace!", "hot key found with counter: 95\tkeyname: \"string:77\"\nhot key found with counter: 45\tkeyname: \"list:11\"\n"}},
		{[]string{"--scan", "--pattern", "list:1?"}, "", 0, []string{"list:10", "list:19"}},
		{[]string{"--stat", "-i", "0.05"}, "", time.Second, []string{"------- data ------", "530"}},
		{[]string{"--latency", "--raw", "-i", "0.1"}, "", 0, []string{"."}},
		{[]string{"--latency-history", "-i", "0.2"}, "", time.Second, []string{"seconds range"}},
		{[]string{"--latency-dist", "-i", "0.2"}, "", time.Second, []string{""}},
		{[]string{"--intrinsic-latency", "1"}, "", 0, []string{"total runs"}},
		{[]string{"-3", "MEMORY", "DOCTOR"}, "", 0, []string{"Sam"}},
		{[]string{"MODULE", "LIST"}, "", 0, []string{""}},
		{[]string{"--eval", script, "evaluated", "other", ",", "7"}, "", 0, []string{"other\n7\n7\n"}},
		// There is no debugger, and redis-cli does not look at what SCRIPT DEBUG answers.
		{[]string{"--ldb", "--eval", script, "evaluated", "other", ",", "7"}, "", 0, []string{"session can't start", "ERR SCRIPT DEBUG is not supported: scripts are replicated"}},
		{[]string{"--ldb-sync-mode", "--eval", script, "evaluated", "other", ",", "7"}, "", 0, []string{"session can't start", "ERR SCRIPT DEBUG is not supported: scripts are replicated"}},
		{[]string{"GET", "evaluated"}, "", 0, []string{"7\n"}},
	} {
		out := run(x.stdin, x.limit, x.args...)
		for _, want := range x.want {
			if !strings.Contains(out, want) {
				t.Errorf("redis-cli %v does not print %q:\n%s", x.args, want, tailOf(out, 2000))
			}
		}
	}
	c.sameDigests()
}

func tailOf(s string, n int) string { return s[max(0, len(s)-n):] }

// TestRedisBenchmark: its list of tests, without one error, on leader and
// follower, with and without pipelining.
func TestRedisBenchmark(t *testing.T) {
	bench := tool(t, "redis-benchmark")
	c := start(t, 3, "--snapshot-bytes", "8mb")
	requests := 10000
	if raceDetector {
		requests = 3000
	}
	rate := regexp.MustCompile(`"([\d.]+)"`)
	for _, n := range []*cluster.Node{c.leader(), c.follower()} {
		_, port, _ := strings.Cut(n.Addr, ":")
		for _, pipeline := range []string{"1", "64"} {
			out, err := exec.Command(bench, "-p", port, "-t", "ping,set,get,incr,mset", "-P", pipeline,
				"-n", fmt.Sprint(requests), "-r", "10000", "-c", "50", "--csv").CombinedOutput()
			text := string(out)
			if err != nil || strings.Contains(text, "Error") || strings.Contains(text, "ERR") || strings.Contains(text, "WARN") {
				t.Fatalf("redis-benchmark -P %s on node %d: %v\n%s", pipeline, n.ID, err, text)
			}
			results := 0
			for _, line := range strings.Split(text, "\n")[1:] {
				if rate.MatchString(line) {
					results++
				}
			}
			if results != 6 { // PING twice: inline and as a command
				t.Errorf("redis-benchmark has %d results, not 6:\n%s", results, text)
			}
		}
	}
	c.sameDigests()
}

// TestRedisCLICluster runs what redis-cli does with a Redis Cluster. (redis-benchmark
// --cluster refuses a cluster of one master, Redis's as well.)
func TestRedisCLICluster(t *testing.T) {
	cli := tool(t, "redis-cli")
	c := start(t, 3, "--cluster-enabled", "yes")
	announced(t, c)
	for _, n := range []*cluster.Node{c.leader(), c.follower()} {
		_, port, _ := strings.Cut(n.Addr, ":")
		for _, x := range []struct {
			args []string
			want []string
		}{
			{[]string{"--cluster", "check", n.Addr}, []string{"[OK] All nodes agree about slots configuration.", "[OK] All 16384 slots covered.", "2 additional replica(s)"}},
			{[]string{"--cluster", "info", n.Addr}, []string{"in 1 masters.", "| 16384 slots | 2 slaves."}},
			{[]string{"--cluster", "call", n.Addr, "PING"}, []string{"PONG"}},
			{[]string{"-c", "-p", port, "SET", "greeting", "hello"}, []string{"OK"}},
			{[]string{"-c", "-p", port, "MGET", "greeting", "another"}, []string{"hello"}},
			{[]string{"-p", port, "CLUSTER", "INFO"}, []string{"cluster_state:ok", "cluster_known_nodes:3"}},
		} {
			out, err := exec.Command(cli, x.args...).CombinedOutput()
			for _, want := range x.want {
				if err != nil || !strings.Contains(string(out), want) {
					t.Errorf("redis-cli %v: %v: %q is not in\n%s", x.args, err, want, out)
				}
			}
		}
	}
}
