package raftnode

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// disks is a cluster whose members' disks fill up when told to.
type disks struct {
	*sim
	t *testing.T
	n int
}

func newDisks(t *testing.T, peers int) *disks {
	d := &disks{sim: newSim(Config{CatchUpBytes: 1 << 20}, peers, nil), t: t}
	d.settle()
	d.nodes[1].do(func() {
		if peers > 1 {
			if err := d.nodes[1].core.rn.Campaign(); err != nil {
				t.Fatal(err)
			}
		}
	})
	d.rounds(3)
	if l := d.leader(); l == nil || l.id != 1 {
		t.Fatalf("%v leads", l)
	}
	return d
}

func (d *disks) rounds(n int) {
	for range n {
		for _, id := range d.ids() {
			d.nodes[id].tick()
		}
		d.settle()
	}
	for _, f := range d.failures {
		d.t.Fatal(f)
	}
}

func (d *disks) full(ids ...uint64) {
	for _, id := range ids {
		d.nodes[id].do(func() { d.nodes[id].core.diskChecked(0, true) })
	}
	d.rounds(3)
}

func (d *disks) empty(ids ...uint64) {
	for _, id := range ids {
		d.nodes[id].do(func() { d.nodes[id].core.diskChecked(1<<30, false) })
	}
	d.rounds(3)
}

// write proposes a request of about size bytes at a node and reports whether it is
// applied there.
func (d *disks) write(id uint64, size int) bool {
	d.n++
	r := fmt.Sprint(d.n, strings.Repeat("x", size))
	n := d.nodes[id]
	p := &commit.Proposal{Data: []byte(r)}
	n.open[r] = p
	n.do(func() { n.core.offer(p) })
	d.rounds(2)
	_, acked := d.acked[r]
	return acked
}

func (d *disks) mustWrite(id uint64, size int) {
	d.t.Helper()
	if !d.write(id, size) {
		d.t.Fatalf("a write of %d bytes on %d does not get through", size, id)
	}
}

func (d *disks) refusing(want ...bool) {
	d.t.Helper()
	for i, id := range d.ids() {
		if got := d.nodes[id].core.room.refusing; got != want[i] {
			d.t.Fatalf("%d refuses writes: %v; %d leads, %+v", id, got, d.leader().id, d.leader().core.room)
		}
	}
}

func (d *disks) last(id uint64) uint64 {
	last, err := d.nodes[id].core.storage.LastIndex()
	if err != nil {
		d.t.Fatal(err)
	}
	return last
}

func TestLoneNodeRefusesOnFullDisk(t *testing.T) {
	d := newDisks(t, 1)
	d.mustWrite(1, 10)
	d.full(1)
	d.refusing(true)
	d.mustWrite(1, 10) // what was on its way goes on
	d.empty(1)
	d.refusing(false)
}

// A minority of full disks costs nothing: the leadership moves on, and the member
// with the full disk stops to take in requests before its disk is full.
func TestLeaderWithFullDiskHandsOver(t *testing.T) {
	d := newDisks(t, 3)
	d.mustWrite(1, 10)
	d.full(1)
	d.rounds(5)
	if l := d.leader(); l == nil || l.id == 1 {
		t.Fatalf("%v leads", l)
	}
	d.refusing(false, false, false)
	before := d.last(1)
	for range 3 * lowBudget >> 20 {
		d.mustWrite(d.leader().id, 1<<20-100) // one entry
	}
	if got := (d.last(1) - before) << 20; got > lowBudget || got < lowBudget/2 {
		t.Errorf("the member with the full disk took in %d bytes", got)
	}
	d.empty(1)
	d.rounds(100)
	if d.last(1) != d.last(2) {
		t.Errorf("it does not catch up: %d of %d", d.last(1), d.last(2))
	}
}

// As soon as the members with space are no majority, everybody refuses, whoever
// leads, and the log comes to rest on all of them.
func TestMajorityOfFullDisksRefuses(t *testing.T) {
	for _, full := range [][]uint64{{2, 3}, {1, 2}, {1, 2, 3}} {
		t.Run(fmt.Sprint(full), func(t *testing.T) {
			d := newDisks(t, 3)
			d.mustWrite(2, 10)
			d.full(full...)
			d.rounds(30)
			d.refusing(true, true, true)
			for _, id := range d.ids() {
				if d.last(id) != d.last(1) {
					t.Errorf("the log of %d ends at %d, that of 1 at %d", id, d.last(id), d.last(1))
				}
			}
			d.crash(d.leader().id)
			d.rounds(60) // a new leader's entry is let through
			if d.leader() == nil {
				t.Fatal("nobody leads")
			}
			for _, id := range d.ids() {
				if n := d.nodes[id]; n.core != nil && !n.core.room.refusing {
					t.Errorf("%d does not refuse under the new leader", id)
				}
			}
			for _, id := range d.ids() {
				if d.nodes[id].core == nil {
					d.start(id)
				}
			}
			d.empty(full...)
			d.rounds(30)
			d.refusing(false, false, false)
			d.mustWrite(1, 10)
		})
	}
}

// One member is down: then the full disk of another is that of a majority.
func TestFullDiskWhileAMemberIsDown(t *testing.T) {
	d := newDisks(t, 3)
	d.full(2)
	d.refusing(false, false, false)
	d.crash(3)
	d.rounds(20)
	if !d.nodes[1].core.room.refusing {
		t.Fatal("writes go on that only one member has room for")
	}
	d.start(3)
	d.rounds(5)
	d.refusing(false, false, false)
}

// A request that is larger than all the space there is, is never taken.
func TestRequestLargerThanTheDisk(t *testing.T) {
	d := newDisks(t, 3)
	for _, id := range d.ids() {
		d.nodes[id].do(func() { d.nodes[id].core.diskChecked(4<<20, false) })
	}
	d.n++
	p := &commit.Proposal{Data: []byte(strings.Repeat("x", 5<<20))}
	d.nodes[1].do(func() { d.nodes[1].core.offer(p) })
	d.rounds(3)
	if !p.Withdraw() {
		t.Fatal("it was taken")
	}
	d.mustWrite(1, 1<<20)
	d.mustWrite(3, 1<<20)
}

// A follower drops an entry that it has no room for, and takes it when there is.
func TestFollowerDropsWhatItHasNoRoomFor(t *testing.T) {
	d := newDisks(t, 3)
	d.nodes[3].do(func() { d.nodes[3].core.diskChecked(1<<20, false) })
	d.mustWrite(1, 2<<20)
	if d.last(3) == d.last(1) {
		t.Fatal("it has taken it")
	}
	d.net = nil
	d.empty(3)
	d.rounds(20)
	if d.last(3) != d.last(1) {
		t.Fatalf("it does not catch up: %d of %d", d.last(3), d.last(1))
	}
}

// A snapshot for which there was no room is tried again, and whoever asked for it is
// told.
func TestSnapshotIsTriedAgain(t *testing.T) {
	d := newDisks(t, 1)
	c := d.nodes[1].core
	for range 3 {
		d.mustWrite(1, 1000)
	}
	errC := make(chan error, 1)
	d.nodes[1].do(func() {
		c.snapshots.wanted, c.snapshots.waiting = true, append(c.snapshots.waiting, errC)
		c.requestSnapshot()
	})
	d.nodes[1].apply()
	if len(d.nodes[1].bodies) != 1 {
		t.Fatal("no snapshot is being written")
	}
	p := d.nodes[1].bodies[0]
	d.nodes[1].bodies = nil
	d.nodes[1].do(func() { c.bodyWritten(p, 0, 0, fmt.Errorf("write: %w", errNoRoom)) })
	if err := <-errC; !errors.Is(err, errNoRoom) {
		t.Fatalf("answer %v", err)
	}
	c.snapshots.limits.snapshot, c.snapshots.limits.maxLog = 1, 1
	d.mustWrite(1, 10)
	d.rounds(int(snapshotRetryTicks) - 10)
	if c.snapshots.last != 0 {
		t.Fatal("it was not left alone")
	}
	d.rounds(20)
	if c.snapshots.last == 0 {
		t.Fatal("it was not tried again")
	}
}

// TestRandomFullDisks fills disks and empties them at random, among all the other
// faults: nothing acknowledged may be missing, and with space everybody agrees again.
func TestRandomFullDisks(t *testing.T) {
	seed := *simSeed
	if seed == 0 {
		seed = rand.Uint64N(1e9)
	}
	count := min(*simCount, 30)
	if testing.Short() {
		count = min(count, 5)
	}
	for i := range uint64(count) {
		ok := t.Run(fmt.Sprintf("seed=%d", seed+i), func(t *testing.T) { runFullDisks(t, seed+i) })
		if !ok {
			t.Fatalf("run again with: go test ./raftnode -run TestRandomFullDisks -sim.seed=%d -sim.count=1", seed+i)
		}
	}
}

func runFullDisks(t *testing.T, seed uint64) {
	cryptotest.SetGlobalRandom(t, seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	s := &schedule{t: t, next: map[uint64]int{}}
	cfg := Config{
		ElectionTicks: 5, SnapshotBytes: 1 << 10 << rng.IntN(4), CatchUpBytes: 256 << rng.IntN(4),
		MaxEntryBytes: 64 << rng.IntN(4), // so that there are requests in parts
	}
	s.sim = newSim(cfg, 1+rng.IntN(5), rng)
	s.forms = true
	s.lastID = uint64(len(s.nodes))
	drop, faults := rng.IntN(3)*rng.IntN(8), rng.IntN(3)
	for range 3000 {
		s.step(drop, faults)
		if n := s.any(); rng.IntN(60) == 0 {
			left, low := byteCount(rng.IntN(2000)), rng.IntN(2) == 0
			n.do(func() { n.core.diskChecked(left, low) })
		}
		if n := s.any(); rng.IntN(60) == 0 && len(n.bodies) > 0 {
			p := n.bodies[0]
			n.bodies = n.bodies[1:]
			n.do(func() { n.core.bodyWritten(p, 0, 0, errNoRoom) })
		}
		if len(s.failures) > 0 {
			break
		}
	}
	for _, id := range s.sim.ids() {
		n := s.nodes[id]
		n.do(func() { n.core.diskChecked(math.MaxUint64, false) })
	}
	if len(s.failures) == 0 {
		s.heal()
	}
	for _, f := range s.failures {
		t.Error(f)
	}
}

// What a leader does about the disks of its voters, by what they have said.
func TestRoomIsWeighed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		own      shortage
		others   map[uint64]shortage
		live     []uint64
		handOver bool
		refusing bool
	}{
		{"plenty", enough, nil, []uint64{1, 2, 3}, false, false},
		{"a follower's is low", enough, map[uint64]shortage{2: lowSpace}, []uint64{1, 2, 3}, false, false},
		{"the own is low", lowSpace, nil, []uint64{1, 2, 3}, true, false},
		{"two are low", enough, map[uint64]shortage{2: lowSpace, 3: noSpace}, []uint64{1, 2, 3}, false, true},
		{"the own and another", lowSpace, map[uint64]shortage{2: lowSpace}, []uint64{1, 2, 3}, false, true},
		{"the other with space is silent", enough, map[uint64]shortage{2: lowSpace}, []uint64{1, 2}, false, true},
		{"no majority, but not for want of space", enough, nil, []uint64{1}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := leading()
			r := room{low: tt.own != enough, since: at.now, others: tt.others, left: 1 << 30}
			plan := r.weigh(at, []uint64{1, 2, 3}, tt.live)
			if plan != (roomPlan{tt.handOver, tt.refusing}) || r.refusing != tt.refusing {
				t.Errorf("%+v, refusing %v", plan, r.refusing)
			}
			if again := r.weigh(at, []uint64{1, 2, 3}, tt.live); again != (roomPlan{}) {
				t.Errorf("the same once more: %+v", again)
			}
			// Nobody has taken over.
			at.now += 2*at.election + 1
			if r.weigh(at, []uint64{1, 2, 3}, tt.live); r.refusing != (tt.refusing || tt.own != enough) {
				t.Errorf("refusing %v later", r.refusing)
			}
		})
	}
}
