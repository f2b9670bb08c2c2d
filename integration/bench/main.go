package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "alternating `rounds` of each row; the report gives medians")
	flag.Float64Var(&o.scale, "scale", 1, "`factor` on the number of requests of each run")
	flag.StringVar(&o.out, "out", "", "`file` to write the report to, beside standard output")
	flag.StringVar(&o.only, "only", "", "run only the rows whose name matches this `regexp`")
	flag.StringVar(&o.binary, "binary", "", "raftredis `binary`; built from this checkout if empty")
	flag.StringVar(&o.baseline, "baseline", "", "another `binary` of raftredis: each row has it as a system of its own, in the same rounds")
	flag.StringVar(&o.note, "note", "", "a `remark` on the circumstances, for the report")
	flag.BoolVar(&o.probes, "probes", true, "measure memory and snapshots as well (a few minutes)")
	flag.Parse()
	if err := bench(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds int
	scale  float64
	out    string
	only   string
	binary string
	// baseline is what this build is compared with, if not empty.
	baseline string
	note     string
	probes   bool
}

func bench(o options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "raftredis-bench-")
	if err != nil {
		return err
	}
	st := &started{dir: dir, systems: map[string]*system{}}
	defer st.stop()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		st.stop()
		os.Exit(130)
	}()

	if o.binary == "" {
		o.binary = filepath.Join(dir, "raftredis")
		progress("building raftredis")
		if out, err := exec.Command("go", "build", "-o", o.binary, "github.com/raftredis/raftredis/cmd/raftredis").CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w: %s", err, out)
		}
	}
	r := &report{rounds: o.rounds, note: o.note}
	if err := st.workloads(o, only, r); err != nil {
		return err
	}
	if err := st.openLoops(o, only, r); err != nil {
		return err
	}
	if o.probes && only.MatchString("probes") {
		if err := st.probes(o, r); err != nil {
			return err
		}
	}
	if o.probes {
		if err := st.memory(o, only, r); err != nil {
			return err
		}
	}
	text := r.markdown(o.binary)
	fmt.Print(text)
	if o.out == "" {
		return nil
	}
	old, err := os.ReadFile(o.out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(o.out, []byte(text+kept(string(old))), 0o644)
}

// kept is what another program has put into the file, between marks of its own.
func kept(old string) string {
	at := strings.Index(old, "<!-- made by ")
	if at < 0 {
		return ""
	}
	return "\n" + old[at:]
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "# "+format+"\n", args...) }

// start starts the named system. The names are the report's.
func (st *started) start(o options, name string) error {
	if st.systems[name] != nil {
		return nil
	}
	progress("starting %s", name)
	aof := []string{"--appendonly", "yes", "--appendfsync", "always"}
	switch name {
	case redisMemory:
		return st.redis(name, 0, "--appendonly", "no")
	case redisAOF:
		return st.redis(name, 0, aof...)
	case redisReplica:
		return st.redis(name, 2, aof...)
	case raft1:
		return st.raft(name, o.binary, 1)
	case raft3:
		return st.raft(name, o.binary, 3)
	case baseline1:
		return st.raft(name, o.baseline, 1)
	case baseline3:
		return st.raft(name, o.baseline, 3)
	case baselineQuorum:
		return st.raft(name, o.baseline, 3, "--read-mode", "linearizable")
	case raft3Quorum:
		return st.raft(name, o.binary, 3, "--read-mode", "linearizable")
	case raft3 + ", follower":
		if err := st.start(o, raft3); err != nil {
			return err
		}
		// The same processes, addressed elsewhere; stop() must not see them twice.
		st.systems[name] = &system{name: name, ports: st.systems[raft3].ports[1:]}
		return nil
	}
	return fmt.Errorf("unknown system %q", name)
}

// workloads runs every row of redis-benchmark, one row at a time: each of its
// systems in turn, round after round.
func (st *started) workloads(o options, only *regexp.Regexp, r *report) error {
	for _, w := range workloads() {
		if !only.MatchString(w.name) {
			continue
		}
		if o.baseline != "" {
			w.systems = withBaseline(w.systems)
		}
		row := row{name: w.name, systems: w.systems}
		if err := st.row(o, &row, func(port int) (figure, error) { return w.run(port, o.scale) }); err != nil {
			return err
		}
		r.rows = append(r.rows, row)
	}
	return nil
}

// rowKeys is how many keys redis-benchmark draws from. They are there before the
// first row: a GET that finds nothing is another workload.
const rowKeys = 100_000

func (st *started) row(o options, row *row, run func(port int) (figure, error)) error {
	row.figures = make([][]figure, len(row.systems))
	for round := range o.rounds + 1 { // round 0 warms up
		for i, name := range row.systems {
			if err := st.start(o, name); err != nil {
				return err
			}
			s := st.systems[name]
			if !s.filled {
				if err := fill(s.ports[0], rowKeys); err != nil {
					return fmt.Errorf("fill %s: %w", name, err)
				}
				s.filled = true
			}
			before, err := st.cpu(s)
			if err != nil {
				return err
			}
			f, err := run(s.ports[0])
			if err != nil {
				return fmt.Errorf("%s on %s: %w", row.name, name, err)
			}
			after, err := st.cpu(s)
			if err != nil {
				return err
			}
			f.cpu = float64((after - before).Microseconds()) / f.n
			if round == 0 {
				continue
			}
			row.figures[i] = append(row.figures[i], f)
			progress("%-34s round %d/%d  %-34s %10.0f/s  p50 %.2f ms  p99 %.2f ms", row.name, round, o.rounds, name, f.rps, f.p50, f.p99)
		}
	}
	return nil
}

// cpu is what a system has used. One that is another's processes under another
// address has none of its own.
func (st *started) cpu(s *system) (time.Duration, error) {
	if len(s.procs) == 0 {
		s = st.systems[raft3]
	}
	return s.cpu()
}

// probes measures memory and the cost of a snapshot on fresh systems.
func (st *started) probes(o options, r *report) error {
	for _, name := range []string{redisMemory, raft1, raft3} {
		fresh := &started{dir: st.dir, systems: map[string]*system{}}
		m, err := fresh.probe(o, name)
		for _, s := range fresh.systems {
			s.kill()
		}
		if err != nil {
			return fmt.Errorf("probe of %s: %w", name, err)
		}
		r.probes = append(r.probes, m)
	}
	return nil
}

func (st *started) probe(o options, name string) (probe, error) {
	p := probe{system: name}
	if err := st.start(o, name); err != nil {
		return p, err
	}
	s := st.systems[name]
	empty, err := s.rss(0)
	if err != nil {
		return p, err
	}
	progress("%s: loading %d keys", name, probeKeys)
	if err := fill(s.ports[0], probeKeys); err != nil {
		return p, err
	}
	loaded, err := s.rssOfLeader()
	if err != nil {
		return p, err
	}
	progress("%s: overwriting them", name)
	var peak int64
	for range 3 {
		if err := fill(s.ports[0], probeKeys); err != nil {
			return p, err
		}
		rss, err := s.rssOfLeader()
		if err != nil {
			return p, err
		}
		peak = max(peak, rss)
	}
	p.loaded, p.steady = (loaded-empty)/probeKeys, (peak-empty)/probeKeys
	progress("%s: a lone writer beside a snapshot", name)
	w := workload{args: []string{"-t", "get"}, clients: 1, depth: 1, n: 30_000}
	for round := range 3 {
		quiet, err := during(s.ports[0], func() error { _, err := w.run(s.ports[0], 1); return err })
		if err != nil {
			return p, err
		}
		busy, err := during(s.ports[0], func() error { return save(s.ports[0]) })
		if err != nil {
			return p, err
		}
		if busy.held, err = held(s.ports[0]); err != nil {
			return p, err
		}
		progress("%s: round %d: without %v/%v, with %v/%v (p99/longest)", name, round+1, quiet.p99, quiet.max, busy.p99, busy.max)
		p.quiet, p.busy = append(p.quiet, quiet), append(p.busy, busy)
	}
	return p, nil
}

// rssOfLeader is the memory of the process that takes the load. The leader may
// not be the first process that was started.
func (s *system) rssOfLeader() (int64, error) {
	for i, p := range s.procs {
		if slices.Contains(p.Args, fmt.Sprint(s.ports[0])) {
			return s.rss(i)
		}
	}
	return 0, fmt.Errorf("%s: no process on port %d", s.name, s.ports[0])
}

func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
