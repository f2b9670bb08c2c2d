package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

var (
	lostDiskRounds = flag.Int("lostdisk.rounds", 2, "clusters that lose disks")
	lostDiskSeed   = flag.Uint64("lostdisk.seed", 0, "seed of what they go through; 0 takes one from the clock")
)

// TestLostDisk stops clusters in random order, takes the disks of a minority away, and
// starts all again in random order, with random delays: nothing acknowledged may be
// missing, and who has lost its disk must refuse to start, and say how to come back.
// Then it comes back.
func TestLostDisk(t *testing.T) {
	seed := *lostDiskSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-lostdisk.seed %d", seed)
	var total lostDiskRound
	for i := range *lostDiskRounds {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			r := newLostDiskRound(t, rand.New(rand.NewPCG(seed, uint64(i))))
			r.run()
			total.acked += r.acked
			total.lost += r.lost
		})
	}
	t.Logf("%d rounds: %d writes acknowledged, none lost; %d disks lost, as many refusals; %d digests compared", *lostDiskRounds, total.acked, total.lost, 2**lostDiskRounds)
}

type lostDiskRound struct {
	*nodes
	rng    *rand.Rand
	wrote  map[string]string
	nextID uint64
	acked  int
	lost   int
}

func newLostDiskRound(t *testing.T, rng *rand.Rand) *lostDiskRound {
	size := 3 + 2*rng.IntN(2)
	return &lostDiskRound{nodes: prepare(t, size), rng: rng, wrote: map[string]string{}, nextID: uint64(size) + 1}
}

func (r *lostDiskRound) run() {
	r.startInAnyOrder()
	r.ready()
	for range 2 {
		// What is written last is on a bare majority.
		r.write(10)
		minority := r.minority()
		for _, n := range minority {
			r.end(n)
		}
		r.write(10)
		rest := slices.DeleteFunc(slices.Clone(r.Nodes), func(n *cluster.Node) bool { return slices.Contains(minority, n) })
		r.rng.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		for _, n := range rest {
			r.end(n)
		}
		victims := r.minority()
		for _, n := range victims {
			if err := os.RemoveAll(n.Dir); err != nil {
				r.t.Fatal(err)
			}
		}
		r.startInAnyOrder()
		for _, n := range victims {
			r.refused(n)
		}
		r.Nodes = slices.DeleteFunc(r.Nodes, func(n *cluster.Node) bool { return slices.Contains(victims, n) })
		r.check()
		for _, n := range victims {
			r.comeBack(n)
		}
		r.check()
	}
}

// minority picks some nodes, less than half of them and at least one.
func (r *lostDiskRound) minority() []*cluster.Node {
	all := slices.Clone(r.Nodes)
	r.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:1+r.rng.IntN((len(all)-1)/2)]
}

func (r *lostDiskRound) end(n *cluster.Node) {
	if r.rng.IntN(2) == 0 {
		n.Kill()
	} else {
		r.stop(n)
	}
}

func (r *lostDiskRound) startInAnyOrder() {
	for _, i := range r.rng.Perm(len(r.Nodes)) {
		if err := r.Nodes[i].Start(); err != nil {
			r.t.Fatal(err)
		}
		time.Sleep(time.Duration(r.rng.IntN(800)) * time.Millisecond) // pace: the delay is what is tested
	}
}

// write writes through any node that runs, until n writes are acknowledged.
func (r *lostDiskRound) write(n int) {
	r.t.Helper()
	for range n {
		key, value := fmt.Sprintf("k%d", r.rng.IntN(40)), strconv.Itoa(r.acked)
		eventually(r.t, "a write", func() error {
			node := r.Nodes[r.rng.IntN(len(r.Nodes))]
			if !node.Running() {
				return errors.New("it is down")
			}
			_, err := ask(node.Addr, "SET", key, value)
			return err
		})
		r.wrote[key] = value
		r.acked++
	}
}

// refused waits until a node without its disk has given up.
func (r *lostDiskRound) refused(n *cluster.Node) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.WaitExit(ctx); err != nil {
		r.t.Fatalf("it has lost its disk and is not refused: %v", err)
	}
	want := fmt.Sprintf("RAFT REMOVE %d", n.ID)
	if last := tail(n.LogFile(), 1); n.ExitCode() != 1 || !strings.Contains(last, want) || !strings.Contains(last, "--join") {
		r.t.Fatalf("status %d, nothing about %q in: %s", n.ExitCode(), want, last)
	}
	r.lost++
}

// comeBack does what the refusal says.
func (r *lostDiskRound) comeBack(n *cluster.Node) {
	r.t.Helper()
	eventually(r.t, "the removal", func() error {
		_, err := ask(r.leader().Addr, "RAFT", "REMOVE", strconv.FormatUint(n.ID, 10))
		return err
	})
	again, err := r.Join(r.nextID)
	if err != nil {
		r.t.Fatal(err)
	}
	r.nextID++
	r.startAll()
	eventually(r.t, "its vote", func() error { return votes(r.leader(), strconv.FormatUint(again.ID, 10)) })
}

// check compares all that run, and what they have with what was acknowledged.
func (r *lostDiskRound) check() {
	r.t.Helper()
	r.ready()
	r.sameDigests()
	for _, n := range r.Nodes {
		c := connect(r.t, n.Addr)
		for key, value := range r.wrote {
			if got := must(r.t, c, "GET", key); got.Str != value {
				r.t.Errorf("node %d has %q for %s, and %q was acknowledged", n.ID, got.Str, key, value)
			}
		}
	}
}

// TestFormation: until all are there, clients and /readyz are told who is missing.
func TestFormation(t *testing.T) {
	c := prepare(t, 3)
	debug := freePort(t)
	c.Nodes[0].Args = []string{"--http", debug}
	for _, n := range c.Nodes[:2] {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
	want := "waiting for member 3 at " + c.Nodes[2].URL
	for _, n := range c.Nodes[:2] {
		eventually(t, "the reason", func() error {
			_, err := ask(n.Addr, "GET", "a")
			if err == nil || !strings.HasPrefix(err.Error(), "LOADING ") || !strings.Contains(err.Error(), want) {
				return fmt.Errorf("GET answers %w", err)
			}
			return nil
		})
	}
	info, err := c.Nodes[0].Info("everything")
	if err != nil || info["loading"] != "1" || info["raft_role"] != "forming" {
		t.Errorf("INFO: %v, loading %q, raft_role %q", err, info["loading"], info["raft_role"])
	}
	r, err := http.Get("http://127.0.0.1:" + debug + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), want) {
		t.Errorf("/readyz answers %s, %v: %s", r.Status, err, body)
	}
	eventually(t, "the log", func() error {
		if log, err := os.ReadFile(c.Nodes[1].LogFile()); err != nil || !strings.Contains(string(log), want) {
			return fmt.Errorf("nothing about it in the log: %w", err)
		}
		return nil
	})
	c.stop(c.Nodes[1]) // waiting is no reason not to stop
	c.startAll()
	must(t, connect(t, c.Nodes[1].Addr), "SET", "a", "1")
	c.sameDigests()
}

// TestNewClusterOfASurvivor: the way back from a lost majority.
func TestNewClusterOfASurvivor(t *testing.T) {
	c := start(t, 3)
	for i, n := range c.Nodes {
		must(t, connect(t, n.Addr), "SET", fmt.Sprint("k", i), "v")
	}
	c.sameDigests()
	for _, n := range c.Nodes {
		c.stop(n)
	}
	last := c.Nodes[2]
	p := run(t, t.TempDir(), "--dir", last.Dir, "--force-new-cluster")
	p.wait(0)
	report := tail(p.log, 10)
	for _, want := range []string{"is now cluster", "member 3 alone", "Member 1", "Member 2", "keeps the data up to log index"} {
		if !strings.Contains(report, want) {
			t.Errorf("nothing about %q in:\n%s", want, report)
		}
	}
	if err := last.Start(); err != nil { // with the old list, as its unit file has it
		t.Fatal(err)
	}
	eventually(t, "a leader", func() error {
		_, err := ask(last.Addr, "SET", "again", "v")
		return err
	})
	for i := range c.Nodes {
		if got := must(t, connect(t, last.Addr), "GET", fmt.Sprint("k", i)); got.Str != "v" {
			t.Errorf("k%d is %s", i, got)
		}
	}
	// The others are of the old cluster still, and cannot disturb it.
	if err := c.Nodes[0].Start(); err != nil {
		t.Fatal(err)
	}
	must(t, connect(t, last.Addr), "SET", "again", "w")
	info, err := last.Info("raft")
	if err != nil || info["raft_voters"] != "1" {
		t.Errorf("%v: %q voters", err, info["raft_voters"])
	}
}

// TestUpdate: a member moves, and no alias of one is taken for another.
func TestUpdate(t *testing.T) {
	c := start(t, 3)
	conn := connect(t, c.leader().Addr)
	for url, want := range map[string]string{
		strings.Replace(c.Nodes[0].URL, "127.0.0.1", "localhost", 1): "is the same place as",
		strings.Replace(c.Nodes[0].URL, "http", "https", 1):          "is the same place as",
		"https://10.0.0.9:1":    "must begin with http://",
		"http://0.0.0.0:16379/": "no address that others can reach",
	} {
		if v, err := conn.Do("RAFT", "ADD", "9", url); err != nil || !v.IsError() || !strings.Contains(v.Str, want) {
			t.Errorf("RAFT ADD 9 %s: %s, %v; nothing about %q", url, v, err, want)
		}
	}
	moved := c.follower()
	c.stop(moved)
	addr, err := cluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	must(t, conn, "RAFT", "UPDATE", strconv.FormatUint(moved.ID, 10), "http://"+addr+"/")
	moved.Args = []string{"--peer-listen", addr}
	must(t, conn, "SET", "while", "away")
	if err := moved.Start(); err != nil { // its list has the old URL
		t.Fatal(err)
	}
	c.ready()
	c.sameDigests()
	if got := must(t, connect(t, moved.Addr), "GET", "while"); got.Str != "away" {
		t.Errorf("GET answers %s", got)
	}
	c.stop(moved)
	moved.Args = nil // its data have the new URL now, and its list has the old one
	if err := moved.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the notice", func() error {
		if log, err := os.ReadFile(moved.LogFile()); err != nil || !strings.Contains(string(log), "the list of members is ignored") {
			return fmt.Errorf("there is none: %w", err)
		}
		return nil
	})
	if v, err := conn.Do("RAFT", "UPDATE", "77", "http://127.0.0.1:1"); err != nil || !v.IsError() {
		t.Errorf("RAFT UPDATE of nobody: %s, %v", v, err)
	}
}
