package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// TestFileDescriptors: with few descriptors and more idle clients than fit, the node
// keeps those that it needs itself, for its log, snapshots and peers.
func TestFileDescriptors(t *testing.T) {
	for _, size := range []int{1, 3} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			c := prepare(t, size, "--snapshot-bytes", "4096", "--snapshot-catch-up-bytes", "1024")
			script := fmt.Sprintf("#!/bin/sh\nulimit -n 64\nexec '%s' \"$@\"\n", c.Binary)
			c.Binary = filepath.Join(c.Dir, "limited")
			if err := os.WriteFile(c.Binary, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			c.startAll()
			admins := make([]*conn, size)
			for i, n := range c.Nodes {
				admins[i] = connect(t, n.Addr)
				crowd(t, n, admins[i])
			}
			for i := range 60 {
				for _, admin := range admins {
					must(t, admin, "SET", fmt.Sprint("k", i), strings.Repeat("v", 1000))
				}
				if i%10 == 9 {
					for _, admin := range admins {
						must(t, admin, "SAVE")
					}
				}
			}
			for i, n := range c.Nodes {
				if got := must(t, admins[i], "DBSIZE"); !n.Running() || got.Str != "60" {
					t.Errorf("node %d: running %v, %s keys", n.ID, n.Running(), got.Str)
				}
			}
		})
	}
}

// crowd fills a node with idle clients, 200 of which try to get in.
func crowd(t *testing.T, n *cluster.Node, admin *conn) {
	t.Helper()
	most, err := strconv.Atoi(must(t, admin, "CONFIG", "GET", "maxclients").Strings()[1])
	if err != nil || most < 1 || most >= 64 {
		t.Fatalf("maxclients is %d (%v)", most, err)
	}
	want := fmt.Sprintf("maxclients has been reduced to %d to compensate for low ulimit", most)
	if log, err := os.ReadFile(n.LogFile()); err != nil || !strings.Contains(string(log), want) {
		t.Errorf("the log of node %d does not say: %s (%v)", n.ID, want, err)
	}
	idle := 0
	for range 200 {
		v, err := connect(t, n.Addr).Do("PING")
		switch {
		case err == nil && !v.IsError():
			idle++
		case err == nil && v.Str != "ERR max number of clients reached":
			t.Fatal(v.Str)
		}
	}
	if idle > most-1 || idle < most-3 { // a connection of before may still be closing
		t.Errorf("%d idle clients got in, with maxclients %d and one there already", idle, most)
	}
}

const misconf = "MISCONF The disks of too many members are nearly full, so writes are refused until there is room; nothing was applied"

// TestDiskFull: a lone node on a disk that fills up, with its own log and by others,
// refuses writes and goes on with everything else; it starts there; and it takes
// writes again when there is room.
func TestDiskFull(t *testing.T) {
	c := prepare(t, 1, "--snapshot-bytes", "16mb")
	n := c.Nodes[0]
	disk := mountDisk(t, n, 420*mb)
	c.startAll()
	w := connect(t, n.Addr)
	value := strings.Repeat("v", mb)
	acked := 0
	write := func() error {
		v, err := w.Do("SET", fmt.Sprint("k", acked), value)
		if err != nil {
			t.Fatalf("after %d writes: %v; the log ends with %s", acked, err, tail(n.LogFile(), 3))
		}
		if v.IsError() {
			return errors.New(v.Str)
		}
		acked++
		return nil
	}
	refused := func(err error) error {
		if err == nil || err.Error() != misconf {
			return fmt.Errorf("a write is answered with %w", err)
		}
		return nil
	}
	there := func() {
		t.Helper()
		if got := must(t, w, "DBSIZE"); got.Str != fmt.Sprint(acked) {
			t.Errorf("%s keys are there, %d writes were acknowledged", got.Str, acked)
		}
		if acked > 0 && must(t, w, "STRLEN", fmt.Sprint("k", acked-1)).Str != fmt.Sprint(mb) {
			t.Error("the last acknowledged write is not there")
		}
	}

	// By itself: log and snapshots fill the disk.
	for refused(write()) != nil {
		if acked > 400 {
			t.Fatal("more was written than fits on the disk")
		}
	}
	t.Logf("refused after %d MB", acked)
	there()
	disk.fill() // and then by others, to the last byte
	for range 20 {
		if err := refused(write()); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := w.Do("SAVE"); err != nil || !v.IsError() {
		t.Errorf("a snapshot on a full disk: %v (%v)", v, err)
	}
	there()
	info, err := n.Info("raft")
	if err != nil || info["raft_disk_low"] != "1" || info["raft_refuses_writes"] != "1" {
		t.Errorf("INFO: %v (%v)", info, err)
	}

	// It starts there, and has everything.
	for _, end := range []func(){n.Kill, func() { c.stop(n) }} {
		end()
		c.startAll()
		w = connect(t, n.Addr)
		eventually(t, "a refusal", func() error { return refused(write()) })
		there()
	}

	// There is room again: first for what others have written, then a larger disk.
	disk.clear()
	if err := syscall.Mount("tmpfs", n.Dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", 2500*mb)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "writes", write)
	for range 200 { // three segments further: the log has its next one
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	must(t, w, "SAVE")
	c.stop(n)
	c.startAll()
	w = connect(t, n.Addr)
	there()
}

// TestDiskFullOfSome: the disks of a minority cost nothing but their share of the
// work, whoever leads; those of a majority cost the writes; and none costs a node.
func TestDiskFullOfSome(t *testing.T) {
	c := prepare(t, 3, "--snapshot-bytes", "1mb", "--snapshot-catch-up-bytes", "65536")
	disks := map[*cluster.Node]*disk{}
	for _, n := range c.Nodes {
		disks[n] = mountDisk(t, n, 330*mb)
	}
	c.startAll()
	w := count(c.Nodes, 6, "n")
	w.waitAcked(t, 100)
	diskLow := func(n *cluster.Node) error {
		if info, err := n.Info("raft"); err != nil || info["raft_disk_low"] != "1" {
			return fmt.Errorf("node %d does not know it (%w)", n.ID, err)
		}
		return nil
	}

	first := c.leader()
	disks[first].fill()
	eventually(t, "another leader", func() error {
		if l := c.Leader(); l == nil || l == first {
			return errors.New("the disk of the leader is full")
		}
		return diskLow(first)
	})
	w.waitAcked(t, 1000)

	second := c.leader()
	disks[second].fill()
	for _, n := range c.Nodes {
		eventually(t, "a refusal", func() error {
			v, err := ask(n.Addr, "SET", "a", "1")
			if err == nil || err.Error() != misconf {
				return fmt.Errorf("node %d answers %v (%w)", n.ID, v, err)
			}
			return nil
		})
	}
	if err := diskLow(second); err != nil {
		t.Error(err)
	}
	must(t, connect(t, first.Addr), "GET", "n")

	// Linearizable reads need a leader that has committed in its term, which works
	// on full disks, too.
	c.leader().Kill()
	reader := connect(t, c.follower().Addr)
	must(t, reader, "READWRITE")
	eventually(t, "a linearizable read", func() error {
		v, err := reader.Do("GET", "n")
		if err == nil && v.IsError() {
			err = errors.New(v.Str)
		}
		return err
	})
	c.startAll()

	disks[first].clear()
	w.waitAcked(t, 100)
	disks[second].clear()
	for _, n := range c.Nodes {
		eventually(t, "room everywhere", func() error {
			if diskLow(n) == nil {
				return fmt.Errorf("node %d is still low", n.ID)
			}
			return nil
		})
	}
	w.finish(t, c, "n")
}

// disk mounts a file system of its own over a node's directory.
type disk struct {
	t   testing.TB
	dir string
}

const mb = 1 << 20

func mountDisk(t testing.TB, n *cluster.Node, size int) *disk {
	t.Helper()
	if err := os.MkdirAll(n.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", n.Dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		skip(t, "a disk of its own for a node takes root: "+err.Error())
	}
	t.Cleanup(func() {
		n.Kill()
		if err := syscall.Unmount(n.Dir, 0); err != nil {
			t.Error(err)
		}
	})
	return &disk{t, n.Dir}
}

// fill leaves nothing free: another program has written a lot.
func (d *disk) fill() {
	d.t.Helper()
	f, err := os.Create(filepath.Join(d.dir, "somebody-elses"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, mb); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				d.t.Fatal(err)
			}
			block = block[:len(block)/2]
		}
	}
}

func (d *disk) clear() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.dir, "somebody-elses")); err != nil {
		d.t.Fatal(err)
	}
}
