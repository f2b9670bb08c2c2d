package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// evictionLimit is the maxmemory of these tests: filled within a second or two.
const evictionLimit = 8 << 20

// TestEvictionUnderKills: three nodes at maxmemory, writers through all of them, the leader
// killed, then a follower. Memory stays within 5 % of the limit on every node, nobody is answered
// any error but those of a lost connection or leader, and all arrive at the same state: the
// one that was away by a snapshot.
func TestEvictionUnderKills(t *testing.T) {
	for _, policy := range []string{"allkeys-lru", "volatile-lfu"} {
		t.Run(policy, func(t *testing.T) {
			c := start(t, 3, "--snapshot-bytes", "4mb")
			admin := connect(t, c.leader().Addr)
			must(t, admin, "CONFIG", "SET", "maxmemory-policy", policy)
			must(t, admin, "CONFIG", "SET", "maxmemory", strconv.Itoa(evictionLimit))
			kept := keepKeys(t, admin, strings.HasPrefix(policy, "volatile"))
			f := flood(c, policy)
			f.until(t, 12_000) // a fifth more than there is room for
			for _, victim := range []func() *cluster.Node{c.leader, c.follower} {
				dead := victim()
				dead.Kill()
				compacted(t, c)
				before := installed(t, dead)
				c.startAll()
				f.until(t, 2_000)
				eventually(t, "a snapshot", func() error {
					if installed(t, dead) == before {
						return fmt.Errorf("node %d has come back without one", dead.ID)
					}
					return nil
				})
			}
			f.stop(t)
			c.sameDigests()
			evicted := 0
			for _, n := range c.Nodes {
				info := must(t, connect(t, n.Addr), "INFO").Str
				used, _ := strconv.Atoi(infoField(info, "used_memory"))
				if used < evictionLimit*95/100 || used > evictionLimit*105/100 {
					t.Errorf("node %d uses %d of %d bytes", n.ID, used, evictionLimit)
				}
				count, _ := strconv.Atoi(infoField(info, "evicted_keys"))
				evicted = max(evicted, count)
				t.Logf("node %d: %d bytes, %s evicted, %s late", n.ID, used, infoField(info, "evicted_keys"), infoField(info, "evicted_keys_late"))
			}
			if evicted == 0 {
				t.Error("nothing was evicted")
			}
			check := connect(t, c.leader().Addr)
			for _, key := range kept {
				if n, err := must(t, check, "EXISTS", key).Int(); err != nil || n != 1 {
					t.Errorf("%s has no deadline and was evicted", key)
				}
			}
		})
	}
}

// compacted waits until the others have dropped what a node that has just died lacks.
func compacted(t *testing.T, c *nodes) {
	t.Helper()
	index := func(name string) int {
		info, err := c.leader().Info("raft")
		n, bad := strconv.Atoi(info[name])
		if err := errors.Join(err, bad); err != nil {
			t.Fatal(err)
		}
		return n
	}
	last := index("raft_last_index")
	eventually(t, "the log to be compacted", func() error {
		if first := index("raft_first_index"); first <= last+1 {
			return fmt.Errorf("it begins with %d, and had %d when the node died", first, last)
		}
		return nil
	})
}

// installed is how many snapshots of a leader the node has taken over.
func installed(t *testing.T, n *cluster.Node) int {
	t.Helper()
	log, err := os.ReadFile(n.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(log), "snapshot installed")
}

// keepKeys writes keys that a volatile policy must not touch, none for another.
func keepKeys(t *testing.T, c *conn, volatile bool) (keys []string) {
	if !volatile {
		return nil
	}
	for i := range 2000 {
		key := fmt.Sprint("kept:", i)
		must(t, c, "SET", key, "x")
		keys = append(keys, key)
	}
	return keys
}

// TestOutOfMemory: under noeviction, and where there is nothing to evict, writes get OOM and
// nothing else, on every node alike; what frees memory and what reads works.
func TestOutOfMemory(t *testing.T) {
	c := start(t, 3)
	for _, policy := range []string{"noeviction", "volatile-ttl"} {
		admin := connect(t, c.leader().Addr)
		must(t, admin, "FLUSHALL")
		must(t, admin, "CONFIG", "SET", "maxmemory-policy", policy)
		must(t, admin, "CONFIG", "SET", "maxmemory", "100kb")
		full := false
		for i := 0; i < 100_000 && !full; i++ {
			v, err := admin.Do("SET", fmt.Sprint("k", i), "some value")
			switch {
			case err != nil:
				t.Fatal(err)
			case v.IsError() && v.Str != "OOM command not allowed when used memory > 'maxmemory'.":
				t.Fatal(v.Str)
			}
			full = v.IsError()
		}
		if !full {
			t.Fatalf("%s: a limit that does not limit", policy)
		}
		for _, n := range c.Nodes {
			through := connect(t, n.Addr)
			if v, err := through.Do("SET", "another", "x"); err != nil || !strings.HasPrefix(v.Str, "OOM ") {
				t.Errorf("%s, node %d: %v %v", policy, n.ID, v.Str, err)
			}
			must(t, through, "GET", "k1")
			must(t, through, "DEL", "no such key")
			must(t, through, "PERSIST", "k2")
		}
		must(t, admin, "CONFIG", "SET", "maxmemory", "0")
		must(t, admin, "SET", "another", "x")
		c.sameDigests()
	}
}

// flooding is writers that never stop.
type flooding struct {
	acked atomic.Int64
	bad   atomic.Pointer[string]
	stopC chan struct{}
	wg    sync.WaitGroup
}

// flood has writers set random keys through all nodes, volatile ones if the policy wants
// that, and read some.
func flood(c *nodes, policy string) *flooding {
	f := &flooding{stopC: make(chan struct{})}
	for i := range 6 {
		addr := c.Nodes[i%len(c.Nodes)].Addr
		f.wg.Go(func() { f.write(addr, policy) })
	}
	return f
}

func (f *flooding) write(addr, policy string) {
	contents := strings.Repeat("v", 800)
	for {
		c, err := dial(addr)
		for err == nil {
			const depth = 16
			for range depth {
				args := []string{"SET", fmt.Sprint("key:", rand.IntN(10_000_000)), contents}
				if strings.HasPrefix(policy, "volatile") {
					args = append(args, "EX", strconv.Itoa(1000+rand.IntN(1000)))
				}
				err = errors.Join(err, c.Send(args...))
			}
			for range depth {
				var v value
				if v, err = c.Receive(); err != nil {
					break
				}
				if !v.IsError() {
					f.acked.Add(1)
				} else if strings.HasPrefix(v.Str, "OOM") || strings.HasPrefix(v.Str, "ERR ") {
					f.bad.Store(&v.Str)
				}
			}
			select {
			case <-f.stopC:
				c.Close()
				return
			default:
			}
		}
		if c != nil {
			c.Close()
		}
		select {
		case <-f.stopC:
			return
		case <-time.After(20 * time.Millisecond): // its node is dead, or being started
		}
	}
}

// until waits until n more writes are acknowledged.
func (f *flooding) until(t testing.TB, n int64) {
	t.Helper()
	want := f.acked.Load() + n
	eventually(t, "writes", func() error {
		if bad := f.bad.Load(); bad != nil {
			t.Fatalf("a writer was told: %s", *bad)
		}
		if have := f.acked.Load(); have < want {
			return fmt.Errorf("%d of %d writes are acknowledged", have, want)
		}
		return nil
	})
}

func (f *flooding) stop(t testing.TB) {
	close(f.stopC)
	f.wg.Wait()
	if bad := f.bad.Load(); bad != nil {
		t.Fatalf("a writer was told: %s", *bad)
	}
}
