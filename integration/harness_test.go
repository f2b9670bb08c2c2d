package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// patience is how long a condition may take that should hold at once. It is
// generous because it only matters when a test fails.
const patience = 60 * time.Second

// program is the binary under test, built once for all tests.
var program struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	if program.dir != "" {
		if err := os.RemoveAll(program.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

// binary returns the path of raftredis, built under the race detector if the
// tests are. INTEGRATION_BINARY names one that is there already.
func binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("INTEGRATION_BINARY"); path != "" {
		return path
	}
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "raftredis-binary-"); program.err == nil {
			program.path, program.err = cluster.Build(program.dir, raceDetector)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// skip skips the test because the machine lacks something, except in CI: there
// nothing is skipped.
func skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("INTEGRATION_CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// newDir makes a directory for a test's data and logs. It is removed unless the
// test fails: then its path is printed, with the end of every log.
func newDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "raftredis-"+strings.ReplaceAll(t.Name(), "/", "-")+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
		if err != nil {
			t.Error(err)
		}
		for _, log := range logs {
			checkLog(t, log)
		}
		if !t.Failed() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
			return
		}
		t.Logf("data and logs are kept in %s", dir)
		for _, log := range logs {
			t.Logf("the end of %s:\n%s", filepath.Base(log), tail(log, 40))
		}
	})
	return dir
}

// checkLog fails the test if a log has what must never be in one.
func checkLog(t testing.TB, path string) {
	if err := cluster.CheckLog(path); err != nil {
		t.Error(err)
	}
}

func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// nodes is a running cluster that ends with its test.
type nodes struct {
	*cluster.Cluster
	t testing.TB
}

// prepare makes a cluster of n nodes with these options; it is not started.
func prepare(t testing.TB, n int, args ...string) *nodes {
	t.Helper()
	c, err := cluster.New(binary(t), newDir(t), n, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &nodes{Cluster: c, t: t}
}

// start starts a cluster of n nodes and waits until all know a leader.
func start(t testing.TB, n int, args ...string) *nodes {
	t.Helper()
	c := prepare(t, n, args...)
	c.startAll()
	return c
}

// startAll starts every node that does not run, and waits until all that run
// know a leader.
func (c *nodes) startAll() {
	c.t.Helper()
	if err := c.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.ready()
}

func (c *nodes) ready() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	eventually(c.t, "all nodes", func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return c.WaitReady(ctx)
	})
}

// leader waits until there is one.
func (c *nodes) leader() *cluster.Node {
	c.t.Helper()
	var n *cluster.Node
	eventually(c.t, "a leader", func() error {
		if n = c.Leader(); n == nil {
			return errors.New("there is none")
		}
		return nil
	})
	return n
}

// follower returns a running node that does not lead.
func (c *nodes) follower() *cluster.Node {
	c.t.Helper()
	leader := c.leader()
	for _, n := range c.Nodes {
		if n != leader && n.Running() && !n.Paused() {
			return n
		}
	}
	c.t.Fatal("no follower")
	return nil
}

// sameDigests waits until all running nodes have the same state at the same
// index. Nothing may write meanwhile.
func (c *nodes) sameDigests() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var running []*cluster.Node
	for _, n := range c.Nodes {
		if n.Running() && !n.Paused() {
			running = append(running, n)
		}
	}
	digest, err := cluster.Digests(ctx, running)
	if err != nil {
		c.t.Fatalf("digests differ: %v", err)
	}
	return digest
}

// stop ends a node with SIGTERM. It must do so with exit status 0.
func (c *nodes) stop(n *cluster.Node) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		c.t.Fatal(err)
	}
	if status := n.ExitCode(); status != 0 {
		c.t.Fatalf("node %d ended with status %d", n.ID, status)
	}
}

// connect opens a connection that ends with the test.
func connect(t testing.TB, addr string) *conn {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// must sends a command whose reply must not be an error.
func must(t testing.TB, c *conn, args ...string) value {
	t.Helper()
	v, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%.80q: %v", args, err)
	}
	if v.IsError() {
		t.Fatalf("%.80q: %s", args, v.Str)
	}
	return v
}

// ask opens a connection for one command.
func ask(addr string, args ...string) (value, error) {
	c, err := dial(addr)
	if err != nil {
		return value{}, err
	}
	defer c.Close()
	v, err := c.Do(args...)
	if err == nil && v.IsError() {
		err = errors.New(v.Str)
	}
	return v, err
}

// eventually waits until condition returns nil. If that takes longer than
// anything may, the test fails with the last error.
func eventually(t testing.TB, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := cluster.Until(ctx, condition); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}
