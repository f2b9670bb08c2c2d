package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// older is the program of the first release, built once.
var older = sync.OnceValues(func() (path string, err error) {
	if path := os.Getenv("INTEGRATION_OLDER_BINARY"); path != "" {
		return path, nil
	}
	if program.dir == "" { // INTEGRATION_BINARY is the other one
		if program.dir, err = os.MkdirTemp("", "raftredis-binary-"); err != nil {
			return "", err
		}
	}
	return cluster.BuildCommit(program.dir, cluster.FirstRelease)
})

// TestUpgrade takes a cluster from the first release to this program and back, one node
// at a time and under load, forward again, and past the point from which there is no way
// back.
func TestUpgrade(t *testing.T) {
	c := prepare(t, 3, "--snapshot-bytes", "65536", "--snapshot-catch-up-bytes", "16384")
	old, err := older()
	if errors.Is(err, cluster.ErrNoHistory) {
		skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		n.Binary = old
	}
	c.startAll()
	load := c.tally("forth")
	hold := []string{"--cluster-level", "1"}
	change := func(n *cluster.Node, binary string, args ...string) {
		t.Helper()
		c.stop(n)
		n.Binary = binary
		if err := n.Start(args...); err != nil {
			t.Fatal(err)
		}
		c.ready()
		load.more(20)
	}
	for _, n := range c.Nodes { // forward
		change(n, "", hold...)
		load.everything(n)
		load.end()
		c.sameDigests() // of old and new ones, side by side
		load = c.tally(fmt.Sprint("back:", n.ID))
	}
	c.atLevel("1")
	if _, err := ask(c.Nodes[1].Addr, "CONFIG", "SET", "maxmemory", "2mb"); err == nil || !strings.Contains(err.Error(), "maxmemory needs all members of the cluster to be at level 2") {
		t.Errorf("CONFIG SET maxmemory at level 1: %v", err)
	}
	if _, err := ask(c.leader().Addr, "CONFIG", "SET", "cluster-level", "9"); err == nil {
		t.Error("a level that nobody knows is taken")
	}
	for _, n := range c.Nodes { // and back
		change(n, old)
		load.everything(n)
	}
	for _, n := range c.Nodes[:2] { // and forward, without a hold
		change(n, "")
	}
	c.atLevel("1") // because of the third
	eventually(t, "the leader to say for whom the level waits", func() error {
		leader := c.leader()
		if leader == c.Nodes[2] {
			_, err := ask(leader.Addr, "RAFT", "TRANSFER", "1")
			return errors.Join(err, errors.New("the older program leads"))
		}
		info, err := leader.Info("raft")
		if err == nil && !strings.HasPrefix(info["raft_level_waits"], "member 3 is at level 1") {
			err = fmt.Errorf("it waits for %q", info["raft_level_waits"])
		}
		return err
	})
	change(c.Nodes[2], "")
	eventually(t, "the level to rise", func() error { return c.levels("2") })
	load.everything(c.Nodes[0])
	load.end()
	c.sameDigests()
	c.evicts()

	// There is no way back any more: neither here nor for a node that would join.
	if _, err := ask(c.Nodes[0].Addr, "CONFIG", "SET", "cluster-level", "1"); err == nil || !strings.Contains(err.Error(), "in force already") {
		t.Errorf("CONFIG SET cluster-level 1 answers %v", err)
	}
	refused := func(n *cluster.Node, says string) {
		t.Helper()
		n.Binary = old
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := n.WaitExit(ctx); err != nil {
			t.Fatal(err)
		}
		// Not the last line: its last attempt to join may be the one that ran out of time.
		log, err := os.ReadFile(n.LogFile())
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Failed(); err == nil || !strings.Contains(string(log), says) {
			t.Errorf("node %d with the older program: %v, and its log does not say %q", n.ID, err, says)
		}
	}
	c.stop(c.Nodes[2])
	refused(c.Nodes[2], "format version 2")
	c.Nodes[2].Binary = ""
	c.startAll()
	// A log that the older program could have read goes over to a journal with the first
	// start after that.
	for i, want := range []bool{false, false, true} {
		journal, err := filepath.Glob(filepath.Join(c.Nodes[i].Dir, "wal", "*.log"))
		if err != nil || len(journal) > 0 != want {
			t.Errorf("node %d has a journal: %q, %v", i+1, journal, err)
		}
	}
	fourth, err := c.Join(4)
	if err != nil {
		t.Fatal(err)
	}
	refused(fourth, "the cluster is at level 2, and the program of member 4 knows levels up to 1")
	if err := os.RemoveAll(fourth.Dir); err != nil {
		t.Fatal(err)
	}
	fourth.Binary = ""
	c.startAll()
	c.sameDigests()
}

// levels returns an error unless that level is in force on all nodes of this program.
func (c *nodes) levels(want string) error {
	for _, n := range c.Nodes {
		info, err := n.Info("raft")
		if err != nil {
			return err
		}
		if got := info["raft_level"]; got != want && n.Binary == "" {
			return fmt.Errorf("node %d is at level %s", n.ID, got)
		}
	}
	return nil
}

func (c *nodes) atLevel(want string) {
	c.t.Helper()
	if err := c.levels(want); err != nil {
		c.t.Error(err)
	}
}

// evicts sets maxmemory on one node, which is new at level 2, and fills it through another.
func (c *nodes) evicts() {
	t := c.t
	t.Helper()
	const limit = 2 << 20
	admin, conn := connect(t, c.Nodes[1].Addr), connect(t, c.Nodes[2].Addr)
	must(t, admin, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", fmt.Sprint(limit))
	for i := range 700 {
		must(t, conn, "SET", fmt.Sprint("fill:", i), strings.Repeat("x", 4000))
	}
	c.sameDigests()
	for _, n := range c.Nodes {
		info := must(t, connect(t, n.Addr), "INFO").Str
		if evicted, used := infoField(info, "evicted_keys"), infoField(info, "used_memory"); evicted == "0" || len(used) > len(fmt.Sprint(limit)) {
			t.Errorf("node %d: %s keys evicted, %s bytes used", n.ID, evicted, used)
		}
	}
}

// tally counts writes on all nodes, with a counter for each of its clients.
type tally struct {
	c     *nodes
	name  string
	stopC chan struct{}
	wg    sync.WaitGroup
	done  atomic.Int64 // acknowledged
	total [3]struct{ acknowledged, unknown int64 }
}

func (c *nodes) tally(name string) *tally {
	l := &tally{c: c, name: name, stopC: make(chan struct{})}
	for i := range l.total {
		l.wg.Go(func() { l.run(i) })
	}
	return l
}

func (l *tally) key(i int) string { return fmt.Sprintf("load:%s:%d", l.name, i) }

func (l *tally) run(i int) {
	key := l.key(i)
	for turn := i; ; turn++ {
		conn, err := dial(l.c.Nodes[turn%3].Addr)
		for err == nil {
			select {
			case <-l.stopC:
				conn.Close()
				return
			default:
			}
			var v value
			v, err = conn.Do("EVAL", "redis.call('RPUSH', KEYS[2], ARGV[1]) redis.call('LTRIM', KEYS[2], -50, -1) return redis.call('INCR', KEYS[1])", "2", key, key+":list", strings.Repeat("x", 200))
			switch {
			case err != nil, strings.HasPrefix(v.Str, "UNKNOWN"):
				l.total[i].unknown++
			case v.IsError(): // certainly not applied
				err = errors.New(v.Str)
			default:
				l.total[i].acknowledged++
				l.done.Add(1)
			}
		}
		if conn != nil {
			conn.Close()
		}
		select {
		case <-l.stopC:
			return
		default:
		}
	}
}

// more waits until so many more writes are acknowledged.
func (l *tally) more(n int64) {
	l.c.t.Helper()
	from := l.done.Load()
	eventually(l.c.t, "writes", func() error {
		if now := l.done.Load(); now < from+n {
			return fmt.Errorf("%d of %d", now-from, n)
		}
		return nil
	})
}

// everything runs, on one node, writes of every kind that the log knows.
func (l *tally) everything(n *cluster.Node) {
	t := l.c.t
	t.Helper()
	conn := connect(t, n.Addr)
	for _, line := range []string{
		"SET e:s v PX 100000", "SADD e:t a b c d e f g", "SPOP e:t 2", "ZADD e:z 1 a 2 b", "HSET e:h f v g w", "HRANDFIELD e:h", "XADD e:x * f v",
		"SETBIT e:b 77 1", "PFADD e:p a b c", "GEOADD e:g 13.3 38.1 a", "ONCE e:1 60000 INCR e:n", "PUBLISH e:c m", "ACL SETUSER e on nopass ~e:* +@all",
		"EVAL DESCRIBE 2 e:d e:h", "FUNCTION LOAD REPLACE LIB", "FCALL e_f 1 e:s", "LPUSH e:l x", "BLPOP e:l 1", "MULTI", "INCR e:n", "GET e:n", "EXEC", "ACQUIRE e:lock 1000 me", "RAFT SNAPSHOT",
	} {
		args := strings.Fields(line)
		if args[0] == "EVAL" {
			args[1] = "return redis.call('SET', KEYS[1], redis.call('MEMORY', 'USAGE', KEYS[2]) .. redis.call('OBJECT', 'ENCODING', KEYS[2]))"
		}
		if args[len(args)-1] == "LIB" {
			args[len(args)-1] = "#!lua name=e\nredis.register_function('e_f', function(keys) return redis.call('append', keys[1], tostring(math.random())) end)"
		}
		v, err := conn.Do(args...)
		if err != nil || v.IsError() && args[0] != "ACQUIRE" {
			t.Errorf("node %d: %s: %s, %v", n.ID, line, v.Str, err)
		}
	}
}

// end stops the load and checks that nothing that was acknowledged is missing or was
// applied twice.
func (l *tally) end() {
	t := l.c.t
	t.Helper()
	close(l.stopC)
	l.wg.Wait()
	for i, total := range l.total {
		v, err := ask(l.c.leader().Addr, "GET", l.key(i))
		if err != nil {
			t.Fatal(err)
		}
		var n int64
		if _, err := fmt.Sscan(v.Str, &n); err != nil {
			t.Fatal(err)
		}
		if n < total.acknowledged || n > total.acknowledged+total.unknown {
			t.Errorf("client %d: %d writes were applied, %d acknowledged, of %d the outcome is unknown", i, n, total.acknowledged, total.unknown)
		}
	}
	t.Logf("%s: %d writes acknowledged", l.name, l.done.Load())
}
