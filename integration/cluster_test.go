package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// TestOneCommandStart does what the README's quick start does: no options at
// all but a port (the default one may be in use on this machine).
func TestOneCommandStart(t *testing.T) {
	addr, err := cluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(addr, ":")
	p := run(t, t.TempDir(), "--port", port, "--cluster-port", freePort(t))
	p.waitReady(addr)
	c := connect(t, addr)
	if got := must(t, c, "SET", "greeting", "hello"); got.Str != "OK" {
		t.Fatalf("SET answers %s", got)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "raftredis-data")); err != nil {
		t.Errorf("the data are not in ./raftredis-data: %v", err)
	}
	p.terminate(0)

	// And again, with nothing but the directory: id, ports and peers are in it.
	p = run(t, p.dir, "--dir", "./raftredis-data")
	p.waitReady(addr)
	if got := must(t, connect(t, addr), "GET", "greeting"); got.Str != "hello" {
		t.Fatalf("after the restart GET answers %s", got)
	}
	p.terminate(0)
}

// TestThreeNodes: any client, any node.
func TestThreeNodes(t *testing.T) {
	c := start(t, 3)
	for i, n := range c.Nodes {
		conn := connect(t, n.Addr)
		key := fmt.Sprintf("from:%d", i)
		must(t, conn, "SET", key, "value")
		if got := must(t, conn, "GET", key); got.Str != "value" {
			t.Errorf("node %d does not see its own write: %s", n.ID, got)
		}
		must(t, conn, "INCR", "counter")
	}
	for _, n := range c.Nodes {
		conn := connect(t, n.Addr)
		eventually(t, fmt.Sprintf("all writes on node %d", n.ID), func() error {
			v, err := conn.Do("MGET", "from:0", "from:1", "from:2", "counter")
			if err == nil && v.String() != "[value value value 3]" {
				err = errors.New(v.String())
			}
			return err
		})
	}
	c.sameDigests()
}

// TestDigestStaysOnAnIdleCluster: no-ops and ticks must not move the index.
func TestDigestStaysOnAnIdleCluster(t *testing.T) {
	c := start(t, 3)
	must(t, connect(t, c.Nodes[0].Addr), "SET", "a", "1")
	// Members announce their addresses right after starting.
	eventually(t, "the addresses of all members", func() error {
		v, err := ask(c.Nodes[0].Addr, "RAFT", "NODES")
		for _, m := range v.Elems {
			if strings.Contains(m.String(), "client_addr  ") {
				err = errors.New(v.String())
			}
		}
		return err
	})
	first := c.sameDigests()
	for range 40 { // two seconds, several election timeouts
		time.Sleep(50 * time.Millisecond) // pace: time must pass for nothing to happen in it
	}
	if second := c.sameDigests(); second != first {
		t.Errorf("an idle cluster went from %s to %s", first, second)
	}
}

// counting runs INCRs on a key through one node until stop, and counts what was
// acknowledged, what was refused and what is unknown.
type counting struct {
	acked, unknown atomic.Int64
	wg             sync.WaitGroup
	stopC          chan struct{}
}

// count starts clients that increment key, each through one of the nodes.
func count(nodes []*cluster.Node, clients int, key string) *counting {
	w := &counting{stopC: make(chan struct{})}
	for i := range clients {
		w.wg.Go(func() {
			for next := i; ; next++ {
				w.through(nodes[next%len(nodes)].Addr, key)
				select {
				case <-w.stopC:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
	return w
}

// through increments over one connection until it fails.
func (w *counting) through(addr, key string) {
	c, err := dial(addr)
	if err != nil {
		return
	}
	defer c.Close()
	c.Timeout = 10 * time.Second
	for {
		select {
		case <-w.stopC:
			return
		default:
		}
		v, err := c.Do("INCR", key)
		switch {
		case err != nil, strings.HasPrefix(v.Str, "UNKNOWN"):
			w.unknown.Add(1)
			return
		case v.IsError():
			return // refused: nothing was applied
		default:
			w.acked.Add(1)
		}
	}
}

// waitAcked waits until n more increments are acknowledged.
func (w *counting) waitAcked(t testing.TB, n int64) {
	t.Helper()
	from := w.acked.Load()
	eventually(t, fmt.Sprintf("%d acknowledged writes", n), func() error {
		if got := w.acked.Load() - from; got < n {
			return fmt.Errorf("%d so far", got)
		}
		return nil
	})
}

// finish stops the clients and checks the counter on every node: every
// acknowledged increment is there exactly once, and beyond those at most the
// unknown ones.
func (w *counting) finish(t testing.TB, c *nodes, key string) {
	t.Helper()
	close(w.stopC)
	w.wg.Wait()
	c.ready()
	c.sameDigests()
	acked, unknown := w.acked.Load(), w.unknown.Load()
	t.Logf("%d acknowledged, %d unknown", acked, unknown)
	for _, n := range c.Nodes {
		if !n.Running() {
			continue
		}
		got, err := must(t, connect(t, n.Addr), "GET", key).Int()
		if err != nil {
			t.Fatal(err)
		}
		if got < acked || got > acked+unknown {
			t.Errorf("node %d counts %d: %d were acknowledged and %d are unknown", n.ID, got, acked, unknown)
		}
	}
}

// TestLeaderKilledUnderLoad: no acknowledged INCR is missing or doubled.
func TestLeaderKilledUnderLoad(t *testing.T) {
	c := start(t, 3, "--snapshot-bytes", "65536", "--snapshot-catch-up-bytes", "16384")
	w := count(c.Nodes, 12, "n")
	for range 5 {
		w.waitAcked(t, 200)
		leader := c.leader()
		leader.Kill()
		w.waitAcked(t, 200)
		if err := leader.Start(); err != nil {
			t.Fatal(err)
		}
		c.ready()
	}
	w.finish(t, c, "n")
}

// TestAllKilledAfterCompaction: every node is killed at once, under load, when
// the log has been compacted, and starts from its directory alone.
func TestAllKilledAfterCompaction(t *testing.T) {
	c := start(t, 3, "--snapshot-bytes", "32768", "--snapshot-catch-up-bytes", "8192")
	w := count(c.Nodes, 8, "n")
	w.waitAcked(t, 1000)
	waitSnapshot(t, c)
	for _, n := range c.Nodes {
		n.Kill()
	}
	for _, n := range c.Nodes {
		c.startBare(n)
	}
	c.ready()
	w.waitAcked(t, 100)
	w.finish(t, c, "n")
}

// waitSnapshot waits until every node has one.
func waitSnapshot(t testing.TB, c *nodes) {
	t.Helper()
	eventually(t, "a snapshot on every node", func() error {
		for _, n := range c.Nodes {
			if !n.Running() {
				continue
			}
			info, err := n.Info("raft")
			if err != nil {
				return err
			}
			if index, err := strconv.ParseUint(info["raft_snapshot_index"], 10, 64); err != nil || index == 0 {
				return fmt.Errorf("node %d has none: %q", n.ID, info["raft_snapshot_index"])
			}
		}
		return nil
	})
}

// TestFourthNode: added with RAFT ADD when the log is compacted, caught up with
// a snapshot, promoted; then the first node is removed and stays out.
func TestFourthNode(t *testing.T) {
	c := start(t, 3, "--snapshot-bytes", "32768", "--snapshot-catch-up-bytes", "8192")
	conn := connect(t, c.Nodes[0].Addr)
	fill(t, conn, 2000)
	waitSnapshot(t, c)

	fourth, err := c.Join(4)
	if err != nil {
		t.Fatal(err)
	}
	must(t, conn, "RAFT", "ADD", "4", fourth.URL)
	c.startAll()
	c.sameDigests()
	eventually(t, "the fourth node's vote", func() error {
		return votes(c.Nodes[0], "4")
	})
	info, err := fourth.Info("raft")
	if err != nil {
		t.Fatal(err)
	}
	if index, _ := strconv.ParseUint(info["raft_snapshot_index"], 10, 64); index == 0 {
		t.Error("the fourth node got no snapshot")
	}
	must(t, connect(t, fourth.Addr), "SET", "through", "the fourth")

	first := c.Nodes[0]
	must(t, connect(t, fourth.Addr), "RAFT", "REMOVE", "1")
	eventually(t, "the end of the removed node", func() error {
		if first.Running() {
			return errors.New("it runs")
		}
		return nil
	})
	if first.ExitCode() != 1 {
		t.Errorf("the removed node ended with status %d", first.ExitCode())
	}
	// It must not come back with its old data.
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	if err := waitExit(first); err != nil {
		t.Errorf("a removed node came back: %v", err)
	}
	must(t, connect(t, fourth.Addr), "SET", "still", "writing")
	c.sameDigests()
}

// fill writes n keys of 100 bytes through one connection, in pipelines.
func fill(t testing.TB, c *conn, n int) {
	t.Helper()
	const pipeline = 50
	for i := 0; i < n; i += pipeline {
		var b []byte
		for j := i; j < i+pipeline; j++ {
			b = append(b, encode("SET", fmt.Sprintf("key:%06d", j), strings.Repeat("x", 100))...)
		}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		for range pipeline {
			v, err := c.Receive()
			if err != nil || v.IsError() {
				t.Fatalf("SET: %v %v", v, err)
			}
		}
	}
}

// votes returns nil if a node says that a member has a vote.
func votes(through *cluster.Node, id string) error {
	v, err := ask(through.Addr, "RAFT", "NODES")
	if err != nil {
		return err
	}
	for _, m := range v.Elems {
		if f := m.Strings(); len(f) > 3 && f[1] == id && f[3] != "learner" {
			return nil
		}
	}
	return fmt.Errorf("member %s does not: %s", id, v)
}

// TestWrongAddress: a member that nobody can reach is added and removed again,
// and the cluster goes on all the while.
func TestWrongAddress(t *testing.T) {
	c := start(t, 3)
	conn := connect(t, c.Nodes[1].Addr)
	addr, err := cluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	must(t, conn, "RAFT", "ADD", "9", "http://"+addr)
	must(t, conn, "SET", "a", "1")
	if v, err := conn.Do("RAFT", "ADD", "10", "nonsense"); err != nil || !v.IsError() {
		t.Errorf("an address that is none was accepted: %s, %v", v, err)
	}
	if v, err := conn.Do("RAFT", "PROMOTE", "9"); err != nil || !v.IsError() {
		t.Errorf("a member that never caught up was promoted: %s, %v", v, err)
	}
	must(t, conn, "RAFT", "REMOVE", "9")
	if v, err := conn.Do("RAFT", "ADD", "9", "http://"+addr); err != nil || !v.IsError() {
		t.Errorf("a removed id came back: %s, %v", v, err)
	}
	must(t, conn, "SET", "a", "2")
	c.sameDigests()
}

// TestPausedLeader: a leader that was away must not answer linearizable reads
// from the past, and follows when it is back.
func TestPausedLeader(t *testing.T) {
	c := start(t, 3, "--read-mode", "linearizable")
	leader := c.leader()
	old := connect(t, leader.Addr)
	must(t, old, "SET", "a", "old")
	leader.Pause()
	var fresh *cluster.Node
	eventually(t, "another leader", func() error {
		if fresh = c.Leader(); fresh == nil {
			return errors.New("none")
		}
		_, err := ask(fresh.Addr, "SET", "a", "new")
		return err
	})
	if err := old.Send("GET", "a"); err != nil { // waits in the socket of the paused process
		t.Fatal(err)
	}
	leader.Resume()
	v, err := old.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if !v.IsError() && v.Str != "new" {
		t.Errorf("a linearizable read on the old leader answers %s", v)
	}
	c.ready()
	c.sameDigests()
}

// TestNoQuorum: without a majority a write gets an error within its time, and a
// local read its answer, or not, as replica-serve-stale-data says.
func TestNoQuorum(t *testing.T) {
	c := start(t, 3, "--proposal-timeout", "1000")
	must(t, connect(t, c.Nodes[0].Addr), "SET", "a", "1")
	c.sameDigests()
	left := c.follower()
	for _, n := range c.Nodes {
		if n != left {
			n.Kill()
		}
	}
	conn := connect(t, left.Addr)
	eventually(t, "the loss of the leader", func() error {
		info, err := left.Info("raft")
		if err == nil && info["raft_leader_id"] != "0" {
			err = errors.New("it is still known")
		}
		return err
	})
	v, err := conn.Do("SET", "a", "2")
	if err != nil || !strings.HasPrefix(v.Str, "CLUSTERDOWN") {
		t.Errorf("a write without a leader answers %s, %v", v, err)
	}
	if got := must(t, conn, "GET", "a"); got.Str != "1" {
		t.Errorf("a local read without a leader answers %s", got)
	}
	// MULTI and DISCARD never depend on raft.
	must(t, conn, "MULTI")
	must(t, conn, "SET", "a", "3")
	must(t, conn, "DISCARD")
	must(t, conn, "CONFIG", "SET", "replica-serve-stale-data", "no")
	if v, err := conn.Do("GET", "a"); err != nil || !v.IsError() {
		t.Errorf("a stale read that is not wanted answers %s, %v", v, err)
	}
	c.startAll()
	eventually(t, "writes again", func() error {
		_, err := ask(left.Addr, "SET", "a", "4")
		return err
	})
	c.sameDigests()
}

// TestTermination: SIGTERM hands leadership over, and the node ends with status
// 0 while its clients get their replies.
func TestTermination(t *testing.T) {
	c := start(t, 3)
	w := count(c.Nodes, 6, "n")
	for range 3 {
		w.waitAcked(t, 100)
		leader := c.leader()
		c.stop(leader)
		if c.leader() == leader {
			t.Fatal("a stopped node leads")
		}
		w.waitAcked(t, 100)
		if err := leader.Start(); err != nil {
			t.Fatal(err)
		}
		c.ready()
	}
	w.finish(t, c, "n")
}

// TestLargeValues: 1 MB through a follower, and to a node that was away.
func TestLargeValues(t *testing.T) {
	c := start(t, 3, "--snapshot-bytes", "4mb", "--snapshot-catch-up-bytes", "1mb")
	away := c.follower()
	away.Kill()
	through := c.follower()
	conn := connect(t, through.Addr)
	large := strings.Repeat("0123456789abcdef", 1<<16)
	for i := range 12 {
		must(t, conn, "SET", fmt.Sprintf("large:%d", i%4), large)
	}
	if got := must(t, conn, "GET", "large:0"); got.Str != large {
		t.Error("a value of 1 MB comes back different")
	}
	must(t, conn, "APPEND", "large:0", large)
	c.startAll()
	c.sameDigests()
	if got := must(t, connect(t, away.Addr), "STRLEN", "large:0"); got.Str != strconv.Itoa(2<<20) {
		t.Errorf("the node that was away has %s bytes", got)
	}
}

// TestBinary: every byte in keys and values, through a snapshot, a restart and
// catching up.
func TestBinary(t *testing.T) {
	c := start(t, 3, "--snapshot-bytes", "65536", "--snapshot-catch-up-bytes", "8192")
	conn := connect(t, c.Nodes[0].Addr)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	away := c.follower()
	away.Kill()
	values := map[string]string{"": "empty key", "empty": "", string(all): string(all)}
	for i := range 256 {
		values[string([]byte{byte(i)})] = string([]byte{byte(255 - i), 0, byte(i), '\r', '\n'})
	}
	if away == c.Nodes[0] {
		conn = connect(t, c.Nodes[1].Addr)
	}
	for k, v := range values {
		must(t, conn, "SET", k, v)
	}
	fill(t, conn, 2000) // enough log for snapshots
	waitSnapshot(t, c)
	c.startAll()
	c.sameDigests()
	for _, n := range c.Nodes {
		n.Kill()
	}
	c.startAll()
	c.sameDigests()
	for _, n := range c.Nodes {
		conn := connect(t, n.Addr)
		for k, v := range values {
			if got := must(t, conn, "GET", k); got.Str != v {
				t.Fatalf("node %d: %q is %q, not %q", n.ID, k, got.Str, v)
			}
		}
	}
}

// TestClocksApart: keys with a time to live are gone on all nodes together, and
// none too early, with clocks an hour off in both directions and the leader
// killed in between.
func TestClocksApart(t *testing.T) {
	c := prepare(t, 3)
	c.Nodes[1].Args = []string{"--clock-offset", "1h"}
	c.Nodes[2].Args = []string{"--clock-offset", "-1h"}
	c.startAll()
	conn := connect(t, c.Nodes[0].Addr)
	for i := range 100 {
		must(t, conn, "SET", fmt.Sprintf("long:%d", i), "v", "EX", "1000")
	}
	began := time.Now()
	for i := range 100 {
		must(t, conn, "SET", fmt.Sprintf("short:%d", i), "v", "PX", "3000")
	}
	c.sameDigests()
	for range 2 {
		leader := c.leader()
		leader.Kill()
		c.leader()
		if err := leader.Start(); err != nil {
			t.Fatal(err)
		}
		c.ready()
	}
	for _, n := range c.Nodes {
		v := must(t, connect(t, n.Addr), "TTL", "long:0")
		ttl, _ := v.Int()
		if passed := int64(time.Since(began).Seconds()); ttl < 1000-passed-3 || ttl > 1000 {
			t.Errorf("node %d: %d s of 1000 are left after %d s", n.ID, ttl, passed)
		}
	}
	for _, n := range c.Nodes {
		conn := connect(t, n.Addr)
		eventually(t, "the end of the short keys", func() error {
			v, err := conn.Do("DBSIZE")
			if err == nil && v.Str != "100" {
				err = fmt.Errorf("node %d has %s keys", n.ID, v)
			}
			return err
		})
	}
	c.sameDigests()
}

// TestJoin: a node that is told of one member takes part without any RAFT ADD,
// and adding it beforehand or again is no error.
func TestJoin(t *testing.T) {
	c := start(t, 1)
	must(t, connect(t, c.Nodes[0].Addr), "SET", "a", "1")
	for id := uint64(2); id <= 3; id++ {
		n, err := c.Join(id)
		if err != nil {
			t.Fatal(err)
		}
		if id == 3 {
			must(t, connect(t, c.Nodes[0].Addr), "RAFT", "ADD", fmt.Sprint(id), n.URL)
		}
		c.startAll()
		eventually(t, "its vote", func() error { return votes(c.Nodes[0], fmt.Sprint(id)) })
		must(t, connect(t, c.Nodes[0].Addr), "RAFT", "ADD", fmt.Sprint(id), n.URL)
		if v, err := ask(c.Nodes[0].Addr, "RAFT", "ADD", fmt.Sprint(id+10), n.URL); err == nil {
			t.Errorf("an address of a member was added under another id: %s", v)
		}
		must(t, connect(t, n.Addr), "INCR", "a")
	}
	c.sameDigests()
	// Two of three must be there: the removal of one is fine, of two is not.
	c.Nodes[2].Kill()
	eventually(t, "the leader to notice", func() error {
		v, err := ask(c.leader().Addr, "RAFT", "NODES")
		if err != nil {
			return err
		}
		for _, m := range v.Elems {
			if f := m.Strings(); f[1] == "3" && f[len(f)-1] == "0" && f[len(f)-2] == "active" {
				return nil
			}
		}
		return errors.New(v.String())
	})
	if v, err := ask(c.leader().Addr, "RAFT", "REMOVE", fmt.Sprint(c.leader().ID)); err == nil {
		t.Errorf("a removal that costs the majority was accepted: %s", v)
	}
	must(t, connect(t, c.leader().Addr), "RAFT", "REMOVE", "3")
	must(t, connect(t, c.leader().Addr), "INCR", "a")
}
