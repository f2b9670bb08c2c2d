package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

type options struct {
	footprint, length int
	lanes             int
	stay              time.Duration
	binary, out       string
	only              *regexp.Regexp
}

func main() {
	var o options
	flag.IntVar(&o.footprint, "footprint", 50_000, "different `keys` that a trace asks for")
	flag.IntVar(&o.length, "length", 10, "requests of a trace, in `footprints`")
	flag.IntVar(&o.lanes, "lanes", 8, "replays at a time, each on a `pair` of servers")
	flag.DurationVar(&o.stay, "stay", 5*time.Second, "how long it takes, with the policies that go by the time of the last use, until a full cache has seen as many new keys as fit")
	flag.StringVar(&o.binary, "binary", "", "raftredis `binary`; built from this checkout if empty")
	flag.StringVar(&o.out, "out", "", "`file` that has the table between its marks, beside standard output")
	only := flag.String("only", "", "only the traces whose name matches this `regexp`")
	flag.Parse()
	o.only = regexp.MustCompile(*only)
	if err := bench(o); err != nil {
		fmt.Fprintln(os.Stderr, "cache:", err)
		os.Exit(1)
	}
}

// line is one line of a table: a trace at one size.
type line struct {
	trace   string
	percent int
	memory  int64              // maxmemory of all, if it is the same
	cells   map[string]outcome // by system and policy
}

// systems that are compared. A policy of Redis's is run on both.
const (
	redis = "redis "
	ours  = "raftredis "
	lhd   = "allkeys-lhd"
)

func policies() []string { return []string{"allkeys-lru", "allkeys-lfu", "volatile-ttl"} }

func bench(o options) error {
	dir, err := os.MkdirTemp("", "raftredis-cache-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.binary == "" {
		if o.binary, err = cluster.Build(dir, false); err != nil {
			return err
		}
	}
	r, err := measure(o, dir)
	if err != nil {
		return err
	}
	text := r.markdown()
	fmt.Print(text)
	if o.out == "" {
		return nil
	}
	return between(o.out, text)
}

// job is one cell of a table to be filled.
type job struct {
	line   *line
	system string
	run    run
}

// measure fills both tables: first that of equal numbers of keys, whose replays tell how
// much memory Redis needs for them, then that of equal memory.
func measure(o options, dir string) (*report, error) {
	r := &report{options: o}
	all := traces(o.footprint, o.footprint*o.length)
	pairs := make(chan *pair, o.lanes)
	for i := range o.lanes {
		p, err := startPair(filepath.Join(dir, fmt.Sprint(i)), o.binary)
		if err != nil {
			return nil, err
		}
		defer p.stop()
		pairs <- p
	}
	var jobs []job
	for t := range all {
		if !o.only.MatchString(all[t].name) {
			continue
		}
		for _, percent := range []int{10, 25, 50} {
			l := &line{trace: all[t].name, percent: percent, cells: make(map[string]outcome)}
			r.keys = append(r.keys, l)
			jobs = append(jobs, l.jobs(o, run{trace: &all[t], fit: o.footprint * percent / 100})...)
		}
	}
	if err := do(jobs, pairs); err != nil {
		return nil, err
	}
	jobs = nil
	for _, l := range r.keys {
		t := slices.IndexFunc(all, func(t trace) bool { return t.name == l.trace })
		same := &line{trace: l.trace, percent: l.percent, memory: l.cells[redis+"allkeys-lru"].memory, cells: make(map[string]outcome)}
		r.memory = append(r.memory, same)
		jobs = append(jobs, same.jobs(o, run{trace: &all[t], fit: o.footprint * l.percent / 100, memory: same.memory})...)
	}
	return r, do(jobs, pairs)
}

// jobs are the replays that fill the line, the slow ones first.
func (l *line) jobs(o options, r run) (jobs []job) {
	for _, policy := range append([]string{lhd}, policies()...) {
		r.policy, r.stay = policy, 0
		if policy == "allkeys-lru" || policy == lhd {
			r.stay = o.stay
		}
		jobs = append(jobs, job{l, ours + policy, r})
		if policy != lhd {
			jobs = append(jobs, job{l, redis + policy, r})
		}
	}
	return jobs
}

// do does jobs, as many at a time as there are pairs.
func do(jobs []job, pairs chan *pair) error {
	var (
		mu     sync.Mutex
		failed error
		group  sync.WaitGroup
	)
	for i, j := range jobs {
		p := <-pairs
		group.Go(func() {
			addr := p.ours
			if j.system[:len(redis)] == redis {
				addr = p.redis
			}
			started := time.Now()
			out, err := replay(addr, j.run)
			pairs <- p
			mu.Lock()
			defer mu.Unlock()
			if j.line.cells[j.system] = out; err != nil && failed == nil {
				failed = fmt.Errorf("%s, %d %%, %s: %w", j.line.trace, j.line.percent, j.system, err)
			}
			fmt.Fprintf(os.Stderr, "# %d/%d %s, %d %%, %s: %.2f %% of hits with %.0f keys, %d refused, %.0f s\n", i+1, len(jobs),
				j.line.trace, j.line.percent, j.system, 100*out.hits, out.keys, out.refused, time.Since(started).Seconds())
		})
	}
	group.Wait()
	return failed
}
