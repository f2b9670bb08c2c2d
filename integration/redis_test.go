package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// oracleVersion is the Redis whose behaviour is the specification.
const oracleVersion = "7.0."

// startRedis starts a real redis-server that ends with the test, and returns
// its address.
func startRedis(t testing.TB, args ...string) string {
	t.Helper()
	return runRedis(t, func(port, dir string) []string {
		return append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir, "--enable-debug-command", "yes"}, args...)
	})
}

// startSentinel starts a real Sentinel that watches mymaster at addr.
func startSentinel(t testing.TB, addr string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	return runRedis(t, func(own, dir string) []string {
		conf := filepath.Join(dir, "sentinel.conf") // Sentinel writes to it
		lines := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor mymaster %s %s 2\nsentinel down-after-milliseconds mymaster 1000\n", own, dir, host, port)
		if err := os.WriteFile(conf, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{conf, "--sentinel"}
	})
}

// runRedis runs redis-server with the arguments that it has for a port and a directory.
func runRedis(t testing.TB, arguments func(port, dir string) []string) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		skip(t, "no redis-server is installed to compare with")
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "v="+oracleVersion) {
		skip(t, fmt.Sprintf("redis-server to compare with is not %sx: %s", oracleVersion, out))
	}
	addr, err := cluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	dir := newDir(t)
	log := filepath.Join(dir, "redis.log")
	cmd := exec.Command(path, append(arguments(port, dir), "--logfile", log)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
	})
	eventually(t, "redis-server", func() error {
		select {
		case <-done:
			return cluster.Ended(cmd.ProcessState.ExitCode(), log)
		default:
		}
		c, err := dial(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Do("PING") // NOAUTH is an answer as well
		return err
	})
	return addr
}

// tool finds one of the programs of redis-tools.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		skip(t, "no "+name+" is installed")
	}
	return path
}
