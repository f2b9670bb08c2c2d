package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles the binary into dir and returns its path. With race it is
// built with the race detector.
func Build(dir string, race bool) (string, error) {
	path := filepath.Join(dir, "raftredis")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/raftredis/raftredis/cmd/raftredis")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
}

// FirstRelease is the commit of the oldest program that nodes must work together with:
// 0.1.0, which knows nothing of levels.
const FirstRelease = "bc125d76f7e0544888dbccbd66354bf4ba729b1d"

// ErrNoHistory says that an earlier commit is not there to be built.
var ErrNoHistory = errors.New("the repository's history is needed, and a shallow clone or an archive of the source does not have it")

// BuildCommit compiles the program of an earlier commit into dir and returns its path. The
// error is ErrNoHistory if there is no such commit here.
func BuildCommit(dir, commit string) (string, error) {
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err == nil {
		err = exec.Command("git", "cat-file", "-e", commit+"^{commit}").Run()
	}
	if err != nil {
		return "", fmt.Errorf("the program of commit %s cannot be built: %w (git fetch --unshallow)", commit, ErrNoHistory)
	}
	source := filepath.Join(dir, "source")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return "", err
	}
	archive := filepath.Join(dir, "source.tar")
	if out, err := exec.Command("git", "-C", strings.TrimSpace(string(top)), "archive", "-o", archive, commit, "go.mod", "go.sum", "cmd", "raftnode", "resp", "store").CombinedOutput(); err != nil {
		return "", fmt.Errorf("git archive %s: %w: %s", commit, err, bytes.TrimSpace(out))
	}
	if out, err := exec.Command("tar", "-xf", archive, "-C", source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("tar: %w: %s", err, out)
	}
	path := filepath.Join(dir, "raftredis-older")
	// -trimpath: what was built for another directory is used again.
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "./cmd/raftredis")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build of %s: %w: %s", commit, err, out)
	}
	return path, errors.Join(os.RemoveAll(source), os.Remove(archive))
}

// Cluster is some nodes and the network between them.
type Cluster struct {
	Binary string
	Dir    string
	Net    *Network
	Nodes  []*Node  // by position; a removed one stays, stopped
	args   []string // of every node
	seeds  string   // --cluster of the first nodes
}

// Node is one process, or the lack of one.
type Node struct {
	ID     uint64
	Addr   string   // where clients reach it
	URL    string   // where peers reach it: a proxy
	Dir    string   // its data
	Args   []string // its own options, beyond the cluster's
	Binary string   // what it runs, if that is not the cluster's
	Bare   bool     // start it with nothing but its directory and Args: the rest is in its data
	listen string   // where it really listens for peers
	join   bool
	seeds  string
	c      *Cluster

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	status int // of the last exit; -1 if a signal ended it
	paused bool
}

// New prepares n nodes with the given options; Start starts them.
func New(binary, dir string, n int, args ...string) (*Cluster, error) {
	c := &Cluster{Binary: binary, Dir: dir, Net: NewNetwork(), args: args}
	for i := range n {
		if _, err := c.prepare(uint64(i + 1)); err != nil {
			c.Net.Close()
			return nil, err
		}
	}
	c.seeds = list(c.Nodes)
	for _, node := range c.Nodes {
		node.seeds = c.seeds
	}
	return c, nil
}

// list is what --cluster takes.
func list(nodes []*Node) string {
	var l []string
	for _, n := range nodes {
		l = append(l, fmt.Sprintf("%d=%s", n.ID, n.URL))
	}
	return strings.Join(l, ",")
}

func (c *Cluster) prepare(id uint64) (*Node, error) {
	n := &Node{ID: id, Dir: filepath.Join(c.Dir, fmt.Sprintf("node%d", id)), c: c}
	var err error
	if n.Addr, err = FreeAddr(); err != nil {
		return nil, err
	}
	if n.listen, err = FreeAddr(); err != nil {
		return nil, err
	}
	proxy, err := c.Net.listen(id, n.listen)
	if err != nil {
		return nil, err
	}
	n.URL = "http://" + proxy
	c.Nodes = append(c.Nodes, n)
	return n, nil
}

// Join prepares a node with a new id that joins the running cluster through the
// given members, or through those that founded it: it still has to be added (RAFT
// ADD) and started.
func (c *Cluster) Join(id uint64, through ...*Node) (*Node, error) {
	n, err := c.prepare(id)
	if err != nil {
		return nil, err
	}
	n.join = true
	n.seeds = c.seeds
	if len(through) > 0 {
		n.seeds = list(through)
	}
	n.seeds += "," + list([]*Node{n})
	return n, nil
}

// Start starts every node that does not run.
func (c *Cluster) Start() error {
	for _, n := range c.Nodes {
		if err := n.Start(); err != nil {
			return err
		}
	}
	return nil
}

// Close kills every node and ends the network. The directories stay.
func (c *Cluster) Close() {
	for _, n := range c.Nodes {
		n.Kill()
	}
	c.Net.Close()
}

// Start starts the node unless it runs. Its output is appended to node<id>.log
// beside its directory.
func (n *Node) Start(extra ...string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		return nil
	}
	log, err := os.OpenFile(n.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	_, port, _ := net.SplitHostPort(n.Addr)
	args := []string{"--id", strconv.FormatUint(n.ID, 10), "--cluster", n.seeds, "--port", port, "--dir", n.Dir, "--peer-listen", n.listen}
	if n.join {
		args = append(args, "--join")
	}
	if n.Bare {
		args = []string{"--dir", n.Dir}
	}
	args = append(append(append(args, n.c.args...), n.Args...), extra...)
	binary := n.c.Binary
	if n.Binary != "" {
		binary = n.Binary
	}
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// If this process is killed, its nodes must not stay behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	fmt.Fprintf(log, "\n--- %s %s\n", time.Now().UTC().Format(time.RFC3339Nano), strings.Join(cmd.Args, " "))
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	n.cmd, n.exited, n.paused = cmd, exited, false
	go func() {
		cmd.Wait()
		n.mu.Lock()
		n.status = cmd.ProcessState.ExitCode()
		if n.cmd == cmd {
			n.cmd = nil
		}
		n.mu.Unlock()
		close(exited)
	}()
	return nil
}

// CheckLog returns an error if a node's log has what must never be in one.
func CheckLog(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, bad := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
		if i := bytes.Index(content, []byte(bad)); i >= 0 {
			return fmt.Errorf("%s has %q:\n%s", path, bad, content[i:min(len(content), i+4000)])
		}
	}
	return nil
}

// LogFile is where the node's output goes.
func (n *Node) LogFile() string { return n.Dir + ".log" }

// Running reports whether the process exists.
func (n *Node) Running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd != nil
}

// Pid returns the process id, 0 if it does not run.
func (n *Node) Pid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return 0
	}
	return n.cmd.Process.Pid
}

// signal sends a signal and returns the channel that closes when the process
// is gone; nil if there is none.
func (n *Node) signal(s syscall.Signal) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return nil
	}
	n.cmd.Process.Signal(s)
	return n.exited
}

// Kill is kill -9; it returns when the process is gone.
func (n *Node) Kill() {
	if exited := n.signal(syscall.SIGKILL); exited != nil {
		<-exited
	}
}

// Stop is SIGTERM, and waits for the process to end by itself.
func (n *Node) Stop(ctx context.Context) error {
	exited := n.signal(syscall.SIGTERM)
	if exited == nil {
		return nil
	}
	select {
	case <-exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("node %d ignores SIGTERM: %w", n.ID, ctx.Err())
	}
}

// WaitExit waits for the process to end by itself.
func (n *Node) WaitExit(ctx context.Context) error {
	n.mu.Lock()
	exited := n.exited
	n.mu.Unlock()
	select {
	case <-exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("node %d still runs: %w", n.ID, ctx.Err())
	}
}

// ExitCode returns the status that the process last ended with, -1 if a signal
// ended it.
func (n *Node) ExitCode() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status
}

// ErrEnded says that there is nothing to wait for: the process has ended.
var ErrEnded = errors.New("the process has ended")

// Failed returns how the process ended, if it did by itself and not well: an ErrEnded with
// its status and the last line of its output, such as that its address is in use.
func (n *Node) Failed() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil || n.status <= 0 {
		return nil
	}
	return Ended(n.status, n.LogFile())
}

// Ended is an ErrEnded with a status, and the last line of what is in file.
func Ended(status int, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w with status %d, its output is lost: %w", ErrEnded, status, err)
	}
	out := strings.TrimSpace(string(b))
	return fmt.Errorf("%w with status %d: %s", ErrEnded, status, out[strings.LastIndexByte(out, '\n')+1:])
}

// Pause is SIGSTOP, Resume SIGCONT.
func (n *Node) Pause() {
	n.signal(syscall.SIGSTOP)
	n.mu.Lock()
	n.paused = true
	n.mu.Unlock()
}

// Resume undoes Pause.
func (n *Node) Resume() {
	n.signal(syscall.SIGCONT)
	n.mu.Lock()
	n.paused = false
	n.mu.Unlock()
}

// Paused reports whether the node was paused and not resumed.
func (n *Node) Paused() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.paused
}

// WaitReady waits until the node answers clients and knows a leader, or has Failed.
func (n *Node) WaitReady(ctx context.Context) error { return Until(ctx, n.Ready) }

// Ready returns why the node does not serve yet, or has no leader.
func (n *Node) Ready() error {
	if err := n.Failed(); err != nil {
		return err
	}
	info, err := n.Info("raft", "persistence")
	if err != nil {
		return err
	}
	if info["loading"] != "0" {
		return errors.New("loading")
	}
	if l := info["raft_leader_id"]; l == "" || l == "0" {
		return errors.New("no leader")
	}
	return nil
}

// WaitReady waits for every node that runs. One that has Failed is an error.
func (c *Cluster) WaitReady(ctx context.Context) error {
	for _, n := range c.Nodes {
		err := n.Failed()
		if n.Running() {
			err = n.WaitReady(ctx)
		}
		if err != nil {
			return fmt.Errorf("node %d: %w", n.ID, err)
		}
	}
	return nil
}

// Info returns sections of INFO as one map.
func (n *Node) Info(sections ...string) (map[string]string, error) {
	reply, err := Ask(n.Addr, append([]string{"INFO"}, sections...)...)
	if err != nil {
		return nil, err
	}
	text, ok := reply.(string)
	if !ok {
		return nil, fmt.Errorf("INFO answered %v", reply)
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info, nil
}

// Leader asks every node that runs and returns the one that calls itself
// leader in the highest term, nil if there is none.
func (c *Cluster) Leader() *Node {
	var leader *Node
	var highest uint64
	for _, n := range c.Nodes {
		if !n.Running() || n.Paused() {
			continue
		}
		info, err := n.Info("raft")
		if err != nil || info["raft_role"] != "leader" {
			continue
		}
		if term, _ := strconv.ParseUint(info["raft_term"], 10, 64); term > highest {
			leader, highest = n, term
		}
	}
	return leader
}

// Digests waits until all the given nodes answer the same applied index and
// digest, and returns them. The cluster must be idle.
func Digests(ctx context.Context, nodes []*Node) (string, error) {
	var same string
	err := Until(ctx, func() error {
		same = ""
		for _, n := range nodes {
			reply, err := Ask(n.Addr, "RAFT", "DIGEST")
			if err != nil {
				return err
			}
			if d := fmt.Sprint(reply); same == "" {
				same = d
			} else if d != same {
				return fmt.Errorf("node %d has %s, node %d has %s", nodes[0].ID, same, n.ID, d)
			}
		}
		return nil
	})
	return same, err
}

// Until tries try until it succeeds, its error is an ErrEnded, or ctx ends; the error is
// the last one.
func Until(ctx context.Context, try func() error) error {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := try()
		if err == nil || errors.Is(err, ErrEnded) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}
