package apps

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// built are the binaries that the tests run, built when the first test needs them.
var built struct {
	node func() (string, error) // raftredis
	goes func() (string, error) // the programs on Go libraries
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "raftredis-apps-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		built.node = sync.OnceValues(func() (string, error) {
			if path := os.Getenv("INTEGRATION_BINARY"); path != "" {
				return path, nil
			}
			return cluster.Build(dir, raceDetector())
		})
		built.goes = sync.OnceValues(func() (string, error) {
			path := filepath.Join(dir, "programs")
			cmd := exec.Command("go", "build", "-o", path, ".")
			cmd.Dir = "go"
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("go build: %w: %s", err, out)
			}
			return path, err
		})
		return m.Run()
	}())
}

// raceDetector reports whether the tests, and so the binary, run under it.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// skip skips the test because the machine lacks something, except in CI: there
// nothing is skipped.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("INTEGRATION_CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// goProgram is the command of a program in go/.
func goProgram(name string) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		t.Helper()
		path, err := built.goes()
		if err != nil {
			t.Fatal(err)
		}
		return []string{path, name}
	}
}

// script is the command of a program in another language, if its interpreter finds the
// library: probe is what it is asked to execute.
func script(dir, file, interpreter string, probe ...string) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		t.Helper()
		path, err := exec.LookPath(interpreter)
		if err != nil {
			skip(t, interpreter+" is not installed")
		}
		cmd := exec.Command(path, probe...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			skip(t, fmt.Sprintf("%s %s: %v: %s", interpreter, strings.Join(probe, " "), err, out))
		}
		return []string{path, filepath.Join(dir, file)}
	}
}

// process is a program that runs.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string // closed at the end of its output
	log   bytes.Buffer
}

// launch starts a program. It and whatever it has started end with the test.
func launch(t *testing.T, command []string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(command[0], command[1:]...), lines: make(chan string)}
	p.cmd.Stderr = &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p
}

// end tells the program to end.
func (p *process) end() { p.stdin.Close() }

// wait waits for it. Its output has to be read to the end before.
func (p *process) wait() error { return p.cmd.Wait() }

// kill kills the program's process group: it may have started others.
func (p *process) kill() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// eventually waits until condition returns nil.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := cluster.Until(ctx, condition); err != nil {
		t.Errorf("waiting for %s: %v", what, err)
	}
}

// nodes is a running cluster that ends with its test.
type nodes struct{ *cluster.Cluster }

// start starts a cluster of n nodes with these options, and waits until all know a leader.
func start(t *testing.T, n int, args ...string) nodes {
	t.Helper()
	path, err := built.node()
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.New(path, newDir(t), n, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	nodes := nodes{c}
	nodes.ready(t)
	return nodes
}

func (c nodes) ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.WaitReady(ctx); err != nil {
		t.Error(err)
	}
}

// leader waits until there is one.
func (c nodes) leader(t *testing.T) *cluster.Node {
	t.Helper()
	var n *cluster.Node
	eventually(t, "a leader", func() error {
		if n = c.Leader(); n == nil {
			return errors.New("there is none")
		}
		return nil
	})
	return n
}

func (c nodes) follower(t *testing.T) *cluster.Node {
	t.Helper()
	leader := c.leader(t)
	for _, n := range c.Nodes {
		if n != leader {
			return n
		}
	}
	t.Fatal("no follower")
	return nil
}

// killLeader kills the leader and starts it again once another one leads.
func (c nodes) killLeader(t *testing.T) {
	t.Helper()
	leader := c.leader(t)
	leader.Kill()
	c.leader(t)
	if err := leader.Start(); err != nil {
		t.Error(err)
		return
	}
	c.ready(t)
}

// sameDigests waits until all nodes have the same state.
func (c nodes) sameDigests(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := cluster.Digests(ctx, c.Nodes); err != nil {
		t.Errorf("digests differ: %v", err)
	}
}

// newDir makes a directory for data and logs. It is removed unless the test fails.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "raftredis-apps-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		logs, err := filepath.Glob(filepath.Join(dir, "node*.log"))
		if err != nil {
			t.Error(err)
		}
		for _, log := range logs {
			if err := cluster.CheckLog(log); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			t.Logf("data and logs are kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// redis is a redis-server that loses nothing that it has acknowledged when it is killed.
type redis struct {
	addr string
	args []string
	cmd  *exec.Cmd
}

func startRedis(t *testing.T) *redis {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		skip(t, "no redis-server is installed to compare with")
	}
	addr, err := cluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	dir := newDir(t)
	r := &redis{addr: addr, args: []string{path, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--logfile", filepath.Join(dir, "redis.log")}}
	r.start(t)
	t.Cleanup(r.kill)
	return r
}

func (r *redis) start(t *testing.T) {
	t.Helper()
	r.cmd = exec.Command(r.args[0], r.args[1:]...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "redis-server", func() error {
		_, err := cluster.Ask(r.addr, "DBSIZE") // an error while it loads
		return err
	})
}

func (r *redis) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// restart is a death and a new life on the same address.
func (r *redis) restart(t *testing.T) {
	t.Helper()
	r.kill()
	r.start(t)
}
