package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/raftredis/raftredis/integration/cluster"
)

const (
	clientTimeout = 8 * time.Second // above the server's --proposal-timeout, so that its answer counts
	registerKeys  = 12              // in use at one time
	opsPerKey     = 120             // then the key is given up for a new one
	expirySlack   = 150 * time.Millisecond
	checkTimeout  = 60 * time.Second
)

// config says how to torture.
type config struct {
	seed     uint64
	duration time.Duration
	nodes    int
	binary   string
	dir      string // for the nodes, their logs and failed histories
	out      io.Writer
	skew     time.Duration // clocks of the nodes differ by up to this
	older    string        // if not "": a program of an earlier release, which nodes run now and then
	rounds   int           // if not 0: so many rounds of "kill the leader" and nothing else
}

// torture is one run.
type torture struct {
	config
	c     *cluster.Cluster
	began time.Time
	stop  chan struct{}
	wg    sync.WaitGroup

	mu        sync.Mutex
	failures  []string
	live      []*history // by slot
	histories []*history
	failovers []time.Duration
	faults    map[string]int
	alive     []*cluster.Node // members, whether they run or not

	outcomes [4]atomic.Int64
	next     atomic.Int64
	clockEra atomic.Int64 // grows whenever every estimate of the leader's clock was lost
	clueless atomic.Int64 // nodes that have started and have no estimate yet
	keys     int
	upgraded bool // all nodes run the newer program for good

	lists  deliveries
	ledger ledger
	locks  locks
	told   atomic.Int64 // what caches were told
}

func (t *torture) now() time.Duration { return time.Since(t.began) }

func (t *torture) stopped() bool {
	select {
	case <-t.stop:
		return true
	default:
		return false
	}
}

func (t *torture) count(o outcome) { t.outcomes[o].Add(1) }

func (t *torture) log(format string, args ...any) {
	fmt.Fprintf(t.out, "%8.3fs  %s\n", t.now().Seconds(), fmt.Sprintf(format, args...))
}

// fail notes a broken promise. The run goes on: more of them help to find it.
func (t *torture) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.mu.Lock()
	t.failures = append(t.failures, fmt.Sprintf("%8.3fs  %s", t.now().Seconds(), text))
	first := len(t.failures) <= 20
	t.mu.Unlock()
	if first {
		t.log("BROKEN  %s", text)
	}
}

// nodes returns the members.
func (t *torture) nodes() []*cluster.Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.alive)
}

// key returns the history of a register slot, a fresh key if the last one has
// seen enough.
func (t *torture) key(slot int) *history {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.live[slot]
	if h != nil {
		h.mu.Lock()
		full := len(h.ops) >= opsPerKey
		h.mu.Unlock()
		if !full {
			return h
		}
	}
	t.keys++
	h = &history{key: fmt.Sprintf("%c%d", "rcal"[slot%4], t.keys)}
	t.live[slot] = h
	t.histories = append(t.histories, h)
	return h
}

// run tortures a cluster and returns what it found wrong.
func run(ctx context.Context, cfg config) error {
	t := &torture{config: cfg, began: time.Now(), stop: make(chan struct{}), live: make([]*history, registerKeys), faults: map[string]int{},
		lists:  deliveries{pushed: map[string]bool{}, taken: map[string]int{}},
		ledger: ledger{done: map[string]int64{}, begun: map[string]int64{}}}
	rng := rand.New(rand.NewPCG(cfg.seed, 0))
	t.log("seed %d, %d nodes, %v", cfg.seed, cfg.nodes, cfg.duration)

	var err error
	// A few kilobytes of log force a snapshot all the time.
	t.c, err = cluster.New(cfg.binary, cfg.dir, cfg.nodes, "--snapshot-bytes", "65536", "--snapshot-catch-up-bytes", "16384")
	if err != nil {
		return err
	}
	defer t.c.Close()
	t.alive = slices.Clone(t.c.Nodes)
	for _, n := range t.c.Nodes {
		if cfg.skew > 0 {
			n.Args = []string{"--clock-offset", (time.Duration(rng.Int64N(int64(2*cfg.skew))) - cfg.skew).String()}
		}
		n.Binary = cfg.older // "": the newer one
	}
	if err := t.c.Start(); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	if err := t.c.WaitReady(ready); err != nil {
		return fmt.Errorf("the cluster does not start: %w", err)
	}

	for i := range 26 {
		w := &worker{id: i, t: t, rng: rand.New(rand.NewPCG(cfg.seed, uint64(i+1)))}
		work := []func(){w.registers, w.registers, w.registers, w.pipelines, w.monotonic, w.monotonic, w.expiring,
			w.takes, w.takes, w.pushes, w.caches, w.repeats, w.holds}[i%13]
		t.wg.Add(1)
		go func() {
			defer t.wg.Done()
			work()
		}()
	}
	broken := t.misbehave(ctx, rng)
	if cfg.older != "" && broken == nil {
		broken = t.finishUpgrade()
	}
	close(t.stop)
	t.wg.Wait()
	if broken != nil {
		t.fail("%v", broken)
	}
	t.log("healing, and waiting until all nodes agree")
	if digest, err := t.heal(ctx); err != nil {
		t.fail("the nodes do not agree after healing: %v", err)
	} else {
		t.log("all nodes at %s", digest)
	}
	t.checkLists()
	t.checkOnce()
	t.log("locks: granted %d times, %d writes came too late and were refused", t.locks.granted, t.locks.stale)
	t.checkHistories()
	return t.summary()
}

// heal undoes every fault, starts every node and compares digests.
func (t *torture) heal(ctx context.Context) (string, error) {
	t.c.Net.Heal()
	for _, n := range t.nodes() {
		n.Resume()
		if err := n.Start(t.hold(n)...); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for _, n := range t.nodes() {
		if err := n.WaitReady(ctx); err != nil {
			return "", fmt.Errorf("node %d: %w", n.ID, err)
		}
	}
	return cluster.Digests(ctx, t.nodes())
}

func (t *torture) checkHistories() {
	t.log("checking %d histories", len(t.histories))
	undecided := 0
	for _, h := range t.histories {
		result, info := h.check(checkTimeout)
		switch result {
		case porcupine.Unknown:
			undecided++
		case porcupine.Illegal:
			file := filepath.Join(t.dir, fmt.Sprintf("history-seed%d-%s.html", t.seed, h.key))
			if err := porcupine.VisualizePath(model, info, file); err != nil {
				t.log("cannot draw %s: %v", h.key, err)
			}
			t.fail("the history of %s is not linearizable, see %s", h.key, file)
		}
	}
	if undecided > 0 {
		t.log("%d histories took longer than %v to check and say nothing", undecided, checkTimeout)
	}
}

// summary prints what was done and found.
func (t *torture) summary() error {
	ops := 0
	for _, h := range t.histories {
		ops += len(h.ops)
	}
	t.log("%d operations applied, %d certainly not, %d unknown; %d in %d histories checked", t.outcomes[applied].Load(),
		t.outcomes[notApplied].Load(), t.outcomes[unknown].Load(), ops, len(t.histories))
	t.log("caches: told of changes %d times", t.told.Load())
	var names []string
	for name, n := range t.faults {
		names = append(names, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(names)
	t.log("faults: %s", strings.Join(names, ", "))
	if n := len(t.failovers); n > 0 {
		slices.Sort(t.failovers)
		t.log("writes possible again after the leader's kill, %d times: median %v, 90%% %v, longest %v", n,
			t.failovers[n/2].Round(time.Millisecond), t.failovers[n*9/10].Round(time.Millisecond), t.failovers[n-1].Round(time.Millisecond))
	}
	if len(t.failures) == 0 {
		return nil
	}
	report := filepath.Join(t.dir, fmt.Sprintf("failures-seed%d.txt", t.seed))
	if err := os.WriteFile(report, []byte(strings.Join(t.failures, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return fmt.Errorf("%d promises broken with seed %d, see %s; the first: %s", len(t.failures), t.seed, report, t.failures[0])
}
