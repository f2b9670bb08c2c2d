package main

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

const probeKeys = 1_000_000

// fill loads n keys of 16 bytes with values of 64 bytes: those that redis-benchmark
// draws from with -r n.
func fill(port, n int) error {
	const clients = 8
	var wg sync.WaitGroup
	errs := make(chan error, clients)
	for c := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs <- fillPart(port, c*n/clients, (c+1)*n/clients)
		}()
	}
	wg.Wait()
	for range clients {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func fillPart(port, from, to int) error {
	cl, err := cluster.Dial(addr(port))
	if err != nil {
		return err
	}
	defer cl.Close()
	const depth = 500
	value := strings.Repeat("x", 64)
	for i := from; i < to; i += depth {
		n := min(depth, to-i)
		for j := range n {
			cl.Send("SET", fmt.Sprintf("key:%012d", i+j), value)
		}
		if err := cl.Flush(); err != nil {
			return err
		}
		for range n {
			if reply, err := cl.Receive(); err != nil || reply != "OK" {
				return fmt.Errorf("SET answered %v (%w)", reply, err)
			}
		}
	}
	return nil
}

// latencies SETs random keys on one connection until stop is closed and
// returns the time each took, sorted.
func latencies(port int, stop <-chan struct{}) ([]time.Duration, error) {
	cl, err := cluster.Dial(addr(port))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var took []time.Duration
	value := strings.Repeat("y", 64)
	for i := 0; ; i++ {
		select {
		case <-stop:
			sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
			return took, nil
		default:
		}
		begin := time.Now()
		if reply, err := cl.Do("SET", fmt.Sprintf("key:%012d", i*7919%probeKeys), value); err != nil || reply != "OK" {
			return nil, fmt.Errorf("SET answered %v (%w)", reply, err)
		}
		took = append(took, time.Since(begin))
	}
}

// stall is how writers fare beside a snapshot, and without one.
type stall struct {
	p99, max time.Duration
	held     time.Duration // to begin the snapshot
	n        int
}

// during measures a lone writer for as long as work takes.
func during(port int, work func() error) (stall, error) {
	stop := make(chan struct{})
	type result struct {
		took []time.Duration
		err  error
	}
	done := make(chan result, 1)
	go func() {
		took, err := latencies(port, stop)
		done <- result{took, err}
	}()
	err := work()
	close(stop)
	r := <-done
	if err == nil {
		err = r.err
	}
	if err != nil {
		return stall{}, err
	}
	if len(r.took) == 0 {
		return stall{}, errors.New("no write was done meanwhile")
	}
	return stall{p99: r.took[len(r.took)*99/100], max: r.took[len(r.took)-1], n: len(r.took)}, nil
}

// held is how long a system stood still to begin its last snapshot.
func held(port int) (time.Duration, error) {
	info, err := command(port, "INFO", "stats")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(info, "latest_fork_usec:")
	field, _, ok := strings.Cut(rest, "\r")
	usec, err := strconv.Atoi(field)
	if !ok || err != nil {
		return 0, fmt.Errorf("INFO has no latest_fork_usec: %q (%w)", field, err)
	}
	return time.Duration(usec) * time.Microsecond, nil
}

// save asks for a snapshot and waits until it is there.
func save(port int) error {
	before, err := command(port, "LASTSAVE")
	if err != nil {
		return err
	}
	// LASTSAVE has a resolution of a second: step over it, or a quick snapshot
	// would not be seen.
	time.Sleep(1100 * time.Millisecond)
	if _, err := command(port, "BGSAVE"); err != nil {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if now, err := command(port, "LASTSAVE"); err != nil || now != before {
			return err
		}
	}
	return fmt.Errorf("no snapshot after two minutes")
}
