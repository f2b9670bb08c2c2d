package integration

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// startRedisCluster starts a real Redis Cluster of one shard, and returns the addresses
// of its master and of a replica.
func startRedisCluster(t *testing.T) (master, replica string) {
	t.Helper()
	var all []string
	var buses []string
	for range 3 {
		addr, err := cluster.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		_, bus, _ := net.SplitHostPort(addr)
		buses = append(buses, bus)
		all = append(all, startRedis(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000"))
	}
	first := connect(t, all[0])
	must(t, first, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	for i, addr := range all[1:] {
		_, port, _ := net.SplitHostPort(addr)
		must(t, first, "CLUSTER", "MEET", "127.0.0.1", port, buses[i+1])
	}
	id := must(t, first, "CLUSTER", "MYID").Str
	for _, addr := range all[1:] {
		eventually(t, "a replica", func() error {
			_, err := ask(addr, "CLUSTER", "REPLICATE", id)
			return err
		})
	}
	for _, addr := range all {
		eventually(t, "replicas that all know of", func() error {
			v, err := ask(addr, "CLUSTER", "SLOTS")
			if err == nil && (len(v.Elems) != 1 || len(v.Elems[0].Elems) != 5) {
				err = fmt.Errorf("slots: %s", show(v))
			}
			if err != nil {
				return err
			}
			if v, err = ask(all[0], "ROLE"); err == nil && len(v.Elems[2].Elems) != 2 {
				err = fmt.Errorf("role: %s", show(v))
			}
			return err
		})
	}
	return all[0], all[1]
}

// startRedisSentinels starts a real master with two replicas and three Sentinels, and
// returns the address of one of these.
func startRedisSentinels(t *testing.T) string {
	t.Helper()
	master := startRedis(t)
	host, port, _ := net.SplitHostPort(master)
	for range 2 {
		startRedis(t, "--replicaof", host+" "+port)
	}
	eventually(t, "replicas", func() error {
		v, err := ask(master, "ROLE")
		if err == nil && len(v.Elems[2].Elems) != 2 {
			err = fmt.Errorf("role: %s", show(v))
		}
		return err
	})
	var all []string
	for range 3 {
		all = append(all, startSentinel(t, master))
	}
	eventually(t, "Sentinels that know all", func() error {
		v, err := ask(all[0], "INFO", "sentinel")
		if err == nil && !strings.Contains(v.Str, "slaves=2,sentinels=3") {
			err = errors.New(v.Str)
		}
		return err
	})
	return all[0]
}

// announced waits until all nodes know all addresses.
func announced(t *testing.T, c *nodes) {
	t.Helper()
	for _, n := range c.Nodes {
		eventually(t, "addresses", func() error {
			v, err := ask(n.Addr, "CLUSTER", "SLOTS")
			if err == nil && len(v.Elems[0].Elems) != 2+len(c.Nodes) {
				err = fmt.Errorf("slots: %s", show(v))
			}
			return err
		})
	}
}

// What differs between any two servers, in the order in which it is replaced.
var variable = []struct {
	is *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "<id>"},
	{regexp.MustCompile(`127\.0\.0\.1`), "<ip>"},
	{regexp.MustCompile(`cluster_stats_messages_(ping|pong|meet|publish|fail|auth-req|auth-ack|update|mfstart)_(sent|received):\d+\s+`), ""}, // shown if not 0
	{regexp.MustCompile(`\b\d+\b`), "<n>"},
}

// form is a reply without what differs between any two servers. The order of nodes is
// open.
func form(v value) string {
	if v.Elems == nil {
		s := strings.TrimPrefix(v.Str, "txt:")
		for _, x := range variable {
			s = x.is.ReplaceAllString(s, x.by)
		}
		lines := strings.Split(s, "\n")
		if strings.Contains(s, "connected") { // CLUSTER NODES, or a line of it
			slices.Sort(lines)
		}
		return fmt.Sprintf("%c%v %q", v.Type, v.Null, lines)
	}
	var all []string
	for _, e := range v.Elems {
		all = append(all, form(e))
	}
	return fmt.Sprintf("%c(%s)", v.Type, strings.Join(all, " "))
}

// sameForm sends a command to both, and compares the forms of the replies.
func (p *pair) sameForm(t *testing.T, args ...string) {
	t.Helper()
	if ours, real := p.do(t, args...); form(ours) != form(real) {
		t.Errorf("%q, RESP3 %v:\nraftredis    %s\nredis-server %s", args, p.resp3, form(ours), form(real))
	}
}

// TestDialectFormats compares what CLUSTER and SENTINEL answer with what a real cluster
// and real Sentinels do: names, order and types of fields, and all that is not about
// somebody.
func TestDialectFormats(t *testing.T) {
	ours := start(t, 3, "--cluster-enabled", "yes")
	announced(t, ours)
	leader, follower := ours.leader(), ours.follower()
	t.Run("cluster", func(t *testing.T) {
		master, replica := startRedisCluster(t)
		for _, resp3 := range []bool{false, true} {
			for _, who := range [][2]string{{leader.Addr, master}, {follower.Addr, replica}} {
				p := newPair(t, who[0], who[1], resp3)
				for _, call := range []string{
					"CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES", "CLUSTER INFO", "CLUSTER MYID", "CLUSTER LINKS", "CLUSTER KEYSLOT a", "CLUSTER HELP",
					"HELLO", "ROLE", "INFO cluster", "CLUSTER REPLICAS nobody", "CLUSTER FAILOVER nonsense", "READONLY", "READWRITE", "FAILOVER",
				} {
					p.sameForm(t, strings.Fields(call)...)
				}
			}
			p := newPair(t, leader.Addr, master, resp3)
			o, r := p.do(t, "CLUSTER", "MYID")
			for _, sub := range []string{"REPLICAS", "SLAVES", "COUNT-FAILURE-REPORTS"} {
				a, b := must(t, p.ours, "CLUSTER", sub, o.Str), must(t, p.real, "CLUSTER", sub, r.Str)
				if form(a) != form(b) {
					t.Errorf("%s:\nraftredis    %s\nredis-server %s", sub, form(a), form(b))
				}
			}
			p.sameForm(t, "CLUSTER", "FAILOVER") // of the master
		}
	})
	t.Run("sentinel", func(t *testing.T) {
		real := startRedisSentinels(t)
		for _, resp3 := range []bool{false, true} {
			p := newPair(t, follower.Addr, real, resp3)
			for _, call := range []string{
				"SENTINEL MASTERS", "SENTINEL MASTER mymaster", "SENTINEL MASTER x", "SENTINEL REPLICAS mymaster", "SENTINEL SLAVES mymaster", "SENTINEL REPLICAS x",
				"SENTINEL SENTINELS mymaster", "SENTINEL SENTINELS x", "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", "SENTINEL GET-MASTER-ADDR-BY-NAME x",
				"SENTINEL CKQUORUM mymaster", "SENTINEL CKQUORUM x", "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *", "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 0 *",
				"SENTINEL MYID", "SENTINEL PENDING-SCRIPTS", "SENTINEL CONFIG GET *", "SENTINEL CONFIG GET nosuch", "SENTINEL CONFIG nonsense", "SENTINEL INFO-CACHE x",
				"SENTINEL RESET nosuch", "SENTINEL FAILOVER x", "SENTINEL REMOVE x", "SENTINEL SET x quorum 1", "SENTINEL MONITOR mymaster 127.0.0.1 1 1",
				"SENTINEL MONITOR x 127.0.0.1 1 0", "SENTINEL MONITOR x 127.0.0.1 1 x", "SENTINEL FLUSHCONFIG", "SENTINEL HELP", "SENTINEL nonsense", "SENTINEL", "SENTINEL SET mymaster",
			} {
				p.sameForm(t, strings.Fields(call)...)
			}
			if !resp3 { // a Sentinel has no verbatim strings
				p.sameForm(t, "INFO", "sentinel")
			}
			o, r := p.do(t, "COMMAND", "INFO", "sentinel")
			compareEntry(t, o.Elems[0], r.Elems[0])
		}
	})
}

// claims is what a node says of who leads: of itself, and of whoever it is.
type claims struct {
	itself bool
	master string // "" if it names nobody
}

// claim asks a node in two dialects, which have to agree.
func claim(c *conn) (claims, error) {
	role, err := c.Do("ROLE")
	if err != nil {
		return claims{}, err
	}
	addr, err := c.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
	if err != nil {
		return claims{}, err
	}
	var is claims
	is.itself = role.Elems[0].Str == "master"
	if !addr.Null {
		is.master = net.JoinHostPort(addr.Elems[0].Str, addr.Elems[1].Str)
	}
	return is, nil
}

// TestOneMaster watches what all nodes say while the leader is cut off from the others and
// comes back: two never say at one time that they are the master, and who is cut off
// names nobody before long.
func TestOneMaster(t *testing.T) {
	c := start(t, 3)
	announced(t, c)
	conns := map[*cluster.Node]*conn{}
	for _, n := range c.Nodes {
		conns[n] = connect(t, n.Addr)
	}
	// look asks all nodes twice. Who claims it both times has done so in between.
	look := func() map[*cluster.Node]claims {
		t.Helper()
		said := map[*cluster.Node]claims{}
		for _, n := range c.Nodes {
			is, err := claim(conns[n])
			if err != nil {
				t.Fatal(err)
			}
			said[n] = is
		}
		masters := 0
		for i := range c.Nodes {
			n := c.Nodes[len(c.Nodes)-1-i]
			if is, err := claim(conns[n]); err != nil {
				t.Fatal(err)
			} else if is.itself && said[n].itself {
				masters++
			}
		}
		if masters > 1 {
			t.Fatalf("%d nodes say at one time that they are the master", masters)
		}
		return said
	}
	for round := range 3 {
		old := c.leader()
		for _, n := range c.Nodes {
			if n != old {
				c.Net.Cut(old.ID, n.ID)
				c.Net.Cut(n.ID, old.ID)
			}
		}
		eventually(t, "a new master that the majority names", func() error {
			said, new := look(), ""
			for n, is := range said {
				switch {
				case n == old && is != claims{}:
					return fmt.Errorf("who is cut off says %+v", is)
				case n != old && (is.master == "" || is.master == old.Addr || new != "" && is.master != new):
					return fmt.Errorf("node %d says %+v", n.ID, is)
				case n != old:
					new = is.master
				}
			}
			return nil
		})
		c.Net.Heal()
		eventually(t, "a master that all name", func() error {
			said := look()
			for n, is := range said {
				if is.master == "" || is.master != said[old].master {
					return fmt.Errorf("round %d: node %d says %+v", round, n.ID, is)
				}
			}
			return nil
		})
	}
}
