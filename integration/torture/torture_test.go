package main

import (
	"flag"
	"io"
	"os"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

var (
	seed     = flag.Uint64("torture.seed", 0, "seed of TestRandomFaults; 0 takes one from the clock")
	duration = flag.Duration("torture.duration", 25*time.Second, "length of each run")
	rounds   = flag.Int("torture.rounds", 8, "rounds of TestKillLeader")
)

// binary is built once for all tests.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "raftredis-torture-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if binary, err = cluster.Build(dir, false); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// testLog prints the run's own log as it comes: a torture that hangs should say
// where.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b[:len(b)-1])
	return len(b), nil
}

var _ io.Writer = testLog{}

func torment(t *testing.T, cfg config) {
	t.Helper()
	dir, err := os.MkdirTemp("", "raftredis-torture-")
	if err != nil {
		t.Fatal(err)
	}
	cfg.binary, cfg.dir, cfg.out = binary, dir, testLog{t}
	if err := run(t.Context(), cfg); err != nil {
		t.Fatalf("%v (data, logs and histories are in %s)", err, dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// TestKillLeader is the first line of the gate list: kill -9 of the leader under
// load, and not one acknowledged write missing or applied twice.
func TestKillLeader(t *testing.T) {
	torment(t, config{seed: 1, nodes: 3, rounds: *rounds, skew: time.Hour})
}

// TestFixedFaults runs the same choices every time.
func TestFixedFaults(t *testing.T) {
	torment(t, config{seed: 7, nodes: 3, duration: *duration, skew: time.Hour})
}

// TestRandomFaults runs others every time, and says which.
func TestRandomFaults(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-torture.seed %d", s)
	torment(t, config{seed: s, nodes: 5, duration: *duration, skew: time.Hour})
}
