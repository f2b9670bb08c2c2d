package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// content is a kind of value whose memory is measured.
type content struct {
	name  string
	keys  int
	load  func(key string, i int) []string
	write func(key string, i int) []string // changes what was loaded; i differs each time
}

func contents() []content {
	value := func(i int) string { return fmt.Sprintf("%064d", i) }
	fields := func(i int) (args []string) {
		for f := range 10 {
			args = append(args, fmt.Sprintf("field%d", f), fmt.Sprintf("value-%d-%012d", f, i))
		}
		return args
	}
	hundred := func(args []string, element func(n int) []string) []string {
		for n := range 100 {
			args = append(args, element(n)...)
		}
		return args
	}
	set := func(key string, i int) []string { return []string{"SET", key, value(i)} }
	hset := func(key string, i int) []string { return append([]string{"HSET", key}, fields(i)...) }
	return []content{
		{"strings of 64 bytes", 1_000_000, set, set},
		{"hashes of 10 fields, 20 bytes each", 1_000_000, hset, hset},
		{"lists of 100", 200_000, func(key string, _ int) []string {
			return hundred([]string{"RPUSH", key}, func(n int) []string { return []string{fmt.Sprintf("element-%d", n)} })
		}, func(key string, i int) []string {
			return []string{"LSET", key, strconv.Itoa(i % 100), fmt.Sprintf("element-%d", i%1000)}
		}},
		{"sorted sets of 100", 200_000, func(key string, _ int) []string {
			return hundred([]string{"ZADD", key}, func(n int) []string { return []string{strconv.Itoa(n), fmt.Sprintf("member-%d", n)} })
		}, func(key string, i int) []string {
			return []string{"ZADD", key, strconv.Itoa(i), fmt.Sprintf("member-%d", i%100)}
		}},
	}
}

// footprint is what a system takes for contents: bytes a key beyond what it takes when it is empty.
type footprint struct {
	loaded, median, most int64
}

// memoryRow is one line of the table: the contents, and each system's footprint.
type memoryRow struct {
	content
	systems []footprint
}

// memorySystems are compared in the table of memory. What is durable counts with the process
// that rewrites its file.
func memorySystems() []string { return []string{redisMemory, redisAOF, raft3} }

const memoryIdle = 10 * time.Second // until what is loaded is looked at

func (st *started) memory(o options, only *regexp.Regexp, r *report) error {
	for _, c := range contents() {
		if !only.MatchString("memory of " + c.name) {
			continue
		}
		row := memoryRow{content: c}
		for _, name := range memorySystems() {
			fresh := &started{dir: st.dir, systems: map[string]*system{}}
			f, err := fresh.footprint(o, name, c)
			for _, s := range fresh.systems {
				s.kill()
			}
			if err != nil {
				return fmt.Errorf("memory of %s for %s: %w", name, c.name, err)
			}
			progress("%-36s %-26s %d bytes a key loaded, %d and at most %d under overwrites", c.name, name, f.loaded, f.median, f.most)
			row.systems = append(row.systems, f)
		}
		r.memory = append(r.memory, row)
	}
	return nil
}

func (st *started) footprint(o options, name string, c content) (f footprint, err error) {
	if err := st.start(o, name); err != nil {
		return f, err
	}
	s := st.systems[name]
	empty, err := s.resident()
	if err != nil {
		return f, err
	}
	perKey := func(bytes int64) int64 { return (bytes - empty) / int64(c.keys) }
	if err := c.send(s.ports[0], c.keys, c.load); err != nil {
		return f, err
	}
	time.Sleep(memoryIdle)
	loaded, err := s.resident()
	if err != nil {
		return f, err
	}
	done := make(chan error, 1)
	go func() { done <- c.send(s.ports[0], 3*c.keys, c.write) }()
	var seen []int64
	for {
		select {
		case err := <-done:
			if err != nil {
				return f, err
			}
			if len(seen) == 0 {
				return f, fmt.Errorf("overwriting took no time")
			}
			slices.Sort(seen)
			return footprint{perKey(loaded), perKey(seen[len(seen)/2]), perKey(seen[len(seen)-1])}, nil
		case <-time.After(200 * time.Millisecond):
			now, err := s.resident()
			if err != nil {
				return f, err
			}
			seen = append(seen, now)
		}
	}
}

// send has eight clients send n commands for keys in no order that memory could profit from.
func (c content) send(port, n int, command func(key string, i int) []string) error {
	const clients, depth = 8, 64
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for k := range clients {
		wg.Go(func() {
			cl, err := cluster.Dial(addr(port))
			if err != nil {
				errs[k] = err
				return
			}
			defer cl.Close()
			cl.Timeout = time.Minute
			for from := k * n / clients; from < (k+1)*n/clients && errs[k] == nil; from += depth {
				errs[k] = c.batch(cl, from, min(from+depth, (k+1)*n/clients), command)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c content) batch(cl *cluster.Client, from, to int, command func(key string, i int) []string) error {
	const stride = 7919 // a prime that divides no number of keys
	for i := from; i < to; i++ {
		cl.Send(command(fmt.Sprintf("key:%012d", i%c.keys*stride%c.keys), i)...)
	}
	if err := cl.Flush(); err != nil {
		return err
	}
	for range to - from {
		reply, err := cl.Receive()
		if e, is := reply.(cluster.Error); is {
			err = e
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// resident is the memory of the process that takes the load, and of its children while it has
// some, without counting twice what they share.
func (s *system) resident() (int64, error) {
	alone, err := s.rssOfLeader()
	if err != nil || len(s.procs) > 1 {
		return alone, err
	}
	pid := s.procs[0].Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil || len(bytes.TrimSpace(children)) == 0 {
		return alone, nil //nolint:nilerr // a kernel that does not tell has no children to count
	}
	var all int64
	for _, p := range append(strings.Fields(string(children)), strconv.Itoa(pid)) {
		b, err := os.ReadFile("/proc/" + p + "/smaps_rollup")
		if err != nil {
			return alone, nil //nolint:nilerr // it has ended meanwhile
		}
		_, rest, _ := strings.Cut(string(b), "\nPss:")
		n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			return 0, err
		}
		all += n << 10
	}
	return max(all, alone), nil
}

// memoryTable is the table of what contents need.
func (r *report) memoryTable() string {
	if len(r.memory) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n## Memory\n\nResident bytes a key of the process that takes the load, beyond what it takes when it is empty: ten seconds after loading; median and most\n" +
		"while all are written three times over. With an AOF the process that rewrites it counts, without what both share. Keys have 16 bytes.\n\n| contents | keys |")
	for _, name := range memorySystems() {
		fmt.Fprintf(&b, " %s |", name)
	}
	fmt.Fprintf(&b, " to %s | to %s |\n|---|---|%s---|---|\n", redisMemory, redisAOF, strings.Repeat("---|", len(memorySystems())))
	for _, row := range r.memory {
		fmt.Fprintf(&b, "| %s | %d |", row.name, row.keys)
		for _, f := range row.systems {
			fmt.Fprintf(&b, " %d; %d, %d |", f.loaded, f.median, f.most)
		}
		ours := row.systems[len(row.systems)-1]
		for _, f := range row.systems[:2] {
			ratio := func(a, b int64) float64 { return float64(a) / float64(b) }
			fmt.Fprintf(&b, " **%.2f; %.2f, %.2f** |", ratio(ours.loaded, f.loaded), ratio(ours.median, f.median), ratio(ours.most, f.most))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
