package raftnode

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

var worldSeed = flag.Uint64("world.seed", uint64(time.Now().UnixNano())%1e9, "seed of the last of TestInProcess's worlds")

// TestInProcess joins everything that a process has but its sockets and files: clients
// speak RESP to connections of three nodes, which are real down to raft's core, over a
// network that loses and delays messages, with disks that forget what was not synced,
// while nodes crash and are cut off, and with clocks that are
// hours apart. What was acknowledged is there, what was not is not, replies are exact
// to the byte, and all nodes have one state at one index.
func TestInProcess(t *testing.T) {
	seen := map[string]int{}
	for _, seed := range []uint64{1, 2, *worldSeed} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := runWorld(t, seed, 1000)
			t.Logf("%d items, %d deliveries broke off; %v; %d states agree", w.items, w.owed, w.outcome, w.agreed)
			for outcome, n := range w.outcome {
				seen[outcome] += n
			}
		})
	}
	for _, outcome := range []string{"applied", "not applied", "unknown", "crossed", "expired", "read", "crash"} {
		if seen[outcome] == 0 && !t.Failed() {
			t.Errorf("nothing was %s: %v", outcome, seen)
		}
	}
}

func TestInProcessIsDeterministic(t *testing.T) {
	var histories []string
	for range 2 {
		t.Run("run", func(t *testing.T) { histories = append(histories, runWorld(t, 42, 500).history.String()) })
	}
	if histories[0] != histories[1] {
		a, b := strings.Split(histories[0], "\n"), strings.Split(histories[1], "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("line %d of %d and %d:\n%s\n%s", i, len(a), len(b), a[i], b[i])
			}
		}
	}
}

// world is a simulated cluster that serves, and its clients.
type world struct {
	*sim
	down    map[uint64]int // node -> rounds until it comes up again
	apart   int            // rounds until the network is whole again
	rude    bool           // any node may crash at any time
	quiet   bool           // nothing is lost any more, and nobody fails
	clients []*simClient

	finals  map[string][]string // key -> what it may be in the end
	items   int                 // pushed to the queue so far
	pushed  map[string]bool     // item -> whether its push was acknowledged
	popped  map[string]uint64   // item -> node at which it was delivered
	owed    int                 // deliveries that may have broken off with their connection
	from    map[string]uint64   // item -> node at which it was pushed
	totals  map[int64]bool      // acknowledged values of the common counter
	total   int64               // the highest of them
	outcome map[string]int      // how often which outcome was seen
	history bytes.Buffer        // all that clients saw
}

const (
	simTick   = 10 * time.Millisecond
	simQueue  = "queue"
	simTotal  = "total"
	simExpiry = 2 * time.Second
	simSlack  = simProposalTimeout + 100*time.Millisecond
)

// runWorld runs a cluster of three under faults, heals it, and checks what is there.
func runWorld(t *testing.T, seed uint64, rounds int) *world {
	cryptotest.SetGlobalRandom(t, seed) // raft's election timeouts
	w := &world{
		down: map[uint64]int{}, finals: map[string][]string{}, outcome: map[string]int{},
		pushed: map[string]bool{}, popped: map[string]uint64{}, from: map[string]uint64{}, totals: map[int64]bool{},
	}
	synctest.Test(t, func(t *testing.T) { w.run(t, seed, rounds) })
	for _, f := range w.failures {
		t.Error(f)
	}
	return w
}

func (w *world) run(t *testing.T, seed uint64, rounds int) {
	rng := rand.New(rand.NewPCG(seed, 2))
	w.sim = stillSim(Config{ElectionTicks: 10, SnapshotBytes: 4 << 10, CatchUpBytes: 1 << 10}, 3, rng)
	w.serves, w.skew = true, time.Hour
	if w.rude = seed%2 == 1; w.rude {
		w.skew = 20 * time.Millisecond
	}
	if *simTrace {
		w.trace = t.Logf
	}
	for _, id := range w.ids() {
		w.start(id)
	}
	defer func() {
		for _, id := range w.ids() {
			w.crash(id)
		}
		for _, c := range w.clients {
			if c.nc != nil {
				_ = c.nc.Close()
			}
		}
	}()
	add := func(name string, act func(*simClient)) {
		for id := uint64(1); id <= 3; id++ {
			w.clients = append(w.clients, &simClient{w: w, name: fmt.Sprint(name, id), node: id, act: act})
		}
	}
	add("writer", (*simClient).write)
	add("pusher", (*simClient).push)
	add("popper", (*simClient).pop)
	add("counter", (*simClient).count)
	add("expirer", (*simClient).expire)
	for range rounds {
		w.round()
		if len(w.failures) > 0 {
			return
		}
	}
	w.heal()
}

// round is one tick of everybody's clock, and what happens in it.
func (w *world) round() {
	if !w.quiet {
		w.faults()
	}
	for _, c := range w.clients {
		switch {
		case c.nc == nil && !c.connect():
		case c.commands == 0 && !w.quiet && w.rng.IntN(3) == 0:
			c.act(c)
		}
		synctest.Wait()
	}
	for range 1 + w.rng.IntN(4) {
		w.exchange()
	}
	time.Sleep(simTick)
	synctest.Wait()
	for _, id := range w.ids() {
		w.nodes[id].tick()
	}
	w.inputs()
	for _, c := range w.clients {
		if c.nc != nil {
			c.look()
		}
	}
}

// faults takes nodes down and up, and cuts them off.
func (w *world) faults() {
	for _, id := range w.ids() {
		if w.nodes[id].core != nil {
			continue
		}
		if w.down[id]--; w.down[id] <= 0 {
			w.start(id)
		}
	}
	if w.apart--; w.apart == 0 {
		clear(w.cut)
	}
	// A majority whose members have all just started has nothing to go by but their own
	// clocks (store/DESIGN.md, Time). Where those are far apart, nodes crash one at a time.
	crash := w.rude || w.settled()
	switch r := w.rng.IntN(250); {
	case r < 2 && crash:
		n := w.nodes[1+w.rng.Uint64N(3)]
		if l := w.leader(); r == 0 && l != nil {
			n = l
		}
		if n.core != nil {
			w.saw("crash")
			w.crash(n.id)
			w.down[n.id] = 10 + w.rng.IntN(60)
		}
	case r < 5 && r > 2 && w.apart <= 0:
		w.apart = 10 + w.rng.IntN(60)
		id := 1 + w.rng.Uint64N(3)
		for _, other := range w.ids() {
			w.cut[[2]uint64{id, other}], w.cut[[2]uint64{other, id}] = true, true
		}
	case r == 5 && crash:
		n := w.nodes[1+w.rng.Uint64N(3)]
		n.disk.fuse = 1 + w.rng.IntN(12) // dies in the middle of writing
	}
}

// settled reports whether all nodes are up and know the leader's clock.
func (w *world) settled() bool {
	for _, id := range w.ids() {
		if n := w.nodes[id]; n.core == nil || n.disk.fuse > 0 || !n.up.store.Ready() {
			return false
		}
	}
	return true
}

// inputs has everybody come to rest.
func (w *world) inputs() {
	for some := true; some; {
		synctest.Wait()
		some = false
		for _, id := range w.ids() {
			if n := w.nodes[id]; n.core != nil {
				some = n.up.inputs() || some
			}
		}
	}
}

// exchange carries the messages that are in flight, but for those that are late or
// lost, and lets disks and stores do some of what they have to.
func (w *world) exchange() {
	w.inputs()
	late := 0
	for n := len(w.net); n > 0; n-- {
		switch r := w.rng.IntN(100); {
		case w.quiet:
			w.deliver(0)
		case r < 3:
			w.drop(late)
		case r < 20:
			late++
		default:
			w.deliver(late)
		}
	}
	for _, id := range w.ids() {
		n := w.nodes[id]
		if w.quiet || w.rng.IntN(5) > 0 {
			n.persist(len(n.queue))
		}
		for (w.quiet || w.rng.IntN(5) > 0) && n.apply() {
		}
		n.finishBody()
	}
	w.inputs()
}

// heal brings everybody up, waits for what is under way, and checks that all nodes
// have what was acknowledged.
func (w *world) heal() {
	w.quiet = true
	clear(w.cut)
	for _, id := range w.ids() {
		n := w.nodes[id]
		n.disk.fuse = 0
		if n.core == nil {
			w.start(id)
		}
	}
	for range 500 { // longer than any timeout: BLPOP's, a request's, a member's
		w.round()
	}
	for id := uint64(1); id <= 3; id++ {
		w.checkNode(id)
	}
}

// ask asks a node something on a connection of its own.
func (w *world) ask(id uint64, commands int, request string) (reply string) {
	c := &simClient{w: w, name: "last", node: id}
	if !c.connect() {
		w.failf("%d is not there in the end", id)
		return ""
	}
	c.send(commands, request, func(r string) { reply = r }, nil)
	for i := 0; c.commands > 0 && i < 100; i++ {
		w.round()
		c.look()
	}
	_ = c.nc.Close()
	return reply
}

// checkNode checks what a node has in the end.
func (w *world) checkNode(id uint64) {
	keys := slices.Sorted(maps.Keys(w.finals))
	var request strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&request, "GET %s\r\n", key)
	}
	fmt.Fprintf(&request, "LRANGE %s 0 -1\r\n", simQueue)
	reply := w.ask(id, len(keys)+1, request.String())
	for _, key := range keys {
		got := reply[:replySize([]byte(reply))]
		reply = reply[len(got):]
		if !slices.ContainsFunc(w.finals[key], func(value string) bool { return got == bulkReply(value) || value == "" && got == "$-1\r\n" }) {
			w.failf("%d has %q at %s, want one of %q", id, got, key, w.finals[key])
		}
	}
	left := map[string]bool{}
	for i, line := range strings.Split(reply, "\r\n") {
		if i == 0 || i%2 == 1 || line == "" { // a length
			continue
		}
		if at, gone := w.popped[line]; gone || left[line] {
			w.failf("%d has item %s once more, which was delivered at %d", id, line, at)
		}
		left[line] = true
	}
	missing := 0
	for item, acknowledged := range w.pushed {
		if _, gone := w.popped[item]; acknowledged && !gone && !left[item] {
			missing++
		}
	}
	if missing > w.owed {
		w.failf("%d: %d items are missing, and only %d deliveries broke off", id, missing, w.owed)
	}
}
