package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedDirectory: the data directory of a lone node is damaged while it is down.
// It comes back with all its data, or says which file is at fault and what to do; and
// the last way out there is works. raftnode's TestDamage has the whole table.
func TestDamagedDirectory(t *testing.T) {
	for name, level := range map[string]string{"journal": "auto", "log of etcd": "1"} {
		t.Run(name, func(t *testing.T) { damagedDirectory(t, level) })
	}
}

func damagedDirectory(t *testing.T, level string) {
	c := start(t, 1, "--cluster-level", level)
	n := c.Nodes[0]
	client := connect(t, n.Addr)
	for i := range 100 {
		must(t, client, "SET", fmt.Sprint("key", i), strings.Repeat("x", 100))
	}
	must(t, client, "RAFT", "SNAPSHOT")
	must(t, client, "SET", "last", "one")
	c.stop(n)
	whole := t.TempDir()
	if err := os.CopyFS(whole, os.DirFS(n.Dir)); err != nil {
		t.Fatal(err)
	}
	n.Bare = true
	cut := func(part int) func(b []byte) []byte {
		return func(b []byte) []byte {
			return b[:len(strings.TrimRight(string(b), "\x00"))*part/100]
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 2; return b }
	for _, test := range []struct {
		file  string
		apply func([]byte) []byte
		want  string // of the refusal; empty: it starts
	}{
		{"wal/*", cut(25), "/wal/"},
		{"wal/*", cut(99), "/wal/"},
		{"wal/*", cut(0), "/wal/"},
		{"snap/*.snap.db", flip, ""},
		{"snap/*.snap.db", cut(50), ""},
		{"snap/*-*.snap", flip, ""},
		{"incarnation", cut(0), ""},
		{"promise", flip, ""},
		{"origin", cut(50), ""},
		{"node.conf", flip, "node.conf is damaged"},
		{"node.conf", cut(50), "node.conf is damaged"},
	} {
		if err := os.RemoveAll(n.Dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(n.Dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		if spares, err := filepath.Glob(filepath.Join(n.Dir, "wal", "*.tmp")); err != nil || len(spares) > 0 {
			t.Fatalf("a node that was stopped has left %v, %v", spares, err)
		}
		found, err := filepath.Glob(filepath.Join(n.Dir, test.file))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v, %v", test.file, found, err)
		}
		b, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(found[0], test.apply(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		if test.want == "" {
			c.ready()
			size, err := ask(n.Addr, "DBSIZE")
			if err != nil || fmt.Sprint(size) != "101" {
				t.Errorf("%s: %v keys, %v", test.file, size, err)
			}
			c.stop(n)
			continue
		}
		if err := waitExit(n); err != nil {
			t.Fatalf("%s: %v", test.file, err)
		}
		if last := tail(n.LogFile(), 1); n.ExitCode() != 1 || !strings.Contains(last, test.want) || !strings.Contains(last, "way out") || strings.Contains(last, "RAFT REMOVE") {
			t.Errorf("%s: exit status %d, last words %s", test.file, n.ExitCode(), last)
		}
		if strings.HasPrefix(test.file, "wal/") {
			if err := n.Start("--force-new-cluster"); err != nil {
				t.Fatal(err)
			}
			if err := waitExit(n); err != nil || n.ExitCode() != 0 {
				t.Fatalf("--force-new-cluster: %v, exit status %d, last words %s", err, n.ExitCode(), tail(n.LogFile(), 1))
			}
			if err := n.Start(); err != nil {
				t.Fatal(err)
			}
			c.ready()
			if size, err := ask(n.Addr, "DBSIZE"); err != nil || fmt.Sprint(size) != "100" && fmt.Sprint(size) != "101" {
				t.Errorf("salvaged %v keys, %v", size, err)
			}
			c.stop(n)
		}
	}
}
