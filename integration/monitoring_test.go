package integration

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// TestRedisExporter has the exporter for Prometheus that people run beside Redis scrape
// every node: there is no error, and nothing is missing that it finds at a redis-server.
func TestRedisExporter(t *testing.T) {
	exporter := tool(t, "prometheus-redis-exporter")
	c := start(t, 3)
	redis := startRedis(t)
	listen, err := cluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exporter, "-redis.addr", "", "-web.listen-address", listen, "-include-system-metrics", "-export-client-list")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // as it was told
	})
	scrape := func(addr string) (names []string) {
		t.Helper()
		if _, err := cluster.Ask(addr, "SET", "greeting", "hello", "EX", "1000"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a scrape of "+addr, func() error {
			resp, err := http.Get("http://" + listen + "/scrape?target=redis://" + addr)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			names = nil
			up := false
			for lines := bufio.NewScanner(strings.NewReader(string(body))); lines.Scan(); {
				line := lines.Text()
				if strings.HasPrefix(line, "#") {
					continue
				}
				name, _, _ := strings.Cut(line, "{")
				name, _, _ = strings.Cut(name, " ")
				names = append(names, name)
				up = up || line == "redis_up 1"
				if strings.HasPrefix(line, "redis_exporter_last_scrape_error") && !strings.HasSuffix(line, " 0") {
					return fmt.Errorf("%s", line)
				}
			}
			if !up {
				return fmt.Errorf("it is not up:\n%s", body)
			}
			return nil
		})
		return names
	}
	want := scrape(redis)
	for _, n := range c.Nodes {
		got := scrape(n.Addr)
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("node %d lacks %s", n.ID, name)
			}
		}
	}
}

// TestRedisInsight sends what RedisInsight does when it connects to a server and lets
// people look at its keys: all of it is answered as by a redis-server, in kind.
func TestRedisInsight(t *testing.T) {
	c := start(t, 3)
	addrs := []string{startRedis(t), c.leader().Addr, c.follower().Addr}
	var conns []*conn
	for _, addr := range addrs {
		conns = append(conns, connect(t, addr))
	}
	for _, line := range []string{
		"HELLO 3", "CLIENT SETNAME redisinsight", "INFO", "INFO server", "INFO keyspace", "INFO replication", "MODULE LIST", "CONFIG GET databases",
		"COMMAND", "COMMAND COUNT", "COMMAND INFO get", "COMMAND DOCS get", "DBSIZE", "CLIENT LIST", "ACL CAT", "ACL WHOAMI", "SELECT 0",
		"SET s v", "HSET h f v", "RPUSH l a b", "SADD st a", "ZADD z 1 a", "XADD x * f v",
		"SCAN 0 COUNT 10000", "SCAN 0 MATCH * COUNT 500 TYPE hash", "TYPE s", "TTL s", "PTTL s", "MEMORY USAGE s SAMPLES 0", "MEMORY USAGE h SAMPLES 0", "STRLEN s", "HLEN h",
		"LLEN l", "SCARD st", "ZCARD z", "XLEN x", "OBJECT ENCODING s", "OBJECT FREQ s", "OBJECT IDLETIME s", "GETRANGE s 0 5", "HSCAN h 0 COUNT 500", "LRANGE l 0 500", "SSCAN st 0",
		"ZSCAN z 0", "XINFO STREAM x", "XINFO GROUPS x", "XREVRANGE x + - COUNT 500", "SLOWLOG GET 50", "SLOWLOG LEN", "CONFIG GET slowlog*", "LATENCY LATEST",
		"MEMORY STATS", "PUBSUB CHANNELS", "FUNCTION LIST", "CLUSTER INFO", "CLUSTER NODES", "CLUSTER SHARDS", "READONLY", "FT._LIST", "JSON.GET s", "SENTINEL masters",
	} {
		args := strings.Fields(line)
		want, err := conns[0].Do(args...)
		if err != nil {
			t.Fatal(err)
		}
		for i, conn := range conns[1:] {
			got, err := conn.Do(args...)
			switch {
			case err != nil:
				t.Fatal(err)
			case inDialects(line) && got.IsError():
				t.Errorf("%s at node %d: %s", line, i+1, got.Str)
			case inDialects(line):
			case got.Type != want.Type || got.Null != want.Null || got.IsError() && got.Str != want.Str:
				t.Errorf("%s at node %d: %.200q, want the kind of %.200q", line, i+1, got.Raw, want.Raw)
			}
		}
	}
}

// inDialects reports whether a lone redis-server refuses the command, and a node does not.
func inDialects(line string) bool {
	return strings.HasPrefix(line, "CLUSTER") || strings.HasPrefix(line, "SENTINEL") || line == "READONLY"
}
