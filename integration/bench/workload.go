package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// The names of the systems, as they stand in the report.
const (
	redisMemory  = "redis, no persistence"
	redisAOF     = "redis, AOF always"
	redisReplica = "redis + 2 replicas, AOF always"
	raft1        = "raftredis, 1 node"
	raft3        = "raftredis, 3 nodes"
	raft3Quorum  = "raftredis, 3 nodes, linearizable"

	baseline1      = "baseline, 1 node"
	baseline3      = "baseline, 3 nodes"
	baselineQuorum = "baseline, 3 nodes, linearizable"
)

// workload is one row of the report: what redis-benchmark is told, and which
// systems it is told to run against. The first system is the baseline.
type workload struct {
	name    string
	args    []string // beyond port, clients, pipeline and number of requests
	clients int
	depth   int // pipeline
	n       int // requests of one run at scale 1: a second or two
	systems []string

	script string // EVALSHA runs it: it is loaded first
	beside beside // what goes on meanwhile
}

// beside starts what goes on while n requests are made of the port. end stops it, or
// waits for it, and says whether it was as it should be.
type beside func(port, n int) (end func() error, err error)

// baselines are what each of our systems is with -baseline.
var baselines = map[string]string{raft1: baseline1, raft3: baseline3, raft3Quorum: baselineQuorum}

// withBaseline puts the baseline of each system in front of it: it runs right before.
func withBaseline(systems []string) []string {
	var all []string
	for _, s := range systems {
		if b, ok := baselines[s]; ok {
			all = append(all, b)
		}
		all = append(all, s)
	}
	return all
}

var reads = []string{redisMemory, raft3}

// workloads are the rows that redis-benchmark measures.
func workloads() []workload {
	all := []string{redisAOF, redisReplica, raft3, raft1}
	typed := []string{redisAOF, redisReplica, raft3}
	set := []string{"-t", "set"}
	get := []string{"-t", "get"}
	tracked := []string{"-t", "get", "--enable-tracking"}
	row := func(name string, args []string, clients, depth, n int, systems []string) workload {
		return workload{name: name, args: args, clients: clients, depth: depth, n: n, systems: systems}
	}
	w := []workload{
		row("GET c50 P1", get, 50, 1, 150_000, reads),
		row("GET c50 P16", get, 50, 16, 1_000_000, reads),
		row("GET c50 P100", get, 50, 100, 2_000_000, reads),
		row("GET c50 P1, CLIENT TRACKING on", tracked, 50, 1, 150_000, reads),
		row("GET c50 P16, CLIENT TRACKING on", tracked, 50, 16, 600_000, reads),
		row("GET linearizable, leader, c50 P1", get, 50, 1, 100_000, []string{redisMemory, raft3Quorum}),
		row("GET linearizable, leader, c50 P16", get, 50, 16, 600_000, []string{redisMemory, raft3Quorum}),
		row("SET c1 P1", set, 1, 1, 4_000, all),
		row("SET c50 P1", set, 50, 1, 60_000, all),
		row("SET c200 P1", set, 200, 1, 80_000, all),
		row("SET c50 P16", set, 50, 16, 320_000, all),
		row("SET through a follower, c50 P1", set, 50, 1, 40_000, []string{redisAOF, raft3 + ", follower"}),
		row("MSET (10 keys) c50 P1", []string{"-t", "mset"}, 50, 1, 30_000, typed),
		row("LRANGE_100 c50 P1", []string{"-t", "lrange_100"}, 50, 1, 40_000, []string{redisMemory, raft3}),
	}
	for _, t := range []string{"lpush", "lpop", "sadd", "hset", "zadd", "zpopmin", "incr"} {
		w = append(w, row(strings.ToUpper(t)+" c50 P16", []string{"-t", t}, 50, 16, 160_000, typed))
	}
	for _, depth := range []int{1, 16} {
		r := row(fmt.Sprintf("EVALSHA (a GET and a SET) c50 P%d", depth), []string{"1", "key:__rand_int__", value}, 50, depth, 40_000*min(depth, 4), all)
		r.script = getAndSet
		w = append(w, r)
	}
	publish := row("PUBLISH c50 P1 to 50 subscribers", []string{"PUBLISH", channel, value}, 50, 1, 20_000, all)
	publish.beside = subscribers
	mixed := row("GET c50 P1 while 10 connections SET", get, 50, 1, 100_000, []string{redisAOF, raft3})
	mixed.beside = writers
	return append(w, publish, mixed)
}

// value is what redis-benchmark's -d 64 would send, for commands that are spelled out.
var value = strings.Repeat("x", 64)

// getAndSet is the script of the rows for EVALSHA.
const getAndSet = `local was = redis.call('get', KEYS[1]) redis.call('set', KEYS[1], ARGV[1]) return was`

// figure is what one run gave.
type figure struct {
	rps      float64
	p50, p99 float64 // ms
	client   float64 // share of a CPU that redis-benchmark itself took: near 1, it is what limits
	n        float64 // requests
	cpu      float64 // us of all of the system's processes for each request
	late     float64 // ms; at a fixed rate, how late the generator was
}

// run lets redis-benchmark run once against the port.
func (w *workload) run(port int, scale float64) (figure, error) {
	n := int(float64(w.n) * scale)
	args := []string{"-p", strconv.Itoa(port), "-c", strconv.Itoa(w.clients), "-P", strconv.Itoa(w.depth),
		"-n", strconv.Itoa(n), "-r", strconv.Itoa(rowKeys), "-d", "64", "--csv"}
	if w.script != "" {
		sha, err := command(port, "SCRIPT", "LOAD", w.script)
		if err != nil {
			return figure{}, err
		}
		args = append(args, "EVALSHA", sha)
	}
	args = append(args, w.args...)
	end := func() error { return nil }
	if w.beside != nil {
		var err error
		if end, err = w.beside(port, n); err != nil {
			return figure{}, err
		}
	}
	var errs bytes.Buffer
	cmd := exec.Command("redis-benchmark", args...)
	cmd.Stderr = &errs
	began := time.Now()
	out, err := cmd.Output()
	elapsed := time.Since(began)
	if err != nil {
		err = fmt.Errorf("redis-benchmark %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	if err := errors.Join(err, end()); err != nil {
		return figure{}, err
	}
	// LRANGE_100 comes with a line for its own LPUSHes; the last line is the test.
	rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil || len(rows) < 2 {
		return figure{}, fmt.Errorf("redis-benchmark printed %q (%w)", out, err)
	}
	last := rows[len(rows)-1]
	f := figure{n: float64(n), client: float64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()) / float64(elapsed)}
	for i, dst := range map[int]*float64{1: &f.rps, 4: &f.p50, 6: &f.p99} {
		if *dst, err = strconv.ParseFloat(last[i], 64); err != nil {
			return figure{}, fmt.Errorf("redis-benchmark printed %q: %w", last, err)
		}
	}
	return f, nil
}
