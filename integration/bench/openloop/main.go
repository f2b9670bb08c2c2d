//go:build linux

// Command openloop sends SETs at a fixed rate, whether they are answered or not, and
// prints how long each took from when it was due. Arrivals are a Poisson process over
// many connections: what many clients that know nothing of each other look like.
//
// A closed loop (redis-benchmark) sends the next request when the one before is
// answered, and so flatters a server that makes clients wait for each other. Here a
// server that falls behind is seen to: what it delays is counted for everyone that was
// due meanwhile.
//
//	go run ./integration/bench/openloop -addr 127.0.0.1:6379 -rate 5000
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	var l load
	flag.StringVar(&l.addr, "addr", "127.0.0.1:6379", "`address` of the server")
	flag.IntVar(&l.conns, "conns", 50, "`connections`, each request on one of them at random")
	flag.Float64Var(&l.rate, "rate", 1000, "SETs a second")
	flag.DurationVar(&l.length, "length", 4*time.Second, "how long to send")
	flag.DurationVar(&l.warmup, "warmup", 500*time.Millisecond, "of that, at the beginning, what is not measured")
	flag.IntVar(&l.keys, "keys", 100_000, "`keys` to draw from")
	flag.IntVar(&l.size, "size", 64, "`bytes` of a value")
	flag.Uint64Var(&l.seed, "seed", 1, "of the times and keys")
	flag.Parse()
	r, err := l.run()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "openloop:", err)
		os.Exit(1)
	}
}

// load is what to do to a server.
type load struct {
	addr           string
	conns, keys    int
	rate           float64
	length, warmup time.Duration
	size           int
	seed           uint64
}

// result is what came of it, in milliseconds.
type result struct {
	Requests int     `json:"requests"` // that were measured
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
	P999     float64 `json:"p999"`
	Max      float64 `json:"max"`
	// Late is the median of how long after its time a request was sent: the
	// generator's own share of all of the above.
	Late float64 `json:"late"`
}

// client is one connection. Replies come in the order of requests.
type client struct {
	conn net.Conn
	mu   sync.Mutex
	due  []time.Duration // of what is not answered yet
	took []time.Duration
	err  error

	closed atomic.Bool // by us, when all is answered or something is wrong
}

// left is how many requests are not answered.
func (c *client) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.due)
}

func (l *load) run() (result, error) {
	clients := make([]*client, l.conns)
	for i := range clients {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			return result{}, err
		}
		clients[i] = &client{conn: conn}
	}
	start := time.Now()
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() { c.err = c.receive(start, l.warmup) })
	}
	late, err := l.send(clients, start)
	// A server may take the end of its input for the end of its client, so everything is
	// answered first.
	for deadline := time.Now().Add(30 * time.Second); err == nil; time.Sleep(time.Millisecond) {
		left := 0
		for _, c := range clients {
			left += c.left()
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			err = fmt.Errorf("%d requests were not answered", left)
		}
	}
	var took []time.Duration
	for _, c := range clients {
		c.closed.Store(true)
		err = errors.Join(err, c.conn.Close())
	}
	wg.Wait()
	for _, c := range clients {
		err = errors.Join(err, c.err)
		took = append(took, c.took...)
	}
	if err == nil && len(took) == 0 {
		err = errors.New("nothing was measured")
	}
	if err != nil {
		return result{}, err
	}
	slices.Sort(took)
	slices.Sort(late)
	at := func(all []time.Duration, share float64) float64 {
		return all[min(int(share*float64(len(all))), len(all)-1)].Seconds() * 1000
	}
	return result{len(took), at(took, 0.5), at(took, 0.99), at(took, 0.999), at(took, 1), at(late, 0.5)}, nil
}

// send sends each request when it is due, and says how late it was.
func (l *load) send(clients []*client, start time.Time) (late []time.Duration, err error) {
	// Go's own sleep is rounded to a millisecond while all else is idle, and the
	// kernel adds its slack to that of a thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, 1, 0); errno != 0 {
		return nil, fmt.Errorf("set the timer slack: %w", errno)
	}
	rng := rand.New(rand.NewPCG(l.seed, l.seed))
	value := strings.Repeat("x", l.size)
	var due time.Duration
	for {
		due += time.Duration(rng.ExpFloat64() / l.rate * float64(time.Second))
		if due > l.length {
			return late, nil
		}
		for left := due - time.Since(start); left > 0; left = due - time.Since(start) {
			ts := syscall.NsecToTimespec(int64(left))
			if err := syscall.Nanosleep(&ts, nil); err != nil && !errors.Is(err, syscall.EINTR) {
				return nil, fmt.Errorf("sleep: %w", err)
			}
		}
		if due >= l.warmup {
			late = append(late, time.Since(start)-due)
		}
		c := clients[rng.IntN(len(clients))]
		c.mu.Lock()
		c.due = append(c.due, due)
		c.mu.Unlock()
		if _, err := fmt.Fprintf(c.conn, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%s\r\n", rng.IntN(l.keys), l.size, value); err != nil {
			return nil, err
		}
	}
}

// receive takes replies until the server has answered everything.
func (c *client) receive(start time.Time, warmup time.Duration) error {
	r := bufio.NewReaderSize(c.conn, 4<<10)
	for {
		line, err := r.ReadString('\n')
		if c.closed.Load() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("wait for replies: %w", err)
		}
		now := time.Since(start)
		if line != "+OK\r\n" {
			return fmt.Errorf("SET was answered %q", line)
		}
		c.mu.Lock()
		due := c.due[0]
		c.due = c.due[1:]
		c.mu.Unlock()
		if due >= warmup {
			c.took = append(c.took, now-due)
		}
	}
}
