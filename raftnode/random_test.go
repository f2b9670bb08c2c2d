package raftnode

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "seed of the first simulated schedule; 0 takes the clock's")
	simCount = flag.Int("sim.count", 60, "how many simulated schedules to run")
	simSteps = flag.Int("sim.steps", 4000, "steps of one simulated schedule before it heals")
	simTrace = flag.Bool("sim.trace", false, "print everything that happens")
)

// schedule drives a sim with random events.
type schedule struct {
	*sim
	t      *testing.T
	next   map[uint64]int // node -> its next request
	lastID uint64         // last id given to a new node
	open   []*simRead
	// churn makes membership changes more frequent, and elections during them.
	churn int
}

type simRead struct {
	w     *reader
	node  *simNode
	core  *core
	floor uint64 // every write acknowledged before the read began is at or below
}

// TestRandomSchedules runs clusters under random message loss, reordering,
// duplication, partitions, crashes (of one, of all, in the middle of writing),
// restarts without what was not synced, membership changes, transfers and constant
// snapshots. The invariants are in sim.
func TestRandomSchedules(t *testing.T) {
	seed := *simSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1e9
	}
	count := *simCount
	if testing.Short() {
		count = min(count, 10)
	}
	var reads, acked, changes, larges, entries, lost int
	start := time.Now()
	for i := range uint64(count) {
		ok := t.Run(fmt.Sprintf("seed=%d", seed+i), func(t *testing.T) {
			s := runSchedule(t, seed+i, *simSteps)
			reads += s.reads
			acked += len(s.acked)
			changes += s.changes
			larges += s.larges
			entries += len(s.log)
			lost += s.lost
		})
		if !ok {
			t.Fatalf("run again with: go test ./raftnode -run TestRandomSchedules -sim.seed=%d -sim.count=1 -sim.steps=%d -sim.trace", seed+i, *simSteps)
		}
	}
	t.Logf("%d schedules from seed %d in %v: %d entries, %d requests acknowledged (%d large ones), %d reads, %d membership changes, %d disks lost",
		count, seed, time.Since(start).Round(time.Millisecond), entries, acked, larges, reads, changes, lost)
	if count >= 10 && (reads == 0 || acked == 0 || changes == 0 || larges == 0 || lost == 0) {
		t.Error("the schedules do not do enough")
	}
}

// The same seed must do the same, or a failure cannot be looked into.
func TestSchedulesAreDeterministic(t *testing.T) {
	var digests []uint64
	for range 2 {
		t.Run("run", func(t *testing.T) { digests = append(digests, runSchedule(t, 42, 3000).digest()) })
	}
	if digests[0] != digests[1] {
		t.Fatalf("digests %x", digests)
	}
}

func runSchedule(t *testing.T, seed uint64, steps int) *schedule {
	cryptotest.SetGlobalRandom(t, seed) // raft's election timeouts
	rng := rand.New(rand.NewPCG(seed, 1))
	s := &schedule{t: t, next: map[uint64]int{}}
	cfg := Config{
		ElectionTicks: 5, SnapshotBytes: 1 << 10 << rng.IntN(4), CatchUpBytes: 256 << rng.IntN(4),
		MaxEntryBytes: 64 << rng.IntN(4), MaxInflightEntries: 1 + rng.IntN(3),
		CommitDelay: time.Duration(1 - 2*rng.IntN(2)),
		GatherDelay: time.Duration(1 - 2*rng.IntN(2)),
	}
	s.sim = newSim(cfg, 1+rng.IntN(5), rng)
	s.forms = true
	s.lastID = uint64(len(s.nodes))
	if *simTrace {
		s.trace = func(format string, args ...any) { t.Logf(format, args...) }
		for _, id := range s.sim.ids() {
			s.nodes[id].disk.trace = func(step string) { s.logf("%d disk: %s", id, step) }
		}
	}
	// Some schedules lose nothing, some lose a lot; some change the membership all
	// the time.
	drop, faults := rng.IntN(3)*rng.IntN(8), rng.IntN(3)
	s.churn = rng.IntN(3)
	for range steps {
		s.step(drop, faults)
		if len(s.failures) > 0 {
			break
		}
	}
	if len(s.failures) == 0 {
		s.heal()
	}
	for _, f := range s.failures {
		t.Error(f)
	}
	return s
}

func (s *schedule) any() *simNode {
	ids := s.sim.ids()
	return s.nodes[ids[s.rng.IntN(len(ids))]]
}

func (s *schedule) step(drop, faults int) {
	r := s.rng.IntN(1000)
	n := s.any()
	switch {
	case r < 450:
		if len(s.net) == 0 {
			n.tick()
			return
		}
		i := s.rng.IntN(min(len(s.net), 12)) // mostly in order, but not quite
		switch {
		case s.rng.IntN(100) < drop:
			s.drop(i)
		case s.rng.IntN(200) < drop:
			s.net = append(s.net, s.net[i])
		default:
			s.deliver(i)
		}
	case r < 600:
		n.persist(1 + s.rng.IntN(4))
	case r < 750:
		n.apply()
	case r < 780:
		n.finishBody()
	case r < 840:
		n.tick()
	case r < 860 && len(s.asked) > 0:
		s.carryQuestion(drop)
	case r < 930:
		s.propose(n)
	case r < 960:
		s.read(n)
	case r < 970:
		s.withdraw(n)
	case r < 975+5*s.churn:
		s.change(n)
		if s.rng.IntN(8) < s.churn*faults {
			s.disturb(n) // an election while the change is on its way
		}
	case r < 986:
		n.do(func() { n.core.transfer(0, func(error) {}) })
	case r < 988:
		n.do(func() { n.core.snapshots.wanted = true; n.core.requestSnapshot() })
	default:
		if s.rng.IntN(3) < faults {
			s.fault(n)
		} else if n.core == nil && n.dead == nil {
			s.start(n.id)
		}
	}
	s.checkReads()
}

func (s *schedule) fault(n *simNode) {
	switch s.rng.IntN(12) {
	case 0, 1, 2, 3, 4:
		s.disturb(n)
	case 5:
		for _, id := range s.sim.ids() {
			s.crash(id)
		}
	case 6, 7:
		s.loseDisk(n)
	case 8, 9:
		clear(s.cut)
	case 10, 11:
		for _, id := range s.sim.ids() {
			if n := s.nodes[id]; n.core == nil && n.dead == nil {
				s.start(id)
			}
		}
	}
}

// disturb takes one node out of the game for a while.
func (s *schedule) disturb(n *simNode) {
	switch s.rng.IntN(6) {
	case 0, 1:
		s.crash(n.id)
	case 2, 3:
		n.disk.fuse = 1 + s.rng.IntN(12) // dies in the middle of writing
	case 4, 5: // one-way, or isolation
		for _, id := range s.sim.ids() {
			s.cut[[2]uint64{n.id, id}] = true
			if s.rng.IntN(2) == 0 {
				s.cut[[2]uint64{id, n.id}] = true
			}
		}
	}
}

// loseDisk takes a member down, with all it has written, and up again. It must never
// get into the cluster: see carryQuestion. Never more than a minority, and
// not while the membership changes: which minority it is must be known.
func (s *schedule) loseDisk(n *simNode) {
	l := s.leader()
	if l == nil || n.dead != nil || n.lost || !s.membershipAtRest(l) {
		return
	}
	if _, ok := l.core.members.members[n.id]; !ok {
		return
	}
	count := map[uint64]bool{n.id: true}
	lost := 1
	for _, m := range l.core.members.list() {
		if gone := s.nodes[m.ID] != nil && s.nodes[m.ID].lost; gone || !m.Learner {
			count[m.ID] = true
			if gone {
				lost++
			}
		}
	}
	if lost > (len(count)-1)/2 {
		return
	}
	s.sim.loseDisk(n)
	if len(s.cfg.Peers) == 1 && s.founder(n.id) {
		// Its list tells it of nobody else: it forms another cluster, whose random id
		// keeps its messages away from this one.
		n.dead = ErrDataLost
		return
	}
	s.start(n.id) // it comes up at once, empty, whoever else is there
}

// carryQuestion lets a member that lost its disk ask, and be answered. All others had
// started when it lost it.
func (s *schedule) carryQuestion(drop int) {
	i := s.rng.IntN(len(s.asked))
	by := s.asked[i].by
	s.carry(i, s.rng.IntN(100) < drop)
	if by.lost && by.core != nil {
		s.failf("%d lost its disk and has started again", by.id)
	}
}

// membershipAtRest reports whether all nodes agree about the membership, with no
// change on its way.
func (s *schedule) membershipAtRest(l *simNode) bool {
	for _, m := range s.net {
		if slices.ContainsFunc(m.GetEntries(), func(e *raftpb.Entry) bool { return e.GetType() != raftpb.EntryNormal }) {
			return false
		}
	}
	want := l.core.members
	for _, m := range want.list() {
		n := s.nodes[m.ID]
		if n == nil || n.lost {
			continue
		}
		if n.core == nil || n.core.changes.pending != nil || n.core.settlement.last > n.core.handedOut.index ||
			!slices.Equal(n.core.members.list(), want.list()) {
			return false
		}
	}
	return true
}

// propose sends a new request, or an open one again.
func (s *schedule) propose(n *simNode) {
	if n.core == nil {
		return
	}
	if len(n.open) > 3 && s.rng.IntN(2) == 0 {
		names := make([]string, 0, len(n.open))
		for name := range n.open {
			names = append(names, name)
		}
		slices.Sort(names)
		p := n.open[names[s.rng.IntN(len(names))]]
		n.do(func() { n.core.offer(p) })
		return
	}
	s.next[n.id]++
	width := s.rng.IntN(40)
	if s.rng.IntN(8) == 0 {
		width = s.rng.IntN(6 * int(s.cfg.MaxEntryBytes))
	}
	name := fmt.Sprintf("%d.%d.%0*d", n.id, s.next[n.id], width, 0)
	p := &commit.Proposal{Data: []byte(name)}
	n.open[name] = p
	n.do(func() { n.core.offer(p) })
}

// withdraw gives up a request: if that succeeds, it must never be applied.
func (s *schedule) withdraw(n *simNode) {
	if n.core == nil {
		return
	}
	names := make([]string, 0, len(n.open))
	for name := range n.open {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if n.open[name].Withdraw() {
			s.refused[name] = true
			delete(n.open, name)
			return
		}
	}
}

func (s *schedule) read(n *simNode) {
	if n.core == nil {
		return
	}
	r := &simRead{w: newReader(), node: n, core: n.core, floor: s.ackedTop}
	s.open = append(s.open, r)
	n.do(func() { n.core.readIndex(&r.w.readWaiter) })
}

func (s *schedule) checkReads() {
	s.open = slices.DeleteFunc(s.open, func(r *simRead) bool {
		select {
		case i := <-r.w.indexC:
			s.reads++
			if i < r.floor {
				s.failf("%d reads at %d what was begun after %d was acknowledged", r.node.id, i, r.floor)
			}
			return true
		default:
			return r.core != r.node.core // it crashed
		}
	})
}

// change asks the leader for a random membership change.
func (s *schedule) change(n *simNode) {
	if n.core == nil || !n.core.isLeader() {
		return
	}
	members := n.core.members.list()
	ch := change{}
	switch k := s.rng.IntN(4); {
	case k == 0 && len(members) < 6:
		s.lastID++
		ch = change{Op: commit.AddLearner, Member: commit.Member{ID: s.lastID, PeerURL: fmt.Sprintf("http://node:%d", s.lastID)}}
		if s.rng.IntN(4) > 0 { // else it never comes up
			s.add(s.lastID)
			s.start(s.lastID)
		}
	case k == 1 && len(members) > 1:
		id := members[s.rng.IntN(len(members))].ID
		for _, m := range members { // who lost its disk has to go first
			if n := s.nodes[m.ID]; n != nil && n.lost {
				id = m.ID
			}
		}
		ch = change{Op: commit.Remove, Member: commit.Member{ID: id}}
	case k == 2:
		ch = change{Op: commit.Promote, Member: commit.Member{ID: members[s.rng.IntN(len(members))].ID}}
	default:
		ch = change{Op: commit.Update, Member: commit.Member{ID: n.id, ClientAddr: fmt.Sprint("client:", s.rng.IntN(100))}}
	}
	n.do(func() {
		n.core.requestChange(ch, func(index uint64, err error) {
			s.logf("change %+v: %d, %v", ch, index, err)
			if err == nil {
				s.changes++
			}
		})
	})
}

// heal ends all faults and lets the cluster come to rest, with a leader; then
// everybody must have everything that was ever acknowledged.
func (s *schedule) heal() {
	clear(s.cut)
	for _, id := range s.sim.ids() {
		n := s.nodes[id]
		n.disk.fuse = 0
		if n.core == nil && n.dead == nil {
			s.start(id)
		}
	}
	final := "the end"
	var l *simNode
	for round := range 400 {
		s.settle()
		s.checkReads()
		if len(s.failures) > 0 {
			return
		}
		l = s.leader()
		if l != nil && round%5 == 4 {
			p := &commit.Proposal{Data: []byte(final)}
			if !l.state.done[final] {
				l.do(func() { l.core.offer(p) })
				s.settle()
			}
		}
		if s.atRest(l, final) {
			break
		}
		for _, id := range s.sim.ids() {
			s.nodes[id].tick()
		}
	}
	if !s.atRest(l, final) {
		for _, id := range s.sim.ids() {
			if n := s.nodes[id]; n.core != nil {
				s.logf("%d: %+v", id, n.core.status())
			}
		}
		s.failf("the healed cluster does not come to agree")
		return
	}
	for _, m := range l.core.members.list() {
		n := s.nodes[m.ID]
		if n == nil || n.lost {
			continue
		}
		for r, index := range s.acked {
			if !n.state.done[r] {
				s.failf("%d lacks %q, acknowledged at %d", n.id, r, index)
			}
		}
		if !slices.Equal(n.state.order, l.state.order) {
			s.failf("%d and %d have applied different requests", n.id, l.id)
		}
	}
}

// atRest says whether every member has applied everything, the final request
// included.
func (s *schedule) atRest(l *simNode, final string) bool {
	if l == nil || !l.state.done[final] {
		return false
	}
	for _, m := range l.core.members.list() {
		n := s.nodes[m.ID]
		if n != nil && !n.lost && (n.core == nil || n.state.applied != l.state.applied) {
			return false
		}
	}
	return true
}
