package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// system is one thing under measurement: its processes, and the addresses that
// the load goes to.
type system struct {
	name  string
	procs []*exec.Cmd
	ports []int // ports[0] takes the load; for raftredis the leader comes first
}

// started are all systems that run, so that they can be stopped whatever
// happens.
type started struct {
	dir     string
	systems map[string]*system
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (st *started) run(s *system, name string, args ...string) error {
	log, err := os.Create(filepath.Join(st.dir, fmt.Sprintf("%s-%d.log", strings.ReplaceAll(s.name, " ", "-"), len(s.procs))))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A child that outlives this process would spoil the next measurement.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.procs = append(s.procs, cmd)
	return nil
}

func (st *started) stop() {
	for _, s := range st.systems {
		for _, p := range s.procs {
			p.Process.Kill()
			p.Wait()
		}
	}
	os.RemoveAll(st.dir)
}

// redis starts a redis-server and any number of replicas of it.
func (st *started) redis(name string, replicas int, args ...string) error {
	s := &system{name: name}
	st.systems[name] = s
	for i := 0; i <= replicas; i++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		dir := filepath.Join(st.dir, fmt.Sprintf("redis-%d", port))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		a := append([]string{"--port", strconv.Itoa(port), "--dir", dir, "--save", "", "--daemonize", "no"}, args...)
		if i > 0 {
			a = append(a, "--replicaof", "127.0.0.1", strconv.Itoa(s.ports[0]))
		}
		if err := st.run(s, "redis-server", a...); err != nil {
			return err
		}
		s.ports = append(s.ports, port)
	}
	for i, port := range s.ports {
		want := "role:master"
		if i > 0 {
			want = "master_link_status:up"
		}
		if err := waitInfo(port, want); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// raft starts a cluster of n nodes of the binary.
func (st *started) raft(name, binary string, n int, args ...string) error {
	s := &system{name: name}
	st.systems[name] = s
	ports := make([]int, n)
	urls := make([]string, n)
	for i := range n {
		var err error
		if ports[i], err = freePort(); err != nil {
			return err
		}
		peer, err := freePort()
		if err != nil {
			return err
		}
		urls[i] = fmt.Sprintf("http://127.0.0.1:%d", peer)
	}
	for i, port := range ports {
		dir := filepath.Join(st.dir, fmt.Sprintf("raftredis-%d", port))
		a := append([]string{"--id", strconv.Itoa(i + 1), "--cluster", strings.Join(urls, ","),
			"--port", strconv.Itoa(port), "--dir", dir}, args...)
		if err := st.run(s, binary, a...); err != nil {
			return err
		}
	}
	return s.findLeader(ports)
}

// findLeader puts the leader first in s.ports.
func (s *system) findLeader(ports []int) error {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		for i, port := range ports {
			if text, err := command(port, "INFO", "replication"); err == nil && strings.Contains(text, "role:master") {
				if _, err := command(port, "SET", "bench:ready", "1"); err == nil {
					ports[0], ports[i] = ports[i], ports[0]
					s.ports = ports
					return nil
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("%s: no leader after 30 s", s.name)
}

func waitInfo(port int, want string) error {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if text, err := command(port, "INFO", "replication"); err == nil && strings.Contains(text, want) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("port %d did not say %q within 30 s", port, want)
}

// rss returns the resident bytes of the system's process i.
func (s *system) rss(i int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.procs[i].Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// client is a minimal RESP2 client for probes: one command, one reply.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(port int) (*client, error) {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 2*time.Second)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn)}, nil
}

func (c *client) do(args ...string) (string, error) {
	if err := c.conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := c.conn.Write([]byte(b.String())); err != nil {
		return "", err
	}
	return c.reply()
}

func (c *client) reply() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	switch line[0] {
	case '-':
		return "", fmt.Errorf("%s", line[1:])
	case '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return "", err
		}
		buf := make([]byte, n+2)
		for read := 0; read < len(buf); {
			m, err := c.r.Read(buf[read:])
			if err != nil {
				return "", err
			}
			read += m
		}
		return string(buf[:n]), nil
	case '*':
		n, err := strconv.Atoi(line[1:])
		if err != nil {
			return "", err
		}
		var parts []string
		for range n {
			p, err := c.reply()
			if err != nil {
				return "", err
			}
			parts = append(parts, p)
		}
		return strings.Join(parts, "\n"), nil
	default:
		return line[1:], nil
	}
}

func command(port int, args ...string) (string, error) {
	c, err := dial(port)
	if err != nil {
		return "", err
	}
	defer c.conn.Close()
	return c.do(args...)
}
