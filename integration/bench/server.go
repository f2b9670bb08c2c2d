package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// system is one thing under measurement: its processes, and the addresses that
// the load goes to.
type system struct {
	name  string
	procs []*exec.Cmd
	ports []int // ports[0] takes the load; for raftredis the leader comes first

	filled bool // with rowKeys keys
}

// started are all systems that run, so that they can be stopped whatever
// happens.
type started struct {
	dir     string
	systems map[string]*system
}

func freePort() (int, error) {
	a, err := cluster.FreeAddr()
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
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
		s.kill()
	}
	os.RemoveAll(st.dir)
}

func (s *system) kill() {
	for _, p := range s.procs {
		p.Process.Kill()
		p.Wait()
	}
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

// cpu returns the CPU time that all of the system's processes have used, in the
// 10 ms that Linux counts in.
func (s *system) cpu() (time.Duration, error) {
	var ticks int64
	for _, p := range s.procs {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
		if err != nil {
			return 0, err
		}
		// Behind the name, which may hold anything, in parentheses: utime and
		// stime are the 14th and 15th field (proc(5)).
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		for _, f := range fields[11:13] {
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, err
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// command asks once and returns the reply as text.
func command(port int, args ...string) (string, error) {
	reply, err := cluster.Ask(addr(port), args...)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(reply), nil
}

func addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
