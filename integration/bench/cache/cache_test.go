package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// TestTraces: they are what the report says, and the same each time.
func TestTraces(t *testing.T) {
	const footprint, n = 1000, 20_000
	again := traces(footprint, n)
	for i, tr := range traces(footprint, n) {
		asked := make([]int, footprint)
		for j, k := range tr.keys {
			if asked[k]++; again[i].keys[j] != k {
				t.Fatalf("%s: request %d is another one the second time", tr.name, j)
			}
		}
		for k, times := range asked {
			if int(tr.deadline[k]) != 60+times {
				t.Errorf("%s: key %d is asked for %d times and has a deadline of %d min", tr.name, k, times, tr.deadline[k])
			}
		}
		if distinct := footprint - count(asked, 0); len(tr.keys) != n || distinct < footprint*6/10 {
			t.Errorf("%s: %d requests for %d of %d keys", tr.name, len(tr.keys), distinct, footprint)
		}
	}
}

func count(all []int, what int) (n int) {
	for _, v := range all {
		if v == what {
			n++
		}
	}
	return n
}

func TestSpliced(t *testing.T) {
	const text = "table\n"
	once := spliced("# Benchmarks\n\nothers\n", text)
	if want := "# Benchmarks\n\nothers\n\n" + begin + text + end; once != want {
		t.Errorf("%q, not %q", once, want)
	}
	if got := spliced(once+"more\n", "other\n"); got != strings.Replace(once, text, "other\n", 1)+"more\n" {
		t.Errorf("the second time it is %q", got)
	}
}

// TestReplay: a small cache in front of a real node keeps about as many keys as it is
// told to, and better ones than chance would.
func TestReplay(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("INTEGRATION_CI") != "" {
			t.Fatal(err)
		}
		t.Skip("there is no redis-server")
	}
	dir := t.TempDir()
	binary, err := cluster.Build(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	p, err := startPair(dir, binary)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	const footprint, fit = 10_000, 2500
	tr := traces(footprint, 5*footprint)[0]
	for _, policy := range []string{"allkeys-lru", lhd} {
		out, err := replay(p.ours, run{trace: &tr, policy: policy, fit: fit, stay: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if out.keys < fit*9/10 || out.keys > fit*11/10 || out.hits < 0.5 || out.refused > 0 {
			t.Errorf("%s: %.1f %% of hits with %.0f keys, %d refused", policy, 100*out.hits, out.keys, out.refused)
		}
	}
}
