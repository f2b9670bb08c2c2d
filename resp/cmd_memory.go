package resp

import (
	"fmt"
	"runtime/metrics"
	"strings"

	"github.com/raftredis/raftredis/store/command"
)

func memoryContainer() local {
	return local{
		spec: command.Spec{Name: "memory", Arity: -2, Group: "server", Since: "4.0.0", Complexity: "Depends on subcommand.", Summary: "A container for memory diagnostics commands"},
		subs: []local{
			{spec: command.Spec{Name: "stats", Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Arity: 2, Since: "4.0.0", Complexity: "O(1)", Summary: "Show memory usage details"}, when: inOrder, run: (*conn).cmdMemoryStats},
			{spec: command.Spec{Name: "purge", Tips: "request_policy:all_shards response_policy:all_succeeded", Arity: 2, Since: "4.0.0", Complexity: "Depends on how much memory is allocated, could be slow", Summary: "Ask the allocator to release memory"}, when: slow, run: func(c *conn, _ [][]byte) {
				freeMemory()
				c.enc.Status("OK")
			}},
			{spec: command.Spec{Name: "doctor", Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Arity: 2, Since: "4.0.0", Complexity: "O(1)", Summary: "Return a report on the memory in words"}, when: inOrder, run: (*conn).cmdMemoryDoctor},
			{spec: command.Spec{Name: "malloc-stats", Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Arity: 2, Since: "4.0.0", Complexity: "Depends on how much memory is allocated, could be slow", Summary: "Return what the allocator counts"}, when: inOrder, run: (*conn).cmdMallocStats},
			{spec: *command.Help("memory", "server", "4.0.0",
				"DOCTOR",
				"    Return memory problems reports.",
				"MALLOC-STATS",
				"    Return internal statistics report from the memory allocator.",
				"PURGE",
				"    Attempt to purge dirty pages for reclamation by the allocator.",
				"STATS",
				"    Return information about the memory usage of the server.",
				"USAGE <key> [SAMPLES <count>]",
				"    Return memory in bytes used by <key> and its value. Nested values are",
				"    sampled up to <count> times (default: 5, 0 means sample all).")},
		},
	}
}

// cmdMemoryStats answers Redis's fields. What is a number of bytes is what INFO memory
// says under another name.
func (c *conn) cmdMemoryStats([][]byte) {
	m := c.srv.memoryUse()
	_, scriptBytes, _, _ := c.srv.store.Scripts()
	dbs := c.srv.store.Keyspaces()
	share := func(a, b int64) float64 { return float64(a) / float64(max(b, 1)) }
	ints := func(pairs ...pair) {
		for _, p := range pairs {
			c.enc.BulkString(p.name)
			c.enc.Int(p.value.(int64)) //nolint:errcheck // there is no other kind here
		}
	}
	double := func(name string, value float64) {
		c.enc.BulkString(name)
		c.enc.Double(value)
	}
	c.enc.Map(27 + len(dbs))
	ints(pair{"peak.allocated", m.peak}, pair{"total.allocated", m.used}, pair{"startup.allocated", int64(0)},
		pair{"replication.backlog", int64(0)}, pair{"clients.slaves", int64(0)}, pair{"clients.normal", m.clients},
		pair{"cluster.links", int64(0)}, pair{"aof.buffer", int64(0)}, pair{"lua.caches", int64(scriptBytes)}, pair{"functions.caches", int64(0)})
	for _, db := range dbs {
		c.enc.BulkString(fmt.Sprintf("db.%d", db.DB))
		c.enc.Map(3)
		ints(pair{"overhead.hashtable.main", db.Overhead - db.Deadlines}, pair{"overhead.hashtable.expires", db.Deadlines}, pair{"overhead.hashtable.slot-to-keys", int64(0)})
	}
	ints(pair{"overhead.total", m.overhead}, pair{"keys.count", m.keys}, pair{"keys.bytes-per-key", m.used / max(m.keys, 1)}, pair{"dataset.bytes", m.used - m.overhead})
	double("dataset.percentage", 100*share(m.used-m.overhead, m.used))
	double("peak.percentage", 100*share(m.used, m.peak))
	ints(pair{"allocator.allocated", m.objects}, pair{"allocator.active", m.active}, pair{"allocator.resident", m.resident})
	double("allocator-fragmentation.ratio", share(m.active, m.objects))
	ints(pair{"allocator-fragmentation.bytes", m.active - m.objects})
	double("allocator-rss.ratio", share(m.resident, m.active))
	ints(pair{"allocator-rss.bytes", m.resident - m.active})
	double("rss-overhead.ratio", share(m.rss, m.resident))
	ints(pair{"rss-overhead.bytes", m.rss - m.resident})
	double("fragmentation", share(m.rss, m.used))
	ints(pair{"fragmentation.bytes", m.rss - m.used})
}

// cmdMemoryDoctor says in words what INFO memory says in numbers, with Redis's
// thresholds.
func (c *conn) cmdMemoryDoctor([][]byte) {
	m := c.srv.memoryUse()
	above := func(a, b int64, times float64) bool {
		return float64(a) > times*float64(max(b, 1)) && a-b > 10<<20
	}
	var text strings.Builder
	if m.used < 5<<20 {
		c.enc.Verbatim("txt", "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be used in these conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I will be back to our programming as soon as I finished rebooting.\n")
		return
	}
	issue := func(is bool, format string, args ...any) {
		if is {
			fmt.Fprintf(&text, " * "+format+"\n\n", args...)
		}
	}
	limit := c.srv.store.Memory().Limit
	issue(limit > 0 && m.used > limit, "More than maxmemory: keys and values need %s of %s. Either nothing may be evicted (see maxmemory-policy), or writes come faster than keys can go.", humanBytes(m.used), humanBytes(limit))
	issue(float64(m.peak) > 1.5*float64(m.used), "Peak memory: once keys and values needed %s, now it is %s. MEMORY PURGE gives what is free back to the system.", humanBytes(m.peak), humanBytes(m.used))
	known := m.used + m.clients + m.proposals + m.learned + m.headroom + m.runtime
	issue(above(m.rss, known, 1.4), "High total RSS: the process has %s of the machine's memory, for %s of keys and values, %s of clients, %s on the way through the log, %s that the garbage collector leaves to grow and %s of the runtime's own. The rest is the raft log that is kept for members which are a little behind (snapshot-catch-up-bytes), a snapshot that is being written, or what has been freed: MEMORY PURGE gives that back.",
		humanBytes(m.rss), humanBytes(m.used), humanBytes(m.clients), humanBytes(m.proposals), humanBytes(m.headroom), humanBytes(m.runtime))
	issue(above(m.active, m.objects, 1.1), "High allocator fragmentation: %s are in use in spans of %s.", humanBytes(m.objects), humanBytes(m.active))
	issue(above(m.resident, m.active+m.runtime, 1.1), "High allocator RSS overhead: the Go runtime holds %s for spans of %s. MEMORY PURGE gives the rest back.", humanBytes(m.resident), humanBytes(m.active))
	clients := int64(c.srv.clientCount())
	issue(m.clients/max(clients, 1) > 200<<10, "Big client buffers: %d clients take %s. CLIENT LIST shows which of them do not read, and maxmemory-clients bounds them.", clients, humanBytes(m.clients))
	if text.Len() == 0 {
		c.enc.Verbatim("txt", "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n")
		return
	}
	c.enc.Verbatim("txt", "Sam, I detected a few issues in this instance memory implants:\n\n"+text.String()+"I'm here to keep you safe, Sam. I want to help you.\n")
}

// cmdMallocStats shows what the Go runtime counts of memory and of collecting it.
func (c *conn) cmdMallocStats([][]byte) {
	var samples []metrics.Sample
	for _, d := range metrics.All() {
		if strings.HasPrefix(d.Name, "/memory/") || strings.HasPrefix(d.Name, "/gc/") {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
	}
	metrics.Read(samples)
	var text strings.Builder
	for _, s := range samples {
		switch s.Value.Kind() {
		case metrics.KindUint64:
			fmt.Fprintf(&text, "%s %d\n", s.Name, s.Value.Uint64())
		case metrics.KindFloat64:
			fmt.Fprintf(&text, "%s %g\n", s.Name, s.Value.Float64())
		}
	}
	c.enc.Verbatim("txt", text.String())
}
