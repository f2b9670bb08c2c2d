package integration

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// infoSections returns the fields of every section of INFO.
func infoSections(t testing.TB, c *conn, names ...string) map[string]map[string]string {
	t.Helper()
	sections := map[string]map[string]string{}
	var current map[string]string
	for line := range strings.Lines(must(t, c, append([]string{"INFO"}, names...)...).Str) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "# "); ok {
			current = map[string]string{}
			sections[name] = current
		} else if name, v, ok := strings.Cut(line, ":"); ok {
			current[name] = v
		}
	}
	return sections
}

// counters are the statistics that a command changes: calls, rejected and failed
// of every command, errors by code, lookups.
func counters(t testing.TB, c *conn) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	sections := infoSections(t, c, "stats", "commandstats", "errorstats")
	for _, name := range []string{"keyspace_hits", "keyspace_misses", "total_error_replies", "total_commands_processed"} {
		n, err := strconv.ParseInt(sections["Stats"][name], 10, 64)
		if err != nil {
			t.Fatalf("%s is %q", name, sections["Stats"][name])
		}
		all[name] = n
	}
	for _, section := range []string{"Commandstats", "Errorstats"} {
		for name, v := range sections[section] {
			for part := range strings.SplitSeq(v, ",") {
				what, number, _ := strings.Cut(part, "=")
				if what != "usec" && what != "usec_per_call" {
					n, err := strconv.ParseInt(number, 10, 64)
					if err != nil {
						t.Fatalf("%s is %q", name, v)
					}
					all[name+" "+what] = n
				}
			}
		}
	}
	return all
}

// changes are the counters that are not what they were.
func changes(before, after map[string]int64) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if d := after[name] - before[name]; d != 0 {
			all = append(all, fmt.Sprintf("%s %+d", name, d))
		}
	}
	return strings.Join(all, ", ")
}

// TestCountersAsRedis runs the scripts of the differential test and compares, line
// by line, what they change in INFO.
func TestCountersAsRedis(t *testing.T) {
	real := startRedis(t)
	ours := start(t, 1, "--enable-debug-command", "yes").Nodes[0].Addr
	scripts, err := filepath.Glob("testdata/differential/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p, control := newPair(t, ours, real, false), newPair(t, ours, real, false)
			p.do(t, "FLUSHALL")
			beforeOurs, beforeReal := counters(t, control.ours), counters(t, control.real)
			for n, line := range strings.Split(string(content), "\n") {
				line = strings.TrimSpace(line)
				if line == "" || line[0] == '#' {
					continue
				}
				_, args, run, compared, err := parseLine(line, false)
				if err != nil {
					t.Fatalf("%s:%d: %s: %v", path, n+1, line, err)
				}
				if !run {
					continue
				}
				p.do(t, args...)
				afterOurs, afterReal := counters(t, control.ours), counters(t, control.real)
				switch strings.ToLower(args[0]) {
				case "sort", "sort_ro": // Redis follows BY for every element before it answers that one is no number
					compared = compared && afterReal["errorstat_ERR count"] == beforeReal["errorstat_ERR count"]
				}
				compared = compared && !strings.EqualFold(strings.Join(args, " "), "config resetstat")
				if o, r := changes(beforeOurs, afterOurs), changes(beforeReal, afterReal); compared && o != r {
					t.Errorf("%s:%d: %s\nraftredis    %s\nredis-server %s", filepath.Base(path), n+1, line, o, r)
				}
				beforeOurs, beforeReal = afterOurs, afterReal
			}
		})
	}
}

// session is what the tests below have a client do.
var session = [][]string{
	{"SET", "a", "1"}, {"GET", "a"}, {"GET", "nokey"}, {"INCR", "a"}, {"LPUSH", "a", "x"}, {"GETSET", "a", "2"},
	{"SET", "a"}, {"NOSUCH"}, {"SET", "a", "b", "EX", "x"}, {"DEL", "a", "b"},
	{"RPUSH", "list", "1", "2", "3"}, {"BLPOP", "list", "0"}, {"BLPOP", "empty", "0.01"},
	{"MULTI"}, {"SET", "a", "1"}, {"SELECT", "3"}, {"GET", "a"}, {"PING"}, {"HSET", "h", "f", "v"}, {"LPUSH", "h", "x"}, {"EXEC"},
	{"WATCH", "w"}, {"SET", "w", "1"}, {"MULTI"}, {"SET", "w", "2"}, {"GET", "w"}, {"EXEC"},
	{"SELECT", "0"},
	{"MULTI"}, {"GET", "a"}, {"TYPE", "list"}, {"EXEC"},
	{"MULTI"}, {"NOSUCH"}, {"EXEC"},
	{"MULTI"}, {"GET", "a"}, {"DISCARD"},
	{"EXEC"}, {"CONFIG", "GET", "maxclients"}, {"OBJECT", "ENCODING", "list"}, {"CLIENT", "GETNAME"},
}

// TestStatisticsOfSession compares everything that a session leaves behind with
// what it leaves on a real server: on a node alone, and on a follower, whose
// writes run on the leader as well.
func TestStatisticsOfSession(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c := start(t, n)
			node := c.Nodes[0]
			if n > 1 {
				node = c.follower()
			}
			for _, pipelined := range []bool{false, true} {
				t.Run(fmt.Sprintf("pipelined=%v", pipelined), func(t *testing.T) {
					compareSession(t, node.Addr, startRedis(t), pipelined)
				})
			}
		})
	}
}

func compareSession(t *testing.T, ours, real string, pipelined bool) {
	var seen, logged, counts, histograms [2]string
	for which, addr := range []string{ours, real} {
		c, control, monitor := connect(t, addr), connect(t, addr), connect(t, addr)
		must(t, control, "FLUSHALL")
		must(t, control, "CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "1000")
		must(t, control, "SLOWLOG", "RESET")
		must(t, monitor, "MONITOR")
		must(t, control, "CONFIG", "RESETSTAT")
		before := counters(t, control)
		var input []byte
		for _, args := range session {
			if !pipelined {
				if _, err := c.Do(args...); err != nil {
					t.Fatal(err)
				}
			}
			input = append(input, encode(args...)...)
		}
		if pipelined {
			if _, err := c.Write(input); err != nil {
				t.Fatal(err)
			}
			for range session {
				if _, err := c.Receive(); err != nil {
					t.Fatal(err)
				}
			}
		}
		must(t, c, "ECHO", "the end")
		counts[which] = strings.ReplaceAll(changes(before, counters(t, control)), ", ", "\n")
		seen[which] = monitored(t, monitor, "the end")
		var lines []string
		for _, e := range must(t, control, "SLOWLOG", "GET", "-1").Elems {
			if args := e.Elems[3].Strings(); args[0] != "INFO" && args[0] != "MONITOR" && args[len(args)-1] != "RESET" && args[len(args)-1] != "RESETSTAT" {
				lines = append(lines, strings.Join(args, " "))
			}
		}
		slices.Sort(lines) // the front's own commands of a transaction run after the others
		logged[which] = strings.Join(lines, "\n")
		lines = nil
		all := must(t, control, "LATENCY", "HISTOGRAM").Elems
		for i := 0; i < len(all); i += 2 {
			calls, _ := all[i+1].Elems[1].Int()
			lines = append(lines, fmt.Sprintf("%s %d", all[i].Str, calls))
		}
		for name := range infoSections(t, control, "latencystats")["Latencystats"] {
			lines = append(lines, name)
		}
		slices.Sort(lines)
		histograms[which] = strings.Join(lines, "\n")
	}
	for what, pair := range map[string][2]string{"counters": counts, "MONITOR": seen, "SLOWLOG": logged, "histograms": histograms} {
		if pair[0] != pair[1] {
			t.Errorf("%s\n--- raftredis\n%s\n--- redis-server\n%s", what, pair[0], pair[1])
		}
	}
	// What clients waited is counted apart, for what went through the log.
	waits := infoSections(t, connect(t, ours), "waitstats")["Waitstats"]
	for _, name := range []string{"set", "incr", "exec", "blpop", "rpush"} {
		if !strings.Contains(waits["waitstat_"+name], "calls=") {
			t.Errorf("no waitstat_%s in %v", name, waits)
		}
	}
	if waits["waitstat_get"] != "" {
		t.Errorf("a local read waits for nobody: %v", waits)
	}
}

var (
	monitorHead = regexp.MustCompile(`^[0-9]+\.[0-9]{6} \[([0-9]+) 127\.0\.0\.1:[0-9]+\] `)
	controls    = regexp.MustCompile(`"INFO"|"CONFIG"|"SLOWLOG"`)
)

// monitored reads what MONITOR shows up to a command with that argument.
func monitored(t testing.TB, c *conn, end string) string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for {
		v, err := c.Receive()
		if err != nil {
			t.Fatalf("MONITOR after %q: %v", lines, err)
		}
		if !monitorHead.MatchString(v.Str) {
			t.Fatalf("MONITOR shows %q", v.Str)
		}
		if controls.MatchString(v.Str) {
			continue // our own questions
		}
		lines = append(lines, monitorHead.ReplaceAllString(v.Str, "[$1] "))
		if strings.Contains(v.Str, end) {
			return strings.Join(lines, "\n")
		}
	}
}

// TestInfoFields: every field of every section of a real server's INFO is there,
// of a primary and of a replica, with a value of the same kind.
func TestInfoFields(t *testing.T) {
	master := startRedis(t, "--appendonly", "yes")
	host, port, _ := strings.Cut(master, ":")
	replica := startRedis(t, "--appendonly", "yes", "--replicaof", host+" "+port)
	eventually(t, "the replica", func() error {
		if s := infoSections(t, connect(t, replica), "replication")["Replication"]["master_link_status"]; s != "up" {
			return fmt.Errorf("master_link_status:%s", s)
		}
		return nil
	})
	c := start(t, 3)
	announced(t, c)
	number := regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	for _, pair := range []struct{ name, ours, real string }{
		{"leader", c.leader().Addr, master},
		{"follower", c.follower().Addr, replica},
	} {
		t.Run(pair.name, func(t *testing.T) {
			var sections [2]map[string]map[string]string
			for which, addr := range []string{pair.ours, pair.real} {
				conn := connect(t, addr)
				if pair.name == "leader" {
					must(t, conn, "SET", "a", "1", "EX", "1000")
				}
				must(t, conn, "GET", "a")
				if v, err := conn.Do("NOSUCH"); err != nil || !v.IsError() {
					t.Fatal(v, err)
				}
				sections[which] = infoSections(t, conn, "everything")
			}
			for section, fields := range sections[1] {
				if sections[0][section] == nil {
					t.Errorf("there is no section %s", section)
				}
				for name, real := range fields {
					ours, ok := sections[0][section][name]
					switch {
					case section == "Keyspace" && pair.name == "follower":
					case strings.HasPrefix(name, "cmdstat_") || strings.HasPrefix(name, "latency_percentiles"):
						if base := strings.ReplaceAll(name, "_", " "); !ok && strings.HasSuffix(base, " get") {
							t.Errorf("%s: there is no %s", section, name)
						}
					case name == "slave1": // it has one replica, we have two
					case !ok:
						t.Errorf("%s: there is no %s (%s)", section, name, real)
					case number.MatchString(real) != number.MatchString(ours) && name != "lru_clock" && name != "config_file" && name != "redis_build_id":
						t.Errorf("%s: %s:%s, where Redis has %s", section, name, ours, real)
					}
				}
			}
		})
	}
}

// TestResetstat resets what Redis resets.
func TestResetstat(t *testing.T) {
	real := startRedis(t)
	ours := start(t, 1).Nodes[0].Addr
	var left [2]string
	for which, addr := range []string{ours, real} {
		c := connect(t, addr)
		for _, args := range session[:12] {
			if _, err := c.Do(args...); err != nil {
				t.Fatal(err)
			}
		}
		must(t, c, "SET", "short", "1", "PX", "1")
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		for must(t, c, "GET", "short").Raw[1] != '-' {
			if ctx.Err() != nil {
				t.Fatal("it does not expire")
			}
		}
		// It is gone for whoever looks before an entry has deleted it, which is what counts.
		for infoSections(t, c, "stats")["Stats"]["expired_keys"] == "0" {
			if ctx.Err() != nil {
				t.Fatal("nobody counts it")
			}
		}
		cancel()
		must(t, c, "SAVE")
		must(t, c, "CONFIG", "RESETSTAT")
		var lines []string
		sections := infoSections(t, c, "stats", "commandstats", "errorstats", "latencystats", "waitstats")
		for _, name := range []string{"total_commands_processed", "keyspace_hits", "keyspace_misses", "expired_keys", "total_connections_received", "total_error_replies", "total_forks", "latest_fork_usec", "rejected_connections", "total_net_repl_output_bytes"} {
			lines = append(lines, name+":"+sections["Stats"][name])
		}
		lines = append(lines, "rdb_saves:"+infoSections(t, c, "persistence")["Persistence"]["rdb_saves"])
		for _, section := range []string{"Commandstats", "Errorstats", "Latencystats", "Waitstats"} {
			lines = append(lines, slices.Sorted(maps.Keys(sections[section]))...)
		}
		left[which] = strings.Join(lines, "\n")
	}
	if left[0] != left[1] {
		t.Errorf("after CONFIG RESETSTAT\n--- raftredis\n%s\n--- redis-server\n%s", left[0], left[1])
	}
}
