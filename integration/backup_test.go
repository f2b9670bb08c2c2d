package integration

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// subcommand runs the program for what is no node.
func subcommand(t testing.TB, stdin io.Reader, args ...string) (stdout []byte, stderr string, err error) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.String(), err
}

func backupTo(t testing.TB, n *cluster.Node, file string, more ...string) (stdout []byte) {
	t.Helper()
	host, port, _ := strings.Cut(n.Addr, ":")
	out, errs, err := subcommand(t, nil, append([]string{"backup", "-h", host, "-p", port, file}, more...)...)
	if err != nil {
		t.Fatalf("backup: %v: %s", err, errs)
	}
	return out
}

// restored is a cluster of three whose first member has restored a backup, and that
// the other two have joined.
func restored(t testing.TB, backup []byte, args ...string) *nodes {
	t.Helper()
	c := prepare(t, 1, args...)
	first := c.Nodes[0]
	out, errs, err := subcommand(t, bytes.NewReader(backup), "restore", "--dir", first.Dir, "--id", "1", "--cluster", first.URL, "-")
	if err != nil {
		t.Fatalf("restore: %v: %s", err, errs)
	}
	t.Logf("%s", out)
	c.startAll()
	for _, id := range []uint64{2, 3} {
		n, err := c.Join(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
	c.ready()
	return c
}

func number(t testing.TB, v value) int64 {
	t.Helper()
	n, err := v.Int()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// everything is all keys of a node, with their values and deadlines.
func everything(t testing.TB, addr string) map[string]string {
	t.Helper()
	c := connect(t, addr)
	all := map[string]string{}
	for _, key := range must(t, c, "KEYS", "*").Elems {
		all[key.Str] = must(t, c, "DUMP", key.Str).Str + " until " + must(t, c, "PEXPIRETIME", key.Str).Str
	}
	return all
}

// TestBackup takes backups of a follower while clients write, and restores them into three new
// nodes: what was acknowledged before is there, of each transaction all or nothing, and
// what comes later is not.
func TestBackup(t *testing.T) {
	old := start(t, 3)
	c := connect(t, old.leader().Addr)
	must(t, c, "ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all")
	must(t, c, "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 42 end)")
	must(t, c, "HSET", "hash", "a", "1", "b", "2")
	must(t, c, "ZADD", "zset", "1.5", "x", "2.5", "y")
	must(t, c, "XADD", "stream", "*", "f", "v")
	must(t, c, "SET", "volatile", "x", "EX", "100000")
	must(t, c, "SET", "binary", "\x00\xff\r\n")
	must(t, c, "EVAL", "for i=1,20000 do redis.call('set','fill:'..i,string.rep('x',500)..i) end", "0")
	token := number(t, must(t, c, "ACQUIRE", "lock", "me", "100000"))

	// Ten clients write: each the number of its transaction into two keys.
	stop := make(chan struct{})
	done := make(chan [2]int64, 10)
	acked := func(w int, addr string) int64 {
		v, err := ask(addr, "GET", fmt.Sprintf("w%d:a", w))
		if err != nil {
			t.Error(err)
		}
		n, _ := strconv.ParseInt(v.Str, 10, 64)
		return n
	}
	for w := range 10 {
		wc := connect(t, old.Nodes[w%3].Addr)
		go func() {
			var n int64
			defer func() { done <- [2]int64{int64(w), n} }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				next := strconv.FormatInt(n+1, 10)
				for _, args := range [][]string{{"MULTI"}, {"SET", fmt.Sprintf("w%d:a", w), next}, {"SET", fmt.Sprintf("w%d:b", w), next}, {"EXEC"}} {
					if v, err := wc.Do(args...); err != nil || v.IsError() {
						t.Errorf("%q: %v %v", args, v, err)
						return
					}
				}
				n++
			}
		}()
	}
	eventually(t, "writers at work", func() error {
		for w := range 10 {
			if acked(w, old.leader().Addr) < 20 {
				return fmt.Errorf("writer %d has hardly begun", w)
			}
		}
		return nil
	})
	var before [10]int64
	for w := range before {
		before[w] = acked(w, old.leader().Addr) // it was applied by somebody, so a majority has it
	}
	file := filepath.Join(old.Dir, "backup.rrb")
	backupTo(t, old.follower(), file)
	piped := backupTo(t, old.follower(), "-")
	close(stop)
	var after [10]int64
	for range after {
		d := <-done
		after[d[0]] = d[1]
	}
	backup, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: others can read it", info.Mode(), err)
	}
	if left, _ := filepath.Glob(file + ".part*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if out, errs, err := subcommand(t, nil, "restore", "--check", file); err != nil {
		t.Errorf("check: %v: %s%s", err, out, errs)
	}
	for name, b := range map[string][]byte{"file": backup, "pipe": piped} {
		t.Run(name, func(t *testing.T) {
			fresh := restored(t, b)
			rc := connect(t, fresh.Nodes[2].Addr)
			must(t, rc, "READWRITE")
			for w := range 10 {
				a, b := must(t, rc, "GET", fmt.Sprintf("w%d:a", w)).Str, must(t, rc, "GET", fmt.Sprintf("w%d:b", w)).Str
				n, _ := strconv.ParseInt(a, 10, 64)
				if a != b || n < before[w] || n > after[w] {
					t.Errorf("writer %d is at %s and %s, of %d before the backup and %d in the end", w, a, b, before[w], after[w])
				}
			}
			must(t, rc, "AUTH", "app", "secret")
			if v := must(t, rc, "FCALL", "f", "0"); v.Str != "42" {
				t.Errorf("the function answers %v", v)
			}
			if next := number(t, must(t, rc, "ACQUIRE", "another lock", "me", "100000")); next < token+1<<32 {
				t.Errorf("fencing token %d after %d: the old cluster may have given it out since", next, token)
			}
			must(t, rc, "INCR", "goes on")
			fresh.sameDigests()
		})
	}

	// Now that nobody writes: everything is the same.
	must(t, c, "DEL", "goes on")
	quiet := restored(t, backupTo(t, old.follower(), "-", "--local"))
	want := everything(t, old.leader().Addr)
	for _, n := range quiet.Nodes {
		got := everything(t, n.Addr)
		for key := range want {
			if got[key] != want[key] {
				t.Fatalf("node %d has %.80q as %.100q instead of %.100q", n.ID, key, got[key], want[key])
			}
		}
		if len(got) != len(want) {
			t.Errorf("node %d has %d keys instead of %d", n.ID, len(got), len(want))
		}
	}
	quiet.sameDigests()

	for what, x := range map[string]struct {
		backup []byte
		says   string
	}{
		"a flipped bit": {func() []byte { b := slices.Clone(backup); b[len(b)/3] ^= 1; return b }(), "it is damaged: its checksum is"},
		"cut off":       {backup[:len(backup)-100], "it is incomplete: it ends after"},
		"another file":  {[]byte("REDIS0010\nabc"), "it begins with"},
	} {
		dir := filepath.Join(old.Dir, "damaged")
		_, errs, err := subcommand(t, bytes.NewReader(x.backup), "restore", "--dir", dir, "--id", "1", "--cluster", "http://127.0.0.1:1", "-")
		if err == nil || !strings.Contains(errs, x.says) {
			t.Errorf("restoring with %s: %v: %s", what, err, errs)
		}
		if _, errs, err = subcommand(t, bytes.NewReader(x.backup), "restore", "--check", "-"); err == nil || !strings.Contains(errs, x.says) {
			t.Errorf("checking with %s: %v: %s", what, err, errs)
		}
	}
	_, errs, err := subcommand(t, nil, "--dir", filepath.Join(old.Dir, "damaged"), "--port", "0")
	if err == nil || !strings.Contains(errs, "was interrupted") {
		t.Errorf("a node starts with half a backup: %v: %s", err, errs)
	}
}

// TestBackupOfAFullCluster restores what has evicted: the limit and the policy are in a backup,
// and eviction goes on in the new cluster. (What was used when is a node's own, and in no snapshot.)
func TestBackupOfAFullCluster(t *testing.T) {
	old := start(t, 3)
	c := connect(t, old.leader().Addr)
	fill := func(c *conn, from int) {
		t.Helper()
		for i := from; i < from+800; i++ {
			must(t, c, "SET", fmt.Sprint("k", i), strings.Repeat("x", 200))
			must(t, c, "GET", fmt.Sprint("k", from+i%7))
		}
	}
	for _, policy := range []string{"allkeys-lfu", "allkeys-lhd"} {
		must(t, c, "CONFIG", "SET", "maxmemory", "64kb", "maxmemory-policy", policy)
		fill(c, 0)
		fresh := restored(t, backupTo(t, old.follower(), "-"))
		want, got := everything(t, old.leader().Addr), everything(t, fresh.Nodes[1].Addr)
		if !maps.Equal(want, got) || len(got) > 400 {
			t.Fatalf("%s: %d keys became %d, or others", policy, len(want), len(got))
		}
		rc := connect(t, fresh.Nodes[2].Addr)
		for name, value := range map[string]string{"maxmemory": "65536", "maxmemory-policy": policy} {
			if v := must(t, rc, "CONFIG", "GET", name).Elems[1].Str; v != value {
				t.Errorf("%s is %s", name, v)
			}
		}
		fill(rc, 800)
		must(t, rc, "READWRITE")
		if n := number(t, must(t, rc, "DBSIZE")); n > 400 {
			t.Errorf("%s: %d keys: nothing is evicted any more", policy, n)
		}
		fresh.sameDigests()
	}
}

// A backup that cannot be completed leaves the one before, and nothing else.
func TestBackupFails(t *testing.T) {
	c := start(t, 3)
	file := filepath.Join(c.Dir, "backup.rrb")
	backupTo(t, c.Nodes[0], file)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	alone := c.follower()
	for _, n := range c.Nodes {
		if n != alone {
			n.Kill()
		}
	}
	host, port, _ := strings.Cut(alone.Addr, ":")
	_, errs, err := subcommand(t, nil, "backup", "-h", host, "-p", port, file)
	if err == nil || !strings.Contains(errs, "CLUSTERDOWN") || !strings.Contains(errs, "--local") {
		t.Errorf("without a majority: %v: %s", err, errs)
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, old) {
		t.Errorf("the backup before is not what it was: %v", err)
	}
	if left, _ := filepath.Glob(file + ".part*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	backupTo(t, alone, file, "--local") // what it has is better than nothing
	if _, errs, err := subcommand(t, nil, "restore", "--check", file); err != nil {
		t.Errorf("check: %v: %s", err, errs)
	}
}
