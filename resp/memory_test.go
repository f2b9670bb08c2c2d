package resp

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestMemoryNumbers: INFO, MEMORY STATS and MEMORY USAGE speak of the same bytes, and
// those are the state's.
func TestMemoryNumbers(t *testing.T) {
	s, l := newServer(t, nil)
	c := dial(t, s)
	for i := range 50 {
		c.ask(fmt.Sprintf("SET key:%d %s\r\n", i, strings.Repeat("v", 10*i+1)), "+OK\r\n")
	}
	c.ask("EXPIRE key:1 1000\r\n", ":1\r\n")
	c.ask("RPUSH list a b c\r\n", ":3\r\n")
	r := bufio.NewReader(c)
	number := func(request string) int64 {
		t.Helper()
		fmt.Fprintf(c, "%s\r\n", request)
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseInt(strings.Trim(line, ":\r\n"), 10, 64)
		if err != nil {
			t.Fatalf("%s: %q", request, line)
		}
		return n
	}
	sum := number("MEMORY USAGE list")
	for i := range 50 {
		sum += number(fmt.Sprintf("MEMORY USAGE key:%d SAMPLES 0", i))
	}
	used := l.store.Memory().Used
	if sum < used*9/10 || sum > used*11/10 {
		t.Errorf("MEMORY USAGE says %d of all keys, used are %d", sum, used)
	}
	info := make(map[string]string)
	for line := range strings.Lines(s.info([]string{"memory"}, false)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[name] = value
	}
	overhead := int64(51*32 + 24) // beside names and values: 51 records and places, a deadline
	for name, want := range map[string]int64{"used_memory": used, "used_memory_peak": used, "used_memory_overhead": overhead, "used_memory_dataset": used - overhead} {
		if info[name] != strconv.FormatInt(want, 10) {
			t.Errorf("%s is %s, not %d", name, info[name], want)
		}
	}
	if info["maxmemory"] != "0" || info["maxmemory_policy"] != "noeviction" {
		t.Errorf("maxmemory is %q, the policy %q", info["maxmemory"], info["maxmemory_policy"])
	}
	for _, name := range []string{"used_memory_rss", "mem_clients_normal", "mem_runtime", "mem_proposals", "mem_gc_headroom", "mem_eviction_policy"} {
		if n, err := strconv.ParseInt(info[name], 10, 64); err != nil || n < 0 || n == 0 && name != "mem_proposals" && name != "mem_gc_headroom" && name != "mem_eviction_policy" {
			t.Errorf("%s is %q", name, info[name])
		}
	}
	m := s.memoryUse()
	if info["mem_fragmentation_ratio"] == "" || m.rss < m.used || m.resident < m.active || m.active < m.objects {
		t.Errorf("%+v", m)
	}
	c.ask("FLUSHALL\r\n", "+OK\r\n")
	if got := l.store.Memory().Used; got != 0 {
		t.Errorf("%d bytes are used of nothing", got)
	}
}

// TestMemoryStats: Redis's fields, in its order.
func TestMemoryStats(t *testing.T) {
	s, _ := newServer(t, nil)
	c := dial(t, s)
	c.ask("SET k v EX 1000\r\n", "+OK\r\n")
	names := "peak.allocated total.allocated startup.allocated replication.backlog clients.slaves clients.normal cluster.links aof.buffer " +
		"lua.caches functions.caches db.0 overhead.total keys.count keys.bytes-per-key dataset.bytes dataset.percentage peak.percentage " +
		"allocator.allocated allocator.active allocator.resident allocator-fragmentation.ratio allocator-fragmentation.bytes " +
		"allocator-rss.ratio allocator-rss.bytes rss-overhead.ratio rss-overhead.bytes fragmentation fragmentation.bytes"
	want := strings.Fields(names)
	fmt.Fprintf(c, "MEMORY STATS\r\nECHO end-of-stats\r\n")
	r := bufio.NewReader(c)
	var got []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		line = strings.TrimRight(line, "\r\n")
		if len(got) == 0 && strings.HasPrefix(line, "*") && line != fmt.Sprintf("*%d", 2*len(want)) {
			t.Fatalf("it begins with %q", line)
		}
		if line == "end-of-stats" {
			break
		}
		if strings.ContainsRune(line, '.') && !strings.HasPrefix(line, "overhead.hashtable") && strings.Trim(line, "0123456789.") != "" || line == "fragmentation" {
			got = append(got, line)
		}
	}
	if strings.Join(got, " ") != names {
		t.Errorf("%q", got)
	}
}
