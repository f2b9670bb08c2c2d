package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// pair is a server of each kind, for one replay at a time.
type pair struct {
	redis, ours string // addresses
	stop        func()
}

func startPair(dir, binary string) (*pair, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	addr, err := cluster.FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "redis.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("redis-server", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	endRedis := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	// What is kept does not depend on when the log is on the disk.
	ours, err := cluster.New(binary, dir, 1, "--appendfsync", "no")
	if err != nil {
		endRedis()
		return nil, err
	}
	p := &pair{redis: addr, ours: ours.Nodes[0].Addr, stop: func() {
		ours.Close()
		endRedis()
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err = ours.Start(); err == nil {
		err = ours.WaitReady(ctx)
	}
	if err == nil {
		err = cluster.Until(ctx, func() error { return ok(cluster.Ask(addr, "PING")) })
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start: %w", err)
	}
	return p, nil
}
