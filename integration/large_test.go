package integration

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

var largeMB = flag.Int("large.mb", 64, "megabytes of the value in TestLargeValue")

// rss returns a node's resident memory in bytes, as it says itself.
func rss(t testing.TB, n *cluster.Node) int {
	t.Helper()
	info, err := n.Info("memory")
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := strconv.Atoi(info["used_memory_rss"])
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// rssBelow waits until a node has given memory back.
func rssBelow(t testing.TB, n *cluster.Node, limit int) {
	t.Helper()
	if raceDetector {
		return // it keeps books of its own on all memory
	}
	eventually(t, fmt.Sprintf("node %d to take less than %d MB", n.ID, limit>>20), func() error {
		if got := rss(t, n); got > limit {
			return fmt.Errorf("it takes %d MB", got>>20)
		}
		return nil
	})
}

// TestLargeValue: a value of many megabytes, through the leader and through a follower,
// while others write. It is replicated, costs nobody the leadership, and not much more
// memory than its size in the end.
func TestLargeValue(t *testing.T) {
	// Generous, for a busy machine: the point is that heartbeats are not late by as much
	// as the value takes.
	c := start(t, 3, "--cluster-node-timeout", "2000", "--proposal-timeout", "20000")
	size := *largeMB << 20
	base := 0
	for _, n := range c.Nodes {
		base = max(base, rss(t, n))
	}
	value := strings.Repeat("0123456789abcdef", size/16)
	term := func() string {
		info, err := c.leader().Info("raft")
		if err != nil {
			t.Fatal(err)
		}
		return info["raft_term"]
	}
	before := term()
	leader := c.leader()

	stopC, doneC := make(chan struct{}), make(chan error, 1)
	go func() {
		small, err := dial(leader.Addr)
		if err != nil {
			doneC <- err
			return
		}
		defer small.Close()
		for i := 0; ; i++ {
			select {
			case <-stopC:
				doneC <- nil
				return
			default:
			}
			v, err := small.Do("SET", "small", strconv.Itoa(i))
			if err == nil && v.IsError() {
				err = errors.New(v.Str)
			}
			if err != nil {
				doneC <- fmt.Errorf("small write %d: %w", i, err)
				return
			}
		}
	}()
	for _, through := range []*cluster.Node{leader, c.follower()} {
		must(t, connect(t, through.Addr), "SET", "large", fmt.Sprint(through.ID)+value)
		for _, n := range c.Nodes {
			eventually(t, "the value on all nodes", func() error {
				v, err := ask(n.Addr, "GET", "large")
				if err == nil && v.Str != fmt.Sprint(through.ID)+value {
					err = fmt.Errorf("node %d has %d bytes", n.ID, len(v.Str))
				}
				return err
			})
		}
	}
	close(stopC)
	if err := <-doneC; err != nil {
		t.Error(err)
	}
	if after := term(); after != before {
		t.Errorf("the leadership was lost: term %s, and %s before", after, before)
	}
	for _, n := range c.Nodes {
		rssBelow(t, n, base+3*size)
		t.Logf("node %d: %d MB resident for a value of %d MB, %d before", n.ID, rss(t, n)>>20, *largeMB, base>>20)
	}
	// From the log again, or from a snapshot.
	want := must(t, connect(t, leader.Addr), "GET", "large")
	killed := c.follower()
	killed.Kill()
	c.startAll()
	c.sameDigests()
	if got := must(t, connect(t, killed.Addr), "GET", "large"); got.Str != want.Str {
		t.Errorf("%d bytes after a restart, and %d before", len(got.Str), len(want.Str))
	}
	rssBelow(t, killed, base+3*size)
}

// TestSlowReader: a client that does not read its replies costs their size while it
// lasts, and nothing afterwards. It is closed at the limit, and the log says so.
func TestSlowReader(t *testing.T) {
	c := start(t, 1)
	n := c.Nodes[0]
	const count = 100
	value := strings.Repeat("v", 1<<20)
	admin := connect(t, n.Addr)
	must(t, admin, "SET", "key", value)
	base := rss(t, n)
	gets := strings.Repeat(string(encode("GET", "key")), count)

	slow := connect(t, n.Addr)
	must(t, slow, "PING") // it is there
	if _, err := io.WriteString(slow, gets); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything waits", func() error {
		if omem := clientField(t, admin, slow, "omem"); omem < (count-15)<<20 || omem > (count+1)<<20 {
			return fmt.Errorf("omem=%d", omem)
		}
		return nil
	})
	if !raceDetector {
		if got := rss(t, n); got > base+2*count<<20 {
			t.Errorf("%d MB resident with %d MB of replies, %d before", got>>20, count, base>>20)
		}
	}
	for i := range count {
		if v, err := slow.Receive(); err != nil || v.Str != value {
			t.Fatalf("reply %d: %v", i, err)
		}
	}
	rssBelow(t, n, base+40<<20)

	must(t, admin, "CONFIG", "SET", "client-output-buffer-limit", "normal 32mb 0 0")
	slow = connect(t, n.Addr)
	must(t, slow, "PING")
	if _, err := io.WriteString(slow, gets); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is closed", func() error {
		if v := must(t, admin, "CLIENT", "LIST"); strings.Contains(v.Str, " addr="+slow.LocalAddr().String()+" ") {
			return errors.New(v.Str)
		}
		return nil
	})
	log, err := os.ReadFile(n.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), " addr="+slow.LocalAddr().String()+" ") || !strings.Contains(string(log), " for overcoming of output buffer limits.") {
		t.Errorf("not in the log:\n%s", tail(n.LogFile(), 5))
	}
	rssBelow(t, n, base+40<<20)
}

// clientField returns a number of a client's line in CLIENT LIST.
func clientField(t testing.TB, admin, client *conn, name string) int {
	t.Helper()
	for line := range strings.Lines(must(t, admin, "CLIENT", "LIST").Str) {
		if !strings.Contains(line, " addr="+client.LocalAddr().String()+" ") {
			continue
		}
		for _, word := range strings.Fields(line) {
			if v, ok := strings.CutPrefix(word, name+"="); ok {
				got, err := strconv.Atoi(v)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
		}
	}
	t.Fatalf("no such client: %s", client.LocalAddr())
	return 0
}
