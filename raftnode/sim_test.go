package raftnode

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
)

// sim is a cluster on one goroutine: the cores of raftnode on simulated disks and
// a simulated network, under a clock that moves when told to. It checks, as things
// happen, what must never be violated.
type sim struct {
	cfg   Config // of every node, but for ID and Peers
	nodes map[uint64]*simNode
	net   []*raftpb.Message    // in flight
	cut   map[[2]uint64]bool   // from, to
	trace func(string, ...any) // may be nil
	rng   *rand.Rand
	large map[*raftpb.Message]func(handOver) // large requests in flight, with who waits for the answer
	// refuse has nodes that are down refuse connections, instead of just not
	// answering. With an rng they always do.
	refuse bool

	// The state machine's commands, and its requests by number.
	table   *command.Table
	names   []string
	numbers map[string]uint64

	// The invariants.
	digests  map[uint64]string // index -> digest of the state there
	log      map[uint64]string // index -> what was applied there first
	leaders  map[uint64]uint64 // term -> leader
	acked    map[string]uint64 // request -> index at which its origin saw it applied
	ackedTop uint64            // highest of those
	refused  map[string]bool   // requests whose proposer was told "not applied"
	failures []string
	reads    int // answered
	larges   int // requests of more than an entry that were acknowledged
	changes  int // membership changes that succeeded
	agreed   int // states that were those of another node at the same index
	lost     int // disks

	// forms lets founders with an empty disk form a cluster first, as real ones do
	// (formation_sim_test.go). Without it they are in one from the start.
	forms bool
	// serves puts a store and a front on top of every node (inprocess_test.go).
	serves bool
	skew   time.Duration  // between the clocks of servers with neighbouring ids
	asked  []*simQuestion // in flight
}

func newSim(cfg Config, peers int, rng *rand.Rand) *sim {
	s := stillSim(cfg, peers, rng)
	for _, id := range s.ids() {
		s.start(id)
	}
	return s
}

// stillSim is newSim, and starts nobody.
func stillSim(cfg Config, peers int, rng *rand.Rand) *sim {
	cfg.Logger = zap.NewNop()
	cfg.Seal, cfg.SealLarge = testSeal, testSealLarge
	setDefault(&cfg.CommitDelay, -1) // else everything held waits for a tick
	setDefault(&cfg.GatherDelay, -1) // and so would requests that the leader gathers
	table, err := command.NewTable(command.Lists())
	if err != nil {
		panic(err) // they are checked where they are declared
	}
	s := &sim{
		table: table, numbers: map[string]uint64{}, digests: map[uint64]string{},
		cfg: cfg, nodes: map[uint64]*simNode{}, cut: map[[2]uint64]bool{}, rng: rng,
		large: map[*raftpb.Message]func(handOver){},
		log:   map[uint64]string{}, leaders: map[uint64]uint64{}, acked: map[string]uint64{}, refused: map[string]bool{},
	}
	s.cfg.EnsureDefaults()
	for i := range peers {
		s.cfg.Peers = append(s.cfg.Peers, Peer{uint64(i + 1), fmt.Sprintf("http://node:%d", i+1)})
	}
	for _, p := range s.cfg.Peers {
		s.add(p.ID)
	}
	return s
}

func (s *sim) add(id uint64) *simNode {
	n := &simNode{s: s, id: id, cfg: s.cfg, disk: newSimDisk(id)}
	n.disk.engine = s.engine(id)
	n.cfg.ID = id
	if s.trace != nil {
		n.disk.trace = func(step string) { s.logf("%d disk: %s", id, step) }
	}
	s.nodes[id] = n
	return n
}

// engine has members with both engines of the log in one cluster, but for the stories in
// testdata, where every step counts.
func (s *sim) engine(id uint64) logEngine {
	if s.rng == nil {
		return etcdEngine
	}
	return logEngines()[id%2]
}

func (s *sim) ids() []uint64 { return slices.Sorted(maps.Keys(s.nodes)) }

func (s *sim) logf(format string, args ...any) {
	if s.trace != nil {
		s.trace(format, args...)
	}
}

func (s *sim) failf(format string, args ...any) {
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
	s.logf("FAILURE: "+format, args...)
}

// start brings a node up from its disk.
func (s *sim) start(id uint64) {
	if n := s.nodes[id]; s.forms && n.disk.cluster == 0 {
		n.enroll()
	} else {
		s.boot(id)
	}
}

func (s *sim) founder(id uint64) bool {
	return slices.ContainsFunc(s.cfg.Peers, func(p Peer) bool { return p.ID == id })
}

// boot starts a node that is in a cluster.
func (s *sim) boot(id uint64) {
	n := s.nodes[id]
	if n.disk.cluster == 0 {
		n.disk.cluster = simCluster
	}
	from, _, err := n.disk.replay()
	if err != nil {
		s.failf("%d cannot start: %v", id, err)
		return
	}
	if s.founder(id) && from.empty() {
		if from, err = n.disk.found(s.cfg.Peers); err != nil {
			s.failf("%d cannot start: %v", id, err)
			return
		}
	}
	n.starts++
	if s.serves {
		n.up = newSimServer(n)
	}
	c, err := newCore(&n.cfg, from, n)
	if err != nil {
		s.failf("%d cannot start: %v", id, err)
		return
	}
	if s.rng != nil {
		c.random = s.rng.Uint64
	}
	c.reads.incarnation = n.starts
	n.core = c
	n.storer = &storer{disk: n.disk, log: c.storage, hard: c.hard, last: c.snapshots.last}
	n.state = newWitness(n)
	n.queue, n.bodies, n.open, n.leads = nil, nil, map[string]*commit.Proposal{}, false
	s.logf("%d started: snapshot %d, %d entries, term %d, commit %d", id,
		c.snapshots.last, len(from.entries), c.hard.GetTerm(), c.hard.GetCommit())
	n.do(c.publish)
}

// crash takes a node down. What was in flight from it stays in flight.
func (s *sim) crash(id uint64) {
	n := s.nodes[id]
	n.form = nil
	if n.core == nil {
		return
	}
	n.disk.crash(s.rng)
	n.core, n.storer, n.queue, n.bodies, n.state = nil, nil, nil, nil, nil
	n.open = map[string]*commit.Proposal{}
	if n.up != nil {
		n.up.crash()
		n.up = nil
	}
	s.logf("%d crashed", id)
}

// deliver hands over the i-th message in flight.
func (s *sim) deliver(i int) {
	m := s.net[i]
	s.net = slices.Delete(s.net, i, i+1)
	from, to := s.nodes[m.GetFrom()], s.nodes[m.GetTo()]
	lost := to == nil || to.core == nil || to.dead != nil || s.cut[[2]uint64{m.GetFrom(), m.GetTo()}]
	if !lost && to.core.settlement.members.isRemoved(m.GetFrom()) {
		lost = true
		if from != nil && from.core != nil && !s.cut[[2]uint64{to.id, from.id}] {
			from.do(func() { from.stop(ErrRemoved) }) // rafthttp tells it
		}
	}
	if m.GetType() == raftpb.MsgSnap {
		s.deliverSnapshot(m, from, to, lost)
		return
	}
	s.logf("%d->%d %s%s", m.GetFrom(), m.GetTo(), describe(m), map[bool]string{true: " LOST"}[lost])
	if answer := s.large[m]; answer != nil {
		s.deliverLarge(m, to, lost, answer)
		return
	}
	if !lost {
		to.do(func() { to.core.step(m) })
	}
}

// deliverLarge hands over a large request, and the answer comes back at once, or is
// lost. A duplicate may arrive even after that.
func (s *sim) deliverLarge(m *raftpb.Message, to *simNode, lost bool, answer func(handOver)) {
	outcome := handOverCut
	if !lost {
		outcome = refused
		to.do(func() {
			if to.core.offerLarge(m.GetFrom(), m.GetEntries()[0].GetData(), func() {}) {
				outcome = handedOver
			}
		})
		if s.rng != nil && s.rng.IntN(8) == 0 || to.core == nil {
			outcome = handOverCut
		}
	}
	s.large[m] = func(handOver) {}
	answer(outcome)
}

// drop loses the i-th message in flight. The transport notices when that happens to
// a snapshot.
func (s *sim) drop(i int) {
	m := s.net[i]
	s.net = slices.Delete(s.net, i, i+1)
	if m.GetType() == raftpb.MsgSnap {
		s.deliverSnapshot(m, s.nodes[m.GetFrom()], nil, true)
	}
	if answer := s.large[m]; answer != nil {
		answer(handOverCut)
	}
}

func (s *sim) deliverSnapshot(m *raftpb.Message, from, to *simNode, lost bool) {
	index := m.GetSnapshot().GetMetadata().GetIndex()
	var body []byte
	if from != nil {
		body = from.disk.bodies[index]
	}
	status := raft.SnapshotFinish
	if lost || body == nil {
		status = raft.SnapshotFailure
	} else {
		to.do(func() {
			to.disk.writeBody(index, body)
			to.core.step(m)
		})
	}
	s.logf("%d->%d MsgSnap %d: %v", m.GetFrom(), m.GetTo(), index, status == raft.SnapshotFinish)
	if from != nil {
		from.do(func() { from.core.snapshotSent(m.GetTo(), status) })
	}
}

// settle delivers, writes and applies until nothing is left to do.
func (s *sim) settle() {
	for range 100000 {
		busy := false
		for len(s.net) > 0 {
			s.deliver(0)
			busy = true
		}
		for _, id := range s.ids() {
			n := s.nodes[id]
			if n.core != nil && len(n.queue) > 0 {
				n.persist(len(n.queue))
				busy = true
			}
			for n.apply() {
				busy = true
			}
			for n.finishBody() {
				busy = true
			}
		}
		if !busy {
			return
		}
	}
	s.failf("the cluster does not come to rest")
}

func (s *sim) leader() *simNode {
	var l *simNode
	for _, id := range s.ids() {
		if n := s.nodes[id]; n.core != nil && n.core.isLeader() && (l == nil || n.core.hard.GetTerm() > l.core.hard.GetTerm()) {
			l = n
		}
	}
	return l
}

// digest is a fingerprint of everything that happened.
func (s *sim) digest() uint64 {
	h := fnv.New64a()
	for _, i := range slices.Sorted(maps.Keys(s.log)) {
		fmt.Fprintln(h, i, s.log[i])
	}
	for _, id := range s.ids() {
		n := s.nodes[id]
		fmt.Fprintln(h, id, n.disk.records == nil, len(n.disk.records), n.disk.term, n.disk.vote)
	}
	return h.Sum64()
}

func describe(m *raftpb.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v", m.GetType())
	if m.GetTerm() != 0 {
		fmt.Fprintf(&b, " term=%d", m.GetTerm())
	}
	switch m.GetType() {
	case raftpb.MsgApp:
		fmt.Fprintf(&b, " after=%d/%d entries=%d commit=%d", m.GetIndex(), m.GetLogTerm(), len(m.GetEntries()), m.GetCommit())
	case raftpb.MsgAppResp:
		fmt.Fprintf(&b, " index=%d", m.GetIndex())
	case raftpb.MsgVote, raftpb.MsgPreVote:
		fmt.Fprintf(&b, " last=%d/%d", m.GetIndex(), m.GetLogTerm())
	case raftpb.MsgHeartbeat:
		fmt.Fprintf(&b, " commit=%d", m.GetCommit())
	case raftpb.MsgProp:
		fmt.Fprintf(&b, " requests=%d", len(m.GetEntries()))
	}
	if m.GetReject() {
		b.WriteString(" REJECT")
	}
	return b.String()
}
