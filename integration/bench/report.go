package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is what goes to BENCHMARKS.md.
type report struct {
	rounds int
	note   string
	rows   []row
	open   []row // at a fixed rate
	probes []probe
	memory []memoryRow
}

type row struct {
	name    string
	systems []string
	figures [][]figure // by system, then by round
}

type probe struct {
	system         string
	loaded, steady int64 // resident bytes a key
	quiet, busy    []stall
}

func median[T any](xs []T, by func(T) float64) float64 {
	vs := make([]float64, len(xs))
	for i, x := range xs {
		vs[i] = by(x)
	}
	slices.Sort(vs)
	if n := len(vs); n%2 == 0 {
		return (vs[n/2-1] + vs[n/2]) / 2
	}
	return vs[len(vs)/2]
}

// ratio is the median over rounds of the ratio within a round, and its range.
func (r *row) ratio(i, base int) string {
	return r.ratioOf(i, base, func(f figure) float64 { return f.rps })
}

func (r *row) ratioOf(i, base int, by func(figure) float64) string {
	var ratios []float64
	for round := range r.figures[i] {
		ratios = append(ratios, by(r.figures[i][round])/by(r.figures[base][round]))
	}
	return fmt.Sprintf("%.2f [%.2f-%.2f]", median(ratios, func(x float64) float64 { return x }), slices.Min(ratios), slices.Max(ratios))
}

func (r *report) markdown(binary string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\nMade by `make bench` (%s): %d alternating rounds, medians, 64-byte values, every process of every\nsystem and the load generator on this one machine, over loopback, one disk. A ratio is taken within a round; only\nratios mean anything, and those to about a tenth.\n\n", time.Now().UTC().Format("2006-01-02"), r.rounds)
	fmt.Fprintf(&b, "- machine: %d cores, %s, %s\n- %s\n- raftredis: %s, WAL fsynced before every acknowledgement\n- redis-benchmark: `-d 64 -r 100000`; all of these keys are there from the start\n",
		runtime.NumCPU(), cpuModel(), firstLine("uname", "-sr"), firstLine("redis-server", "--version"), firstLine(binary, "--version"))
	b.WriteString("- cpu: of all processes of the system for each request; client: what redis-benchmark, which has one thread, took of a\n  CPU. Where that is nearly all of it, the client limits what any server can show.\n")
	if r.note != "" {
		fmt.Fprintf(&b, "- %s\n", r.note)
	}
	for i, row := range r.rows {
		if i == 0 || !slices.Equal(row.systems, r.rows[i-1].systems) {
			fmt.Fprintf(&b, "\n| workload |")
			for j, s := range row.systems {
				fmt.Fprintf(&b, " %s |", s)
				if j > 0 {
					fmt.Fprintf(&b, " to %s |", row.systems[0])
				}
				if j > 1 && row.systems[1] == redisReplica {
					fmt.Fprintf(&b, " to %s |", redisReplica)
				}
				if row.hasBaseline(j) {
					fmt.Fprint(&b, " to the baseline |")
				}
			}
			fmt.Fprintf(&b, "\n|%s\n", strings.Repeat("---|", strings.Count(lastLine(b.String()), "|")-1))
		}
		fmt.Fprintf(&b, "| %s |", row.name)
		for j := range row.systems {
			med := func(by func(figure) float64) float64 { return median(row.figures[j], by) }
			fmt.Fprintf(&b, " %s/s, p50 %.2f, p99 %.2f ms, cpu %.3g us, client %.0f %% |",
				thousands(med(func(f figure) float64 { return f.rps })), med(func(f figure) float64 { return f.p50 }),
				med(func(f figure) float64 { return f.p99 }), med(func(f figure) float64 { return f.cpu }),
				100*med(func(f figure) float64 { return f.client }))
			if j > 0 {
				fmt.Fprintf(&b, " **%s** |", row.ratio(j, 0))
			}
			if j > 1 && row.systems[1] == redisReplica {
				fmt.Fprintf(&b, " **%s** |", row.ratio(j, 1))
			}
			if row.hasBaseline(j) {
				fmt.Fprintf(&b, " **%s** |", row.ratio(j, j-1))
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString(r.openLoops())
	if len(r.probes) > 0 {
		b.WriteString("\n## Memory and snapshots\n\nA million keys of 16 bytes with 64-byte values; resident bytes a key after loading and at the most while they are\noverwritten three times over (of the process that takes the load); and a lone writer's p99 and longest SET while nothing\nelse happens and while a snapshot is taken, medians of three. Held up is how long writers stood still for the snapshot\nalone: Redis's fork, our capture of the state (INFO's latest_fork_usec). The longest SET has the syncs of a disk that is\nbusy with the snapshot in it as well.\n\n")
		b.WriteString("| system | bytes a key, loaded | under overwrites | to redis | p99 quiet | p99 in a snapshot | longest quiet | longest in a snapshot | held up |\n|---|---|---|---|---|---|---|---|---|\n")
		for _, p := range r.probes {
			ms := func(s []stall, by func(stall) time.Duration) string {
				return fmt.Sprintf("%.2f ms", median(s, func(x stall) float64 { return by(x).Seconds() * 1000 }))
			}
			p99, longest := func(s stall) time.Duration { return s.p99 }, func(s stall) time.Duration { return s.max }
			held := func(s stall) time.Duration { return s.held }
			fmt.Fprintf(&b, "| %s | %d | %d | **%.2f** | %s | %s | %s | %s | %s |\n", p.system, p.loaded, p.steady,
				float64(p.steady)/float64(r.probes[0].steady), ms(p.quiet, p99), ms(p.busy, p99), ms(p.quiet, longest), ms(p.busy, longest), ms(p.busy, held))
		}
	}
	b.WriteString(r.memoryTable())
	return b.String()
}

// hasBaseline reports whether the system before system i is its baseline.
func (r *row) hasBaseline(i int) bool { return i > 0 && baselines[r.systems[i]] == r.systems[i-1] }

// openLoops is the table of what runs at a fixed rate.
func (r *report) openLoops() string {
	if len(r.open) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n## At a fixed rate\n\nSETs at the times of a Poisson process over %d connections, whether the ones before are answered or not; milliseconds from when\n"+
		"each was due, the first %v left out; late is how long after its time the generator sent one (median). A ratio below one is\nthe better here.\n\n| rate |", openConns, openWarmup)
	for j, s := range r.open[0].systems {
		fmt.Fprintf(&b, " %s |", s)
		if j > 0 {
			fmt.Fprintf(&b, " p50, p99 to %s |", r.open[0].systems[0])
		}
		if r.open[0].hasBaseline(j) {
			b.WriteString(" p50, p99 to the baseline |")
		}
	}
	fmt.Fprintf(&b, "\n|%s\n", strings.Repeat("---|", strings.Count(lastLine(b.String()), "|")-1))
	p50, p99 := func(f figure) float64 { return f.p50 }, func(f figure) float64 { return f.p99 }
	for _, row := range r.open {
		fmt.Fprintf(&b, "| %s |", row.name)
		for j := range row.systems {
			med := func(by func(figure) float64) float64 { return median(row.figures[j], by) }
			fmt.Fprintf(&b, " p50 %.2f, p99 %.2f, late %.2f, cpu %.3g us |", med(p50), med(p99), med(func(f figure) float64 { return f.late }), med(func(f figure) float64 { return f.cpu }))
			against := func(base int) {
				fmt.Fprintf(&b, " **%s**, **%s** |", row.ratioOf(j, base, p50), row.ratioOf(j, base, p99))
			}
			if j > 0 {
				against(0)
			}
			if row.hasBaseline(j) {
				against(j - 1)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

func thousands(f float64) string {
	if f >= 10_000 {
		return fmt.Sprintf("%.0fk", f/1000)
	}
	return fmt.Sprintf("%.1fk", f/1000)
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
