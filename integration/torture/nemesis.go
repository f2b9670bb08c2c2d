package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// fault does something bad and returns how to undo it (nil: heal by itself).
type fault struct {
	name   string
	weight int
	strike func(t *torture, rng *rand.Rand) (undo func(), err error)
}

// faults is everything that can happen. Names are the report's.
func faults() []fault {
	return []fault{
		{"kill leader", 6, killLeader},
		{"kill one", 3, func(t *torture, rng *rand.Rand) (func(), error) { return t.kill(pick(rng, t.nodes())), nil }},
		{"kill majority", 1, killMajority},
		{"kill all", 1, killAll},
		{"pause leader", 3, pauseLeader},
		{"pause one", 2, func(t *torture, rng *rand.Rand) (func(), error) {
			n := pick(rng, t.nodes())
			n.Pause()
			return n.Resume, nil
		}},
		{"isolate leader", 3, isolateLeader},
		{"split", 2, split},
		{"ring", 1, ring},
		{"one way", 2, oneWay},
		{"flapping", 1, flapping},
		{"slow links", 1, slowLinks},
		{"transfer", 4, transfer},
		{"island", 1, island},
		{"churn", 2, churn},
		{"restart gracefully", 2, restart},
		{"snapshots in a row", 2, snapshots},
		{"crash at a failpoint", 3, crash},
		{"disk error", 2, diskError},
		{"lost disk", 3, lostDisk},
	}
}

// misbehave runs faults until the time is over. An error means that the
// cluster did something that it should not have, beyond what clients saw.
func (t *torture) misbehave(ctx context.Context, rng *rand.Rand) error {
	if t.rounds > 0 {
		return t.killRounds(ctx, rng)
	}
	all := faults()
	if t.older != "" {
		all = append(all, fault{"change program", 12, changeProgram})
	}
	total := 0
	for _, f := range all {
		total += f.weight
	}
	for t.now() < t.duration && ctx.Err() == nil {
		if t.older != "" && !t.upgraded && t.now() > t.duration/2 {
			if err := t.finishUpgrade(); err != nil {
				return err
			}
		}
		n := rng.IntN(total)
		i := 0
		for ; n >= all[i].weight; i++ {
			n -= all[i].weight
		}
		if err := t.strike(rng, all[i]); err != nil {
			return fmt.Errorf("%s: %w", all[i].name, err)
		}
		t.pause(ctx, time.Duration(300+rng.IntN(1200))*time.Millisecond)
	}
	return nil
}

func (t *torture) strike(rng *rand.Rand, f fault) error {
	t.mu.Lock()
	t.faults[f.name]++
	t.mu.Unlock()
	t.log("%s (%d operations so far)", f.name, t.outcomes[applied].Load())
	undo, err := f.strike(t, rng)
	if err != nil {
		return err
	}
	if undo != nil {
		t.pause(context.Background(), time.Duration(300+rng.IntN(2500))*time.Millisecond)
		undo()
	}
	return nil
}

// pause lets time pass, which is what a fault is made of.
func (t *torture) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// killRounds kills the leader under load, again and again.
func (t *torture) killRounds(ctx context.Context, rng *rand.Rand) error {
	for round := 1; round <= t.rounds && ctx.Err() == nil; round++ {
		if err := t.strike(rng, fault{name: "kill leader", strike: killLeader}); err != nil {
			return err
		}
		t.pause(ctx, time.Duration(200+rng.IntN(600))*time.Millisecond)
	}
	return nil
}

func pick(rng *rand.Rand, nodes []*cluster.Node) *cluster.Node { return nodes[rng.IntN(len(nodes))] }

func (t *torture) kill(n *cluster.Node) (undo func()) {
	n.Kill()
	return func() { t.start(n) }
}

func (t *torture) start(n *cluster.Node) {
	if err := n.Start(t.hold(n)...); err != nil {
		t.fail("node %d does not start: %v", n.ID, err)
		return
	}
	t.learnsTime(n)
}

// learnsTime keeps account of a node that has just been started. Until it has had a request of
// its own applied it knows the leader's clock from votes alone, and if those come from nodes like
// it, its wall clock is what counts: store/DESIGN.md, Time. So while a majority is like that, nobody
// can say how long a key lives. On a machine that has too much to do a node needs
// seconds, and by then the next fault may have struck another.
func (t *torture) learnsTime(n *cluster.Node) {
	if t.clueless.Add(1) >= t.majority() {
		t.clockEra.Add(1)
	}
	t.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = cluster.Until(ctx, func() error { // a node that never gets there is for others to notice
			err := n.Ready()
			if err != nil && t.stopped() {
				return nil
			}
			return err
		})
		if t.clueless.Add(-1) >= t.majority()-1 {
			t.clockEra.Add(1)
		}
	})
}

func (t *torture) majority() int64 { return int64(len(t.nodes())/2 + 1) }

// leader waits for one, because most faults want to hit it.
func (t *torture) leader() (*cluster.Node, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var leader *cluster.Node
	err := cluster.Until(ctx, func() error {
		if leader = t.c.Leader(); leader == nil {
			return fmt.Errorf("no node says that it leads")
		}
		return nil
	})
	return leader, err
}

// others are all members but one.
func (t *torture) others(n *cluster.Node) []*cluster.Node {
	var o []*cluster.Node
	for _, m := range t.nodes() {
		if m != n {
			o = append(o, m)
		}
	}
	return o
}

// killLeader also measures how long nobody can write.
func killLeader(t *torture, rng *rand.Rand) (func(), error) {
	leader, err := t.leader()
	if err != nil {
		return nil, err
	}
	leader.Kill()
	killed := time.Now()
	written := make(chan bool, 1)
	deadline := killed.Add(30 * time.Second)
	others := t.others(leader)
	for i, n := range others {
		go func() {
			for time.Now().Before(deadline) {
				reply, err := cluster.Ask(n.Addr, "SET", "probe:"+strconv.Itoa(i), "x")
				if err == nil && reply == "OK" {
					select {
					case written <- true:
					default:
					}
					return
				}
				time.Sleep(5 * time.Millisecond) // a client's pause before it tries again
			}
		}()
	}
	select {
	case <-written:
		took := time.Since(killed)
		t.log("node %d killed, writes again after %v", leader.ID, took.Round(time.Millisecond))
		t.mu.Lock()
		t.failovers = append(t.failovers, took)
		t.mu.Unlock()
	case <-time.After(30 * time.Second):
		t.fail("no write for 30 s after node %d was killed", leader.ID)
	}
	return func() { t.start(leader) }, nil
}

func killMajority(t *torture, rng *rand.Rand) (func(), error) {
	nodes := t.nodes()
	rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return t.killMany(nodes[:len(nodes)/2+1]), nil
}

func killAll(t *torture, _ *rand.Rand) (func(), error) { return t.killMany(t.nodes()), nil }

// killMany kills more nodes than may be missed, and returns what starts them again.
func (t *torture) killMany(nodes []*cluster.Node) (restart func()) {
	// What survives may lose the next election to a node that has just started and
	// has nothing but its own, skewed clock.
	t.clockEra.Add(1)
	for _, n := range nodes {
		n.Kill()
	}
	return func() {
		for _, n := range nodes {
			t.start(n)
		}
		t.clockEra.Add(1)
	}
}

func pauseLeader(t *torture, rng *rand.Rand) (func(), error) {
	leader, err := t.leader()
	if err != nil {
		return nil, err
	}
	leader.Pause()
	return leader.Resume, nil
}

// part cuts both directions between two groups.
func (t *torture) part(a, b []*cluster.Node) {
	for _, x := range a {
		for _, y := range b {
			t.c.Net.Cut(x.ID, y.ID)
			t.c.Net.Cut(y.ID, x.ID)
		}
	}
}

func isolateLeader(t *torture, rng *rand.Rand) (func(), error) {
	leader, err := t.leader()
	if err != nil {
		return nil, err
	}
	t.part([]*cluster.Node{leader}, t.others(leader))
	return t.c.Net.Heal, nil
}

func split(t *torture, rng *rand.Rand) (func(), error) {
	nodes := t.nodes()
	rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	t.part(nodes[:len(nodes)/2], nodes[len(nodes)/2:])
	return t.c.Net.Heal, nil
}

// ring lets every node hear only its neighbours: in a cluster of five
// everybody has a majority, and each another one. In one of three it cuts a
// single link.
func ring(t *torture, rng *rand.Rand) (func(), error) {
	nodes := t.nodes()
	for i, n := range nodes {
		for j, m := range nodes {
			if d := (j - i + len(nodes)) % len(nodes); d > 1 && d < len(nodes)-1 || len(nodes) == 3 && i+j == 1 {
				t.part([]*cluster.Node{n}, []*cluster.Node{m})
			}
		}
	}
	return t.c.Net.Heal, nil
}

func oneWay(t *torture, rng *rand.Rand) (func(), error) {
	n := pick(rng, t.nodes())
	deaf := rng.IntN(2) == 0
	for _, m := range t.others(n) {
		if deaf {
			t.c.Net.Cut(m.ID, n.ID)
		} else {
			t.c.Net.Cut(n.ID, m.ID)
		}
	}
	return t.c.Net.Heal, nil
}

func flapping(t *torture, rng *rand.Rand) (func(), error) {
	n := pick(rng, t.nodes())
	for range 10 {
		t.part([]*cluster.Node{n}, t.others(n))
		t.pause(context.Background(), time.Duration(rng.IntN(250))*time.Millisecond)
		t.c.Net.Heal()
		t.pause(context.Background(), time.Duration(rng.IntN(250))*time.Millisecond)
	}
	return nil, nil
}

func slowLinks(t *torture, rng *rand.Rand) (func(), error) {
	for _, n := range t.nodes() {
		for _, m := range t.others(n) {
			t.c.Net.Slow(n.ID, m.ID, time.Duration(rng.IntN(40))*time.Millisecond)
		}
	}
	return t.c.Net.Heal, nil
}

func transfer(t *torture, rng *rand.Rand) (func(), error) {
	for range 3 {
		leader, err := t.leader()
		if err != nil {
			return nil, err
		}
		// It may fail for good reasons; what counts is what clients see.
		cluster.Ask(leader.Addr, "RAFT", "TRANSFER", strconv.FormatUint(pick(rng, t.others(leader)).ID, 10))
		t.pause(context.Background(), time.Second)
	}
	return nil, nil
}

// island isolates the leader and tells it to remove everybody else. Nothing of
// that may ever take effect (peers.md calls it Jepsen's issue 17).
func island(t *torture, rng *rand.Rand) (func(), error) {
	leader, err := t.leader()
	if err != nil {
		return nil, err
	}
	others := t.others(leader)
	t.part([]*cluster.Node{leader}, others)
	for _, n := range others {
		if reply, err := cluster.Ask(leader.Addr, "RAFT", "REMOVE", strconv.FormatUint(n.ID, 10)); err == nil {
			return nil, fmt.Errorf("the isolated leader %d removed %d: %v", leader.ID, n.ID, reply)
		}
	}
	return t.c.Net.Heal, nil
}

func restart(t *torture, rng *rand.Rand) (func(), error) {
	n := pick(rng, t.nodes())
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		return nil, err
	}
	return func() { t.start(n) }, nil
}

func snapshots(t *torture, rng *rand.Rand) (func(), error) {
	for range 4 {
		cluster.Ask(pick(rng, t.nodes()).Addr, "RAFT", "SNAPSHOT")
	}
	return nil, nil
}

// churn adds a member, and then removes one, which may be the leader.
func churn(t *torture, rng *rand.Rand) (func(), error) {
	nodes := t.nodes()
	if len(nodes) >= t.config.nodes+1 {
		return nil, t.removeOne(rng)
	}
	return nil, t.addOne(rng)
}

// addOne adds a member under a new id.
func (t *torture) addOne(rng *rand.Rand) error {
	nodes := t.nodes()
	id := uint64(len(t.c.Nodes) + 1)
	n, err := t.c.Join(id, nodes...) // whoever founded the cluster may be gone
	if err != nil {
		return err
	}
	if t.skew > 0 {
		n.Args = []string{"--clock-offset", (time.Duration(rng.Int64N(int64(2*t.skew))) - t.skew).String()}
	}
	if err := t.until(func() error {
		_, err := cluster.Ask(pick(rng, nodes).Addr, "RAFT", "ADD", strconv.FormatUint(id, 10), n.URL)
		if e, ok := errors.AsType[cluster.Error](err); ok && (e.Code() == "UNKNOWN" || t.member(id)) {
			return nil // it may have been added, and starting it will tell
		}
		return err
	}); err != nil {
		return fmt.Errorf("add %d: %w", id, err)
	}
	t.start(n)
	if err := t.until(func() error {
		_, err := n.Info("raft")
		return err
	}); err != nil {
		return fmt.Errorf("node %d does not come up: %w", id, err)
	}
	t.mu.Lock()
	t.alive = append(t.alive, n)
	t.mu.Unlock()
	t.log("node %d added", id)
	return nil
}

// lostDisk takes a member's data away. It must refuse to start, and its machine comes
// back under a new id.
func lostDisk(t *torture, rng *rand.Rand) (func(), error) {
	victim := pick(rng, t.nodes())
	victim.Kill()
	if err := os.RemoveAll(victim.Dir); err != nil {
		return nil, err
	}
	t.log("node %d lost its disk", victim.ID)
	t.pause(context.Background(), time.Duration(rng.IntN(2000))*time.Millisecond)
	t.start(victim)
	if err := t.turnedAway(victim); err != nil {
		return nil, err
	}
	if err := t.remove(victim, rng); err != nil {
		return nil, err
	}
	return nil, t.addOne(rng)
}

// turnedAway returns once a member without its disk has ended with a refusal. If all
// others that it was started with are gone for good, there is nobody to tell it: then
// it waits for them, and serves nobody.
func (t *torture) turnedAway(victim *cluster.Node) error {
	founder := func(n *cluster.Node) bool { return n.ID <= uint64(t.config.nodes) }
	told := !founder(victim) || slices.ContainsFunc(t.nodes(), func(n *cluster.Node) bool { return n != victim && founder(n) })
	if !told {
		err := t.until(func() error {
			_, err := cluster.Ask(victim.Addr, "GET", "x")
			if e, ok := errors.AsType[cluster.Error](err); ok && e.Code() == "LOADING" && strings.Contains(e.Error(), "not formed yet") {
				return nil
			}
			return fmt.Errorf("node %d without its disk answers %w", victim.ID, err)
		})
		victim.Kill()
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	if err := victim.WaitExit(ctx); err != nil {
		return fmt.Errorf("it was not refused: %w", err)
	}
	if status := victim.ExitCode(); status != 1 {
		return fmt.Errorf("node %d without its disk ends with status %d", victim.ID, status)
	}
	return nil
}

// member reports whether the leader lists id.
func (t *torture) member(id uint64) bool {
	leader := t.c.Leader()
	if leader == nil {
		return false
	}
	reply, err := cluster.Ask(leader.Addr, "RAFT", "NODES")
	if err != nil {
		return false
	}
	members, _ := reply.([]any)
	for _, m := range members {
		fields, _ := m.([]any)
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] == "id" && fmt.Sprint(fields[i+1]) == strconv.FormatUint(id, 10) {
				return true
			}
		}
	}
	return false
}

// failpoints are the boundaries of the persist path, as --failpoint knows them.
var failpoints = []string{
	"walBeforeSave", "walAfterSave", "walBeforeRelease", "purge", "promiseBeforeRename",
	"snapBodyBeforeSync", "snapBodyBeforeRename", "snapBodyBeforeDirSync", "snapBodyAfterDirSync",
	"snapBeforeDescriptor", "snapBeforeDescriptorDirSync", "snapBeforeWALRecord", "snapAfterWALRecord",
}

// crash lets a node die between two steps of persisting.
func crash(t *torture, rng *rand.Rand) (func(), error) { return t.failAt(rng, "") }

// diskError lets a step of persisting fail as on a bad or full disk. The node
// must stop; that it may not acknowledge anything any more is for the histories
// to show.
func diskError(t *torture, rng *rand.Rand) (func(), error) { return t.failAt(rng, ":error") }

func (t *torture) failAt(rng *rand.Rand, how string) (func(), error) {
	n := pick(rng, t.nodes())
	n.Kill()
	name, times := failpoints[rng.IntN(len(failpoints))], 20
	if !strings.HasPrefix(name, "wal") {
		times = 2 // snapshots are rarer than writes
	}
	point := fmt.Sprintf("%s=%d%s", name, 1+rng.IntN(times), how)
	if err := n.Start(append(t.hold(n), "--failpoint", point)...); err != nil {
		return nil, err
	}
	t.learnsTime(n)
	// A point that is not reached in time is a restart like any other.
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	outcome := "reached"
	if n.WaitExit(ctx) != nil {
		outcome = "not reached"
		n.Kill()
	}
	t.log("node %d with %s: %s", n.ID, point, outcome)
	return func() { t.start(n) }, nil
}

func (t *torture) removeOne(rng *rand.Rand) error { return t.remove(pick(rng, t.nodes()), rng) }

func (t *torture) remove(victim *cluster.Node, rng *rand.Rand) error {
	others := t.others(victim)
	err := t.until(func() error {
		_, err := cluster.Ask(pick(rng, others).Addr, "RAFT", "REMOVE", strconv.FormatUint(victim.ID, 10))
		return err
	})
	if err != nil {
		return fmt.Errorf("remove %d: %w", victim.ID, err)
	}
	t.mu.Lock()
	t.alive = others
	t.mu.Unlock()
	victim.Kill()
	t.log("node %d removed", victim.ID)
	return nil
}

func (t *torture) until(try func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	return cluster.Until(ctx, try)
}
