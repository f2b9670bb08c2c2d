package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

type report struct {
	options options
	keys    []*line // the same number of keys
	memory  []*line // the same maxmemory
}

const (
	begin = "<!-- made by make bench-cache: begin -->\n"
	end   = "<!-- made by make bench-cache: end -->\n"
)

// between puts text into a file in place of what stands between the marks, or at its end.
func between(file, text string) error {
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, []byte(spliced(string(b), text)), 0o644)
}

func spliced(old, text string) string {
	before, rest, found := strings.Cut(old, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		before, after = strings.TrimRight(old, "\n")+"\n\n", ""
	}
	return before + begin + text + end + after
}

func (r *report) markdown() string {
	var b strings.Builder
	o := r.options
	fmt.Fprintf(&b, `## Hit ratios

Made by `+"`make bench-cache`"+` (%s; %d cores, %s; %s): traces of %d requests for %d keys (16 bytes, values of %d), read through the cache (GET, and SET of
what is not there), hits of the second half in %%. Room is the part of the keys that fits. redis is redis-server, raftredis a cluster of one node.
As Redis knows the time of a key's last use to a second, and raftredis to a tenth of one, the replays with allkeys-lru and
allkeys-lhd are slowed down: it takes %v until a full cache has seen as many new keys as fit. volatile-ttl has deadlines beyond the replay, the later the
more often a key is asked for. Zipf: keys by popularity. scans: a fifth of the keys is asked for all the time, and somebody walks over the
rest, round and round. shifting: half of the keys is asked for, and which half changes ten times.

Best is allkeys-lhd to the better of Redis's LRU and LFU.

The same number of keys, found by changing maxmemory in the first half:

`, time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), firstLine("uname", "-sr"), firstLine("redis-server", "--version"),
		o.footprint*o.length, o.footprint, valueSize, o.stay)
	table(&b, r.keys)
	b.WriteString("\nThe same maxmemory, that of redis with allkeys-lru above; behind the hits, the thousands of keys that fitted and the bytes for each by the server's own account:\n\n")
	table(&b, r.memory)
	return b.String()
}

func table(b *strings.Builder, lines []*line) {
	b.WriteString("| trace | room |")
	for _, p := range policies() {
		fmt.Fprintf(b, " redis %s | raftredis |", p)
	}
	fmt.Fprintf(b, " raftredis %s | best |\n|---|---|%s\n", lhd, strings.Repeat("---|", 2*len(policies())+2))
	for _, l := range lines {
		fmt.Fprintf(b, "| %s | %d %% |", l.trace, l.percent)
		for _, p := range policies() {
			fmt.Fprintf(b, " %s | %s |", l.cell(redis+p), l.cell(ours+p))
		}
		best := max(l.cells[redis+"allkeys-lru"].hits, l.cells[redis+"allkeys-lfu"].hits)
		fmt.Fprintf(b, " %s | **%+.2f** |\n", l.cell(ours+lhd), 100*(l.cells[ours+lhd].hits-best))
	}
}

func (l *line) cell(system string) string {
	c := l.cells[system]
	if l.memory == 0 {
		return fmt.Sprintf("%.2f (%.1fk)", 100*c.hits, c.keys/1000)
	}
	return fmt.Sprintf("%.2f (%.1fk, %.0f)", 100*c.hits, c.keys/1000, c.bytes)
}

func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
