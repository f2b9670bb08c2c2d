package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// process is raftredis run with a command line of the test's own.
type process struct {
	t    testing.TB
	dir  string // where it runs
	log  string
	cmd  *exec.Cmd
	done chan struct{}
}

// run starts raftredis in dir. It ends with the test.
func run(t testing.TB, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, log: filepath.Join(dir, "output.log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(binary(t), args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its status is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("output:\n%s", tail(p.log, 40))
		}
		checkLog(t, p.log)
	})
	return p
}

func (p *process) waitReady(addr string) {
	p.t.Helper()
	eventually(p.t, "the node", func() error {
		select {
		case <-p.done:
			return cluster.Ended(p.cmd.ProcessState.ExitCode(), p.log)
		default:
		}
		_, err := ask(addr, "SET", "ready", "1")
		return err
	})
}

// terminate sends SIGTERM and checks the exit status.
func (p *process) terminate(status int) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	p.wait(status)
}

// wait waits for the process to end by itself and checks its exit status.
func (p *process) wait(status int) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatal("the process does not end")
	}
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.t.Fatalf("exit status %d, not %d", got, status)
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	addr, err := cluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(addr, ":")
	return port
}

// startBare starts a node with nothing but its directory and the options that
// are not remembered in it.
func (c *nodes) startBare(n *cluster.Node) {
	c.t.Helper()
	n.Bare = true
	if err := n.Start(); err != nil {
		c.t.Fatal(err)
	}
}

// TestFatalErrorsAreOneLine: whatever keeps a node from running, it says so in
// its last line, and ends with 1 (2 for a wrong option).
func TestFatalErrorsAreOneLine(t *testing.T) {
	taken := startRedis(t)
	_, takenPort, _ := strings.Cut(taken, ":")
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--prot", "1"}, 2, "did you mean --port?"},
		{[]string{"--port", takenPort, "--cluster-port", freePort(t)}, 1, "address already in use"},
		{[]string{"--port", freePort(t), "--cluster-port", takenPort}, 1, "address already in use"},
		{[]string{"--port", freePort(t), "--dir", filepath.Join(damaged, "file")}, 1, "not a directory"},
		{[]string{"--port", freePort(t), "--id", "2", "--join"}, 1, "--join needs a running member"},
	} {
		p := run(t, t.TempDir(), c.args...)
		p.wait(c.status)
		if last := tail(p.log, 1); !strings.HasPrefix(last, "raftredis: ") || !strings.Contains(last, c.want) {
			t.Errorf("%v ends with\n%s\nwanted raftredis: ... %s ...", c.args, tail(p.log, 3), c.want)
		}
	}
}

// TestDirectoryOfAnother: a node must not start from somebody else's data.
func TestDirectoryOfAnother(t *testing.T) {
	dir := t.TempDir()
	port, peer := freePort(t), freePort(t)
	p := run(t, dir, "--port", port, "--cluster-port", peer)
	p.waitReady("127.0.0.1:" + port)
	second := run(t, dir, "--port", freePort(t), "--cluster-port", freePort(t)) // while the first runs
	second.wait(1)
	p.terminate(0)
	other := run(t, dir, "--id", "2", "--port", port, "--cluster", fmt.Sprintf("1=http://127.0.0.1:%s,2=http://127.0.0.1:%s", peer, freePort(t)))
	other.wait(1)
	if last := tail(other.log, 1); !strings.Contains(last, "member 1") {
		t.Errorf("the other node's error: %s", last)
	}
	p = run(t, dir)
	p.waitReady("127.0.0.1:" + port)
	p.terminate(0)
}
