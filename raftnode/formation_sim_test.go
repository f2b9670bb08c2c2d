package raftnode

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// simCluster is the cluster that nodes are in which did not have to form one.
const simCluster = 1

// simQuestion is one member asking another what it is: first the question is in
// flight, then the answer.
type simQuestion struct {
	by    *simNode
	form  *formation // the life of by that asks
	epoch uint64
	to    uint64
	said  *stance // nil: the question has not arrived
}

// enroll is what a node with an empty disk does.
func (n *simNode) enroll() {
	if !n.s.founder(n.id) {
		if n.lost {
			n.dead = ErrDataLost // another one has claimed the id: its own earlier life
			return
		}
		n.s.boot(n.id)
		return
	}
	n.form = newFormation(n.id, n.s.cfg.Peers, n.disk.prepared, false, n.s.rng.Uint64)
	n.s.logf("%d forms a cluster, prepared for %x", n.id, n.disk.prepared)
	n.agree()
}

// ask asks everybody who has not been asked yet.
func (n *simNode) ask() {
	for _, p := range n.form.others() {
		open := slices.ContainsFunc(n.s.asked, func(q *simQuestion) bool { return q.form == n.form && q.to == p.ID })
		if !open {
			n.s.asked = append(n.s.asked, &simQuestion{by: n, form: n.form, epoch: n.form.epoch, to: p.ID})
		}
	}
}

// carry takes the i-th question to who is asked, or the answer back; lost says that it
// does not get there.
func (s *sim) carry(i int, lost bool) {
	q := s.asked[i]
	to := s.nodes[q.to]
	gone := func() { s.asked = slices.Delete(s.asked, i, i+1) }
	if q.by.form != q.form { // who asked is down, or forms no more
		gone()
		return
	}
	path := [2]uint64{q.by.id, q.to}
	if q.said != nil {
		path = [2]uint64{q.to, q.by.id}
	}
	switch {
	case lost || s.cut[path] || q.said == nil && to.form == nil && to.core == nil:
		gone()
		q.form.missed(q.to, q.epoch, errors.New("no answer"))
	case q.said == nil:
		said := stance{Member: q.to, State: isMember, Cluster: to.disk.cluster}
		if to.form != nil {
			said = to.form.stance()
		} else {
			said.Asker = to.core.members.acquaintance(q.by.id)
		}
		q.said = &said
		return
	default:
		gone()
		q.form.heard(q.to, q.epoch, *q.said)
		s.logf("%d hears that %d is %s of %x", q.by.id, q.to, q.said.State, q.said.Cluster)
	}
	q.by.agree()
}

// agree does what the formation wants.
func (n *simNode) agree() {
	if n.form == nil {
		return
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case fuseBlown:
			n.s.crash(n.id)
		default:
			panic(r)
		}
	}()
	switch v := n.form.decide(); {
	case v.err != nil:
		n.s.logf("%d is refused: %v", n.id, v.err)
		n.form, n.dead = nil, v.err
	case v.prepare != 0:
		n.disk.step("write origin: prepared for %x", v.prepare)
		n.disk.prepared = v.prepare
		n.form.agreed(v.prepare)
		n.agree() // if it is alone
	case v.start != 0:
		n.disk.step("write origin: member of %x", v.start)
		n.disk.cluster, n.form = v.start, nil
		n.s.boot(n.id)
	}
}

// loseDisk takes a node down, with all that it has written.
func (s *sim) loseDisk(n *simNode) {
	s.crash(n.id)
	n.lost, n.disk = true, newSimDisk(n.id)
	n.disk.engine = n.s.engine(n.id)
	if s.trace != nil {
		n.disk.trace = func(step string) { s.logf("%d disk: %s", n.id, step) }
	}
	s.lost++
	s.logf("%d lost its disk", n.id)
}

// TestRandomFormations lets clusters form while messages are lost and delayed, members
// crash, and a minority of them lose their disks, at any moment: before, during and
// after. Those without their disk start again at once, whoever else is up. Whatever is
// acknowledged must stay, and nobody may be in another cluster than the others.
func TestRandomFormations(t *testing.T) {
	seed := *simSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1e9
	}
	count := 5 * *simCount
	if testing.Short() {
		count = min(count, 50)
	}
	var out formationOutcome
	for i := range uint64(count) {
		ok := t.Run(fmt.Sprintf("seed=%d", seed+i), func(t *testing.T) { out.add(runFormation(t, seed+i)) })
		if !ok {
			t.Fatalf("run again with: go test ./raftnode -run TestRandomFormations -sim.seed=%d -sim.count=1 -sim.trace", seed+i)
		}
	}
	t.Logf("%d formations from seed %d: %+v", count, seed, out)
	if count >= 200 && (out.acked == 0 || out.lost == 0 || out.refused == 0 || out.returned == 0) {
		t.Error("the schedules do not do enough")
	}
}

type formationOutcome struct {
	acked    int // writes
	lost     int // disks
	refused  int // members that lost theirs and were kept out
	returned int // members that lost theirs before anybody had started, and take part
	stuck    int // formations that need an operator, because a disk was lost in the middle
}

func (a *formationOutcome) add(b formationOutcome) {
	a.acked += b.acked
	a.lost += b.lost
	a.refused += b.refused
	a.returned += b.returned
	a.stuck += b.stuck
}

func runFormation(t *testing.T, seed uint64) (out formationOutcome) {
	cryptotest.SetGlobalRandom(t, seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	s := &schedule{t: t, next: map[uint64]int{}}
	s.sim = newSim(Config{ElectionTicks: 5, SnapshotBytes: 1 << 12, CatchUpBytes: 1 << 10, CommitDelay: -1}, 0, rng)
	s.forms = true
	if *simTrace {
		s.trace = func(format string, args ...any) { t.Logf(format, args...) }
	}
	size := 2 + rng.IntN(4)
	for id := range uint64(size) {
		s.cfg.Peers = append(s.cfg.Peers, Peer{id + 1, fmt.Sprintf("http://node:%d", id+1)})
	}
	for _, p := range s.cfg.Peers {
		s.add(p.ID)
	}
	drop, crashes, losses := rng.IntN(30), rng.IntN(30), []int{0, 1, 3, 20}[rng.IntN(4)]
	for range 300 + rng.IntN(1500) {
		s.stepFormation(drop, crashes, losses)
		s.sameCluster()
		if len(s.failures) > 0 {
			break
		}
	}
	if len(s.failures) == 0 {
		out.stuck = s.healFormation()
	}
	for _, f := range s.failures {
		t.Error(f)
	}
	out.acked, out.lost = len(s.acked), s.lost
	for _, n := range s.nodes {
		switch {
		case n.lost && errors.Is(n.dead, ErrDataLost):
			out.refused++
		case n.lost && n.core != nil:
			out.returned++
		case n.dead != nil && out.stuck == 0:
			t.Errorf("%d has its disk and does not start: %v", n.id, n.dead)
		}
	}
	return out
}

// stepFormation lets one thing happen; drop, crashes and losses are per mille.
func (s *schedule) stepFormation(drop, crashes, losses int) {
	n := s.any()
	switch r := s.rng.IntN(1000); {
	case r < crashes:
		if s.rng.IntN(2) == 0 {
			s.crash(n.id)
		} else {
			n.disk.fuse = 1 + s.rng.IntN(8)
		}
		return
	case r < crashes+losses:
		lost, started := 0, 0
		for _, m := range s.nodes {
			if m.lost {
				lost++
			}
			if m.disk.cluster != 0 {
				started++
			}
		}
		// Most of them later: only so many may be lost.
		if !n.lost && lost < (len(s.nodes)-1)/2 && s.rng.IntN(2*len(s.nodes)) < started+1 {
			s.sim.loseDisk(n)
			s.start(n.id)
		}
		return
	}
	switch r := s.rng.IntN(100); {
	case r < 25 && len(s.asked) > 0:
		s.carry(s.rng.IntN(len(s.asked)), s.rng.IntN(1000) < drop)
	case r < 60 && len(s.net) > 0:
		if s.rng.IntN(1000) < drop {
			s.drop(0)
		} else {
			s.deliver(s.rng.IntN(min(len(s.net), 4)))
		}
	case r < 70:
		n.tick()
	case r < 80:
		n.persist(1 + s.rng.IntN(3))
	case r < 88:
		n.apply()
	case r < 90:
		n.finishBody()
	case r < 95:
		s.propose(n)
	case n.core == nil && n.form == nil && n.dead == nil:
		s.start(n.id)
	}
}

// sameCluster checks that all who have started are in one cluster.
func (s *schedule) sameCluster() {
	var cluster uint64
	for _, id := range s.sim.ids() {
		if c := s.nodes[id].disk.cluster; cluster == 0 {
			cluster = c
		} else if c != 0 && c != cluster {
			s.failf("clusters %x and %x have both started", cluster, c)
		}
	}
}

// healFormation ends all faults. Everybody must get into the cluster then, but for
// those that were refused: they are a minority, and what was acknowledged is there. It
// returns 1 if they had agreed on different ids, which only an operator can sort out,
// and only before anybody has started.
func (s *schedule) healFormation() (stuck int) {
	const final = "the end"
	atRest := func() bool {
		for _, n := range s.nodes {
			if n.dead == nil && (n.core == nil || !n.state.done[final]) {
				return false
			}
		}
		return true
	}
	for round := range 400 {
		for _, id := range s.sim.ids() {
			n := s.nodes[id]
			n.disk.fuse = 0
			if n.core == nil && n.form == nil && n.dead == nil {
				s.start(id)
			}
			n.tick()
		}
		for len(s.asked) > 0 {
			s.carry(0, false)
		}
		s.settle()
		s.sameCluster()
		if len(s.failures) > 0 || atRest() {
			break
		}
		if l := s.leader(); l != nil && round%5 == 4 && !l.state.done[final] {
			l.do(func() { l.core.offer(&commit.Proposal{Data: []byte(final)}) })
			s.settle()
		}
	}
	if !atRest() && len(s.failures) == 0 {
		ids := map[uint64]bool{}
		for _, n := range s.nodes {
			if n.disk.cluster != 0 {
				ids = nil
				break
			}
			ids[n.disk.prepared] = true
		}
		if s.lost > 0 && len(ids) > 1 {
			return 1
		}
		for _, id := range s.sim.ids() {
			n := s.nodes[id]
			s.logf("%d: lost %v dead %v prepared %x member %x", id, n.lost, n.dead, n.disk.prepared, n.disk.cluster)
			if n.form != nil {
				s.logf("%d waits: %s", id, n.form.decide().waits)
			}
		}
		s.failf("the healed cluster does not form or agree")
	}
	for _, id := range s.sim.ids() {
		n := s.nodes[id]
		if n.core == nil {
			continue
		}
		for r, index := range s.acked {
			if !n.state.done[r] {
				s.failf("%d lacks %q, acknowledged at %d", id, r, index)
			}
		}
	}
	return 0
}
