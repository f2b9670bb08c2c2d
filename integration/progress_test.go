package integration

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// TestProgress sends a member that was away a snapshot over a link that is slow enough
// for people to ask: how far it is stands in the status of both, in INFO, at /metrics and
// in their logs, until it is there.
func TestProgress(t *testing.T) {
	c, at := observed(t, 3, "--snapshot-bytes", "65536", "--snapshot-catch-up-bytes", "8192")
	follower, leader := c.follower(), c.leader()
	follower.Kill()
	value := strings.Repeat("x", 256<<10)
	for i := range 24 { // 6 MB: 192 pieces of the network
		if _, err := cluster.Ask(leader.Addr, "SET", fmt.Sprint("k", i), value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cluster.Ask(leader.Addr, "RAFT", "SNAPSHOT"); err != nil {
		t.Fatal(err)
	}
	c.Net.Slow(leader.ID, follower.ID, 50*time.Millisecond)
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	info := func(addr string, patterns ...string) error {
		v, err := cluster.Ask(addr, "INFO", "raft")
		if err != nil {
			return err
		}
		return has(fmt.Sprint(v), patterns...)
	}
	eventually(t, "progress at both ends", func() error {
		if err := info(leader.Addr, fmt.Sprintf(`^raft_task\d:kind=send-snapshot,member=%d,done=[1-9]\d*,total=6\d{6},unit=bytes,perc=[1-9]`, follower.ID)); err != nil {
			return err
		}
		if err := info(follower.Addr, fmt.Sprintf(`^raft_task\d:kind=receive-snapshot,member=%d,done=[1-9]\d*,total=6\d{6},unit=bytes,perc=[1-9].*eta_seconds=\d`, leader.ID)); err != nil {
			return err
		}
		out, _, err := status(t, leader.Addr)
		if err != nil {
			return err
		}
		if err := has(out, fmt.Sprintf(`^under way sending a snapshot to member %d: \d+ %%, \d+ s to go`, follower.ID)); err != nil {
			return err
		}
		for i, n := range c.Nodes {
			if n == leader {
				page, err := scrape(at[i])
				if err != nil {
					return err
				}
				return has(page, fmt.Sprintf(`^raftredis_task_done_ratio\{id="\d+",member="%d",task="send-snapshot"\} 0\.\d`, follower.ID), `^raftredis_tasks [1-9]`)
			}
		}
		return nil
	})
	// So have the logs, a moment later, and the link stays slow until they have.
	logged := func(format string) func() error {
		return func() error {
			for n, what := range map[*cluster.Node]string{
				leader: fmt.Sprintf("sending a snapshot to member %d", follower.ID), follower: fmt.Sprintf("receiving a snapshot from member %d", leader.ID),
			} {
				log, err := os.ReadFile(n.LogFile())
				if err != nil {
					return err
				}
				if !bytes.Contains(log, fmt.Appendf(nil, format, what)) {
					return fmt.Errorf("node %d does not log that it is %s:\n%s", n.ID, what, log)
				}
			}
			return nil
		}
	}
	eventually(t, "progress in the logs", logged(" %s: "))
	c.Net.Heal()
	c.ready()
	eventually(t, "the end of it in the logs", logged("done: %s  "))
	eventually(t, "all is well", func() error {
		out, warned, err := status(t, leader.Addr)
		if err != nil {
			return err
		}
		if warned {
			return fmt.Errorf("there are warnings: %s", out)
		}
		return nil
	})
}
