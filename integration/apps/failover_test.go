package apps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// followsLeader is one row: a program that writes on and on through a library that follows
// the leader by itself.
type followsLeader struct {
	name    string
	command func(t *testing.T) []string
	dialect string   // for a program that knows both
	nodes   []string // options of the nodes
}

func leaderFollowers() []followsLeader {
	node := func(file string) func(*testing.T) []string {
		return script("node", file, "node", "--input-type=module", "-e", "import 'ioredis'; import 'redis'")
	}
	python := script("python", "redispy_failover.py", "/usr/bin/python3", "-c", "import redis.cluster")
	ruby := script("ruby", "redisrb_failover.rb", "/usr/bin/ruby", "-e", "require 'redis'")
	return []followsLeader{
		{name: "go-redis cluster", command: goProgram("go-redis-cluster")},
		{name: "go-redis sentinel", command: goProgram("go-redis-sentinel")},
		{name: "go-redis ring", command: goProgram("go-redis-ring")},
		{name: "rueidis cluster", command: goProgram("rueidis-cluster")},
		{name: "rueidis cluster, enabled", command: goProgram("rueidis-cluster"), nodes: []string{"--cluster-enabled", "yes", "--cluster-allow-cross-slot", "no"}},
		{name: "rueidis sentinel", command: goProgram("rueidis-sentinel")},
		{name: "ioredis cluster", command: node("ioredis_failover.js"), dialect: "cluster"},
		{name: "ioredis sentinel", command: node("ioredis_failover.js"), dialect: "sentinel"},
		{name: "node-redis cluster", command: node("noderedis_failover.js"), dialect: "cluster"},
		{name: "node-redis sentinel", command: node("noderedis_failover.js"), dialect: "sentinel"},
		// Before 4.4 it looks at cluster_enabled.
		{name: "redis-py cluster", command: python, dialect: "cluster", nodes: []string{"--cluster-enabled", "yes"}},
		{name: "redis-py sentinel", command: python, dialect: "sentinel"},
		{name: "redigo sentinel", command: goProgram("redigo-sentinel")},
		{name: "redis-rb sentinel", command: ruby},
	}
}

// TestFailover runs every such program while the leader dies, hands over, and all nodes
// are restarted one after the other. After each of these it has to write again soon, and
// what it was told is written has to be there in the end.
func TestFailover(t *testing.T) {
	for _, f := range leaderFollowers() {
		t.Run(f.name, func(t *testing.T) {
			// One after the other: the time counts.
			command := f.command(t)
			c := start(t, 3, f.nodes...)
			c.announced(t)
			var addrs []string
			for _, n := range c.Nodes {
				addrs = append(addrs, n.Addr)
			}
			w := newWriter(t, append(slices.Clone(command), strings.Join(addrs, ","), "0", f.dialect))
			w.writesAgain(t, "the start")
			w.through(t, "the leader's death", func() (lives func()) {
				leader := c.leader(t)
				leader.Kill()
				c.leader(t)
				return func() { c.revive(t, leader) }
			})
			w.through(t, "a hand-over", func() (lives func()) {
				if _, err := cluster.Ask(c.follower(t).Addr, "RAFT", "TRANSFER"); err != nil {
					t.Fatal(err)
				}
				c.leader(t)
				return func() {}
			})
			for _, n := range c.Nodes {
				w.through(t, "a restart", func() (lives func()) {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					defer cancel()
					if err := n.Stop(ctx); err != nil {
						t.Fatal(err)
					}
					c.leader(t)
					return func() { c.revive(t, n) }
				})
			}
			w.through(t, "a node's replacement", func() (lives func()) {
				c.replace(t, c.leader(t))
				return func() {}
			})
			w.end(t)
			c.sameDigests(t)
		})
	}
}

// revive starts a node again, and waits until it is one of the cluster.
func (c nodes) revive(t *testing.T, n *cluster.Node) {
	t.Helper()
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	c.ready(t)
}

// replace has a new node, with an address of its own, take the place of one that dies.
func (c nodes) replace(t *testing.T, old *cluster.Node) {
	t.Helper()
	n, err := c.Join(old.ID + 100)
	if err != nil {
		t.Fatal(err)
	}
	id := strconv.FormatUint(n.ID, 10)
	if _, err := cluster.Ask(old.Addr, "RAFT", "ADD", id, n.URL); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new member's vote", func() error {
		v, err := cluster.Ask(old.Addr, "RAFT", "NODES")
		if err != nil {
			return err
		}
		members, _ := v.([]any)
		for _, m := range members {
			if f, _ := m.([]any); len(f) > 3 && fmt.Sprint(f[1]) == id && f[3] != "learner" {
				return nil
			}
		}
		return fmt.Errorf("%v", v)
	})
	old.Kill()
	c.Nodes = slices.DeleteFunc(c.Nodes, func(n *cluster.Node) bool { return n == old })
	leader := c.leader(t)
	if _, err := cluster.Ask(leader.Addr, "RAFT", "REMOVE", strconv.FormatUint(old.ID, 10)); err != nil {
		t.Fatal(err)
	}
}

// announced waits until all nodes know where clients reach the others.
func (c nodes) announced(t *testing.T) {
	t.Helper()
	for _, n := range c.Nodes {
		eventually(t, "addresses", func() error {
			v, err := cluster.Ask(n.Addr, "SENTINEL", "SENTINELS", "mymaster")
			if all, ok := v.([]any); err == nil && (!ok || len(all) != len(c.Nodes)-1) {
				err = fmt.Errorf("%v", v)
			}
			return err
		})
	}
}

// writer is a program that runs, and what it has said.
type writer struct {
	p    *process
	done chan struct{} // closed at the end of its output

	mu     sync.Mutex
	ledger *ledger
	acks   []time.Time
}

func newWriter(t *testing.T, command []string) *writer {
	t.Helper()
	w := &writer{p: launch(t, command), done: make(chan struct{}), ledger: newLedger()}
	go func() {
		defer close(w.done)
		for line := range w.p.lines {
			w.mu.Lock()
			w.ledger.enter(t, line)
			if strings.HasPrefix(line, "acked ") {
				w.acks = append(w.acks, time.Now())
			}
			w.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		w.p.kill()
		<-w.done
	})
	return w
}

// writesAgain waits until something was written from now on, and says how long that took.
func (w *writer) writesAgain(t *testing.T, after string) {
	t.Helper()
	from := time.Now()
	var at time.Time
	eventually(t, "a write after "+after, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.acks); n > 0 && w.acks[n-1].After(from) {
			i, _ := slices.BinarySearchFunc(w.acks, from, time.Time.Compare)
			at = w.acks[i]
			return nil
		}
		select {
		case <-w.done:
			return errors.New("the program has ended")
		default:
			return errors.New("there is none")
		}
	})
	if !at.IsZero() {
		t.Logf("writing again %v after %s", at.Sub(from).Round(time.Millisecond), after)
	}
}

// through has something happen to the cluster. disturb returns when there is a leader
// again, and what is left to do when the program writes again.
func (w *writer) through(t *testing.T, what string, disturb func() (lives func())) {
	t.Helper()
	lives := disturb()
	w.writesAgain(t, what)
	lives()
	w.writesAgain(t, "the end of "+what)
}

// end has the program read all that it has written, and end.
func (w *writer) end(t *testing.T) {
	t.Helper()
	w.p.end()
	giveUp := time.AfterFunc(patience, w.p.kill)
	defer giveUp.Stop()
	<-w.done
	if err := w.p.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	} else if !w.ledger.ok {
		t.Error("the program did not say ok")
	}
	if lost := w.ledger.lost(); len(lost) > 0 {
		t.Errorf("lost: %s", lost)
	}
	t.Logf("%d were acked, %d may be there", len(w.ledger.acked), len(w.ledger.unsure))
	if t.Failed() {
		log := w.p.log.Bytes()
		t.Logf("the end of the program's log:\n%s", log[max(0, len(log)-4000):])
	}
}
