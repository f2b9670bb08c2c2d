package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// openRates are the SETs a second of the table at a fixed rate.
var openRates = []int{1000, 5000, 12_000, 20_000}

const (
	openConns  = 50
	openLength = 3 * time.Second // at scale 1
	openWarmup = 500 * time.Millisecond
)

// openLoops runs the generator at each rate against each system in turn, round after
// round.
func (st *started) openLoops(o options, only *regexp.Regexp, r *report) error {
	systems := []string{redisAOF, raft3}
	if o.baseline != "" {
		systems = withBaseline(systems)
	}
	generator := filepath.Join(st.dir, "openloop")
	for _, rate := range openRates {
		row := row{name: fmt.Sprintf("SET %d/s", rate), systems: systems}
		if !only.MatchString("open loop, " + row.name) {
			continue
		}
		if len(r.open) == 0 {
			if out, err := exec.Command("go", "build", "-o", generator, "github.com/raftredis/raftredis/integration/bench/openloop").CombinedOutput(); err != nil {
				return fmt.Errorf("build the generator: %w: %s", err, out)
			}
		}
		seed := uint64(0) // each run has its own times, the same for every run of this program
		err := st.row(o, &row, func(port int) (figure, error) {
			seed++
			return openLoop(generator, port, rate, o.scale, seed)
		})
		if err != nil {
			return err
		}
		r.open = append(r.open, row)
	}
	return nil
}

// openLoop runs the generator once.
func openLoop(generator string, port, rate int, scale float64, seed uint64) (figure, error) {
	length := openWarmup + time.Duration(float64(openLength)*scale)
	out, err := exec.Command(generator, "-addr", addr(port), "-conns", strconv.Itoa(openConns), "-keys", strconv.Itoa(rowKeys),
		"-rate", strconv.Itoa(rate), "-length", length.String(), "-warmup", openWarmup.String(), "-seed", strconv.FormatUint(seed, 10)).Output()
	if err != nil {
		return figure{}, fmt.Errorf("openloop: %w: %s", err, out)
	}
	var got struct {
		Requests       int
		P50, P99, Late float64
	}
	if err := json.Unmarshal(out, &got); err != nil {
		return figure{}, fmt.Errorf("openloop printed %q: %w", out, err)
	}
	seconds := (length - openWarmup).Seconds()
	return figure{rps: float64(got.Requests) / seconds, p50: got.P50, p99: got.P99, late: got.Late, n: float64(rate) * length.Seconds()}, nil
}
