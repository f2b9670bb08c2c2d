package raftnode

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// TestScenarios plays the stories in testdata. Each file is one cluster on a
// simulated network and simulated disks; time stands still unless a line says
// tick. Run with -rewrite to take over new output, and commit only what you can
// explain.
//
//	cluster n=3 [snapshot-bytes=N] [inflight=N] [hold=1]   start it; commits are held back with hold
//	campaign ID                      ID tries to become the leader
//	tick ID [times=N]
//	run rounds=N                     tick everybody and settle, N times
//	settle                           deliver, write and apply until nothing is left
//	deliver [from=ID] [to=ID] [type=T] [drop]     messages now in flight, or lose them
//	persist ID [n=N]                 N pieces of storage work, all by default
//	apply ID                         the store takes what it is offered
//	body ID                          write the snapshot body that waits
//	propose ID data...               one request per word
//	read ID                          ReadIndex; the answer comes when it comes
//	snapshot ID
//	change ID add|promote|remove|update MEMBER
//	add ID                           a node that joins, with an empty disk
//	crash ID... / restart ID...      a crash forgets what was not synced
//	fuse ID steps=N                  die in front of the N-th step of writing
//	cut A B / heal                   both ways
//	refuse                           from now on, who is down refuses connections
//	status                           of everybody
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		cryptotest.SetGlobalRandom(t, 1)
		sc := &scenario{t: t}
		datadriven.RunTest(t, path, sc.run)
	})
}

type scenario struct {
	t *testing.T
	*sim
	out     strings.Builder
	quiet   bool
	pending []func() bool // answers that have not come
	changes uint64
}

func (sc *scenario) run(t *testing.T, d *datadriven.TestData) string {
	sc.out.Reset()
	sc.quiet = false
	arg := func(key string, def int) int {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &def)
		}
		return def
	}
	var words []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			words = append(words, a.Key)
		}
	}
	id := func(i int) uint64 {
		v, err := strconv.ParseUint(words[i], 10, 64)
		if err != nil {
			d.Fatalf(t, "%q is no id", words[i])
		}
		return v
	}
	each := func(fn func(uint64)) {
		for i := range words {
			fn(id(i))
		}
	}
	switch d.Cmd {
	case "cluster":
		sc.start(arg("n", 3), arg("catch-up", 1<<20), arg("inflight", 1), arg("hold", -1))
	case "campaign":
		n := sc.nodes[id(0)]
		n.do(func() {
			if err := n.core.rn.Campaign(); err != nil {
				sc.logf("%v", err)
			}
		})
	case "tick":
		for range arg("times", 1) {
			sc.nodes[id(0)].tick()
		}
	case "run":
		sc.quiet = true
		for range arg("rounds", 1) {
			for _, id := range sc.ids() {
				sc.nodes[id].tick()
			}
			sc.settle()
		}
	case "settle":
		sc.quiet = true
		sc.settle()
	case "deliver":
		sc.deliverMatching(uint64(arg("from", 0)), uint64(arg("to", 0)), d)
	case "persist":
		sc.nodes[id(0)].persist(arg("n", 1000))
	case "apply":
		for sc.nodes[id(0)].apply() {
		}
		sc.logf("%d has applied %d", id(0), sc.nodes[id(0)].state.applied)
	case "body":
		sc.nodes[id(0)].finishBody()
	case "propose":
		n := sc.nodes[id(0)]
		for _, data := range words[1:] {
			p := &commit.Proposal{Data: []byte(data)}
			n.open[data] = p
			n.core.offer(p)
		}
		n.do(func() {})
	case "read":
		n := sc.nodes[id(0)]
		w := newReader()
		n.do(func() { n.core.readIndex(&w.readWaiter) })
		sc.pending = append(sc.pending, func() bool {
			select {
			case i := <-w.indexC:
				sc.logf("%d may read at %d", n.id, i)
				return true
			default:
				return false
			}
		})
	case "snapshot":
		n := sc.nodes[id(0)]
		n.do(func() { n.core.snapshots.wanted = true; n.core.requestSnapshot() })
	case "change":
		sc.change(id(0), words[1], id(2))
	case "add":
		sc.add(id(0))
		sc.sim.start(id(0))
	case "crash":
		each(sc.crash)
	case "restart":
		each(sc.sim.start)
	case "fuse":
		sc.nodes[id(0)].disk.fuse = arg("steps", 1)
	case "cut":
		sc.cut[[2]uint64{id(0), id(1)}] = true
		sc.cut[[2]uint64{id(1), id(0)}] = true
	case "refuse":
		sc.refuse = true
	case "heal":
		clear(sc.cut)
	case "status":
		sc.status()
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
	sc.pending = slices.DeleteFunc(sc.pending, func(came func() bool) bool { return came() })
	if sc.out.Len() == 0 {
		return "ok\n"
	}
	return sc.out.String()
}

func (sc *scenario) start(n, catchUp, inflight, hold int) {
	cfg := Config{ElectionTicks: 10, SnapshotBytes: 1 << 20, CatchUpBytes: uint64(catchUp), MaxInflightEntries: inflight,
		CommitDelay: time.Duration(hold)}
	sc.sim = newSim(cfg, n, nil)
	sc.trace = func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		if sc.quiet && (strings.Contains(line, "->") || strings.Contains(line, "disk: ") && !strings.Contains(line, "CRASH")) {
			return
		}
		fmt.Fprintln(&sc.out, line)
	}
	for _, id := range sc.ids() {
		sc.nodes[id].disk.trace = func(step string) { sc.logf("%d disk: %s", id, step) }
	}
	sc.quiet = true
	sc.settle()
}

func (sc *scenario) deliverMatching(from, to uint64, d *datadriven.TestData) {
	kind := ""
	if d.HasArg("type") {
		d.ScanArgs(sc.t, "type", &kind)
	}
	// Only what is in flight now, not what it gives rise to.
	left := len(sc.net)
	for i := 0; left > 0; left-- {
		m := sc.net[i]
		switch {
		case from != 0 && m.GetFrom() != from, to != 0 && m.GetTo() != to, kind != "" && m.GetType().String() != kind:
			i++
		case d.HasArg("drop"):
			sc.logf("%d->%d %s DROPPED", m.GetFrom(), m.GetTo(), describe(m))
			sc.drop(i)
		default:
			sc.deliver(i)
		}
	}
}

func (sc *scenario) change(at uint64, op string, id uint64) {
	ch := change{Member: commit.Member{ID: id}}
	switch op {
	case "add":
		ch.Op = commit.AddLearner
		ch.Member.PeerURL = fmt.Sprintf("http://node:%d", id)
	case "promote":
		ch.Op = commit.Promote
	case "remove":
		ch.Op = commit.Remove
	case "update":
		ch.Op = commit.Update
		ch.Member.ClientAddr = fmt.Sprintf("client:%d", id)
	}
	n := sc.nodes[at]
	// The same ids every time: their digits count as bytes of log.
	n.core.random = func() uint64 { sc.changes++; return 1000 + 2*sc.changes }
	n.do(func() {
		n.core.requestChange(ch, func(index uint64, err error) {
			if err != nil {
				sc.logf("%s %d refused: %v", op, id, err)
			} else {
				sc.logf("%s %d done at %d", op, id, index)
			}
		})
	})
}

func (sc *scenario) status() {
	for _, id := range sc.ids() {
		n := sc.nodes[id]
		if n.core == nil {
			sc.logf("%d down (%v)", id, n.dead)
			continue
		}
		st := n.core.status()
		var members []string
		for _, m := range st.Members {
			s := fmt.Sprint(m.ID)
			if m.Learner {
				s += "(learner)"
			}
			members = append(members, s)
		}
		sc.logf("%d %s term=%d commit=%d log=%d-%d snapshot=%d members=%s requests=%s", id, st.Role, st.Term, st.Commit,
			st.FirstIndex, st.LastIndex, st.SnapshotIndex, strings.Join(members, ","), strings.Join(n.state.order, ","))
	}
	for _, f := range sc.failures {
		sc.logf("FAILURE: %s", f)
	}
}
