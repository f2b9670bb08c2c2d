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

func (c *conn) cmdMemoryStats([][]byte) {
	m := memoryUse()
	peak := c.srv.peakMemory(m.used)
	var keys int64
	for _, db := range c.srv.store.Keyspaces() {
		keys += int64(db.Keys)
	}
	c.enc.Map(9)
	for _, p := range []pair{
		{"peak.allocated", peak}, {"total.allocated", m.used}, {"overhead.total", m.overhead},
		{"keys.count", keys}, {"keys.bytes-per-key", max(0, m.used-c.srv.startMemory) / max(keys, 1)},
		{"allocator.allocated", m.used}, {"allocator.active", m.active}, {"allocator.resident", m.resident},
	} {
		c.enc.BulkString(p.name)
		c.enc.Int(p.value.(int64)) //nolint:errcheck // the other kind was looked for
	}
	c.enc.BulkString("fragmentation")
	c.enc.Double(float64(m.rss) / float64(max(m.used, 1)))
}

// cmdMemoryDoctor says in words what INFO memory says in numbers, with Redis's
// thresholds.
func (c *conn) cmdMemoryDoctor([][]byte) {
	m := memoryUse()
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
	peak := c.srv.peakMemory(m.used)
	issue(float64(peak) > 1.5*float64(m.used), "Peak memory: once this node had %s in use, now it is %s. MEMORY PURGE gives what is free back to the system.", humanBytes(peak), humanBytes(m.used))
	issue(above(m.rss, m.used, 1.4), "High total RSS: the process has %s of the machine's memory for %s of objects. Right after many keys were deleted, or a snapshot was loaded, that is the rest of what the garbage collector lets grow before it collects again, and MEMORY PURGE gives it back.", humanBytes(m.rss), humanBytes(m.used))
	issue(above(m.active, m.used, 1.1), "High allocator fragmentation: %s are in use in spans of %s.", humanBytes(m.used), humanBytes(m.active))
	issue(above(m.resident, m.active, 1.1), "High allocator RSS overhead: the Go runtime holds %s for spans of %s. MEMORY PURGE gives the rest back.", humanBytes(m.resident), humanBytes(m.active))
	var clients, output int64
	c.srv.eachClient(func(each *conn) {
		clients++
		obl, _, omem := each.pending()
		output += obl + omem
	})
	issue(output/max(clients, 1) > 200<<10, "Big client buffers: %s of replies wait for %d clients. CLIENT LIST shows which of them do not read.", humanBytes(output), clients)
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
