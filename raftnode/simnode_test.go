package raftnode

import (
	"bytes"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// simNode is a member of a sim: the core, and all that is around it, one step at a time.
type simNode struct {
	s    *sim
	id   uint64
	cfg  Config
	disk *simDisk

	// All below is lost in a crash.
	core   *core // nil: down, or forming
	form   *formation
	storer *storer
	queue  []storageWork
	bodies []pendingSnapshot
	state  *witness
	up     *simServer // instead of a witness, if the sim serves
	leads  bool
	term   uint64 // highest seen with this node as leader
	open   map[string]*commit.Proposal
	dead   error // why it will not come back
	lost   bool  // its disk, and with it the right to come back

	starts uint64 // its incarnation, which is on its disk
}

// tick moves the clock of a node. It also stands for rafthttp, which keeps dialling
// the members it knows, and learns that way that it was removed.
func (n *simNode) tick() {
	if n.form != nil {
		n.ask()
	}
	if n.core == nil {
		return
	}
	for id := range n.core.members.members {
		to := n.s.nodes[id]
		if to == nil || to.core == nil || n.s.cut[[2]uint64{n.id, id}] || n.s.cut[[2]uint64{id, n.id}] {
			continue
		}
		if to.core.settlement.members.isRemoved(n.id) {
			n.do(func() { n.stop(ErrRemoved) })
			return
		}
	}
	n.do(n.core.tick)
}

// do has the core take an input, and everything that follows from it. The node
// dies on the way if its fuse says so.
func (n *simNode) do(input func()) {
	if n.core == nil {
		return
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case fuseBlown:
			n.s.crash(n.id)
		default:
			n.s.failf("%d panics: %v", n.id, r)
			n.s.crash(n.id)
		}
	}()
	input()
	if n.core != nil {
		n.core.run()
	}
	n.check()
	if n.dead != nil && n.core != nil {
		n.s.crash(n.id)
	}
}

func (n *simNode) check() {
	c := n.core
	if c == nil || !c.isLeader() {
		return
	}
	term := c.hard.GetTerm()
	if other, ok := n.s.leaders[term]; ok && other != n.id {
		n.s.failf("%d and %d both lead in term %d", other, n.id, term)
	}
	n.s.leaders[term] = n.id
	if term < n.term {
		n.s.failf("%d leads in term %d after term %d", n.id, term, n.term)
	}
	n.term = term
}

// The environment of the core.

func (n *simNode) send(msgs []*raftpb.Message) {
	for _, m := range msgs {
		n.s.net = append(n.s.net, proto.Clone(m).(*raftpb.Message))
	}
}
func (n *simNode) forwardLarge(to uint64, d departure) {
	c := n.core
	m := &raftpb.Message{Type: raftpb.MsgProp.Enum(), From: new(n.id), To: new(to), Entries: []*raftpb.Entry{{Data: d.pr.Data}}}
	n.s.large[m] = func(outcome handOver) {
		if n.core == c { // not of an earlier life
			n.do(func() { c.largeForwarded(d, outcome) })
		}
	}
	n.s.net = append(n.s.net, m)
}
func (n *simNode) store(w storageWork) { n.queue = append(n.queue, w) }
func (n *simNode) storeIdle() bool     { return len(n.queue) == 0 }
func (n *simNode) reachable(id uint64) bool {
	if n.s.rng != nil && n.s.rng.IntN(10) == 0 {
		return false // it may be wrong at any time
	}
	to := n.s.nodes[id]
	return n.s.rng == nil && !n.s.refuse || to != nil && to.core != nil && !n.s.cut[[2]uint64{n.id, id}]
}
func (n *simNode) link(commit.Member)          {}
func (n *simNode) relink(commit.Member)        {}
func (n *simNode) unlink(uint64)               {}
func (n *simNode) writeBody(p pendingSnapshot) { n.bodies = append(n.bodies, p) }
func (n *simNode) publish(v view) {
	if v.isLeader && !n.leads {
		n.s.logf("%d leads", n.id)
	}
	n.leads = v.isLeader
	if n.up != nil {
		n.up.node.publish(v)
	}
}

func (n *simNode) stop(err error) {
	n.dead = err
	if !errors.Is(err, ErrRemoved) {
		n.s.failf("%d stops: %v", n.id, err)
	}
	n.s.logf("%d stops: %v", n.id, err)
}

// persist does the first k pieces of a node's storage work.
func (n *simNode) persist(k int) {
	if n.core == nil || len(n.queue) == 0 {
		return
	}
	n.do(func() {
		k = min(k, len(n.queue))
		works := n.queue[:k:k]
		out, err := n.storer.process(works)
		if err != nil {
			n.s.failf("%d: %v", n.id, err)
			return
		}
		n.queue = n.queue[k:]
		// In the order of Node.respond.
		for _, m := range out.responses {
			if m.GetTo() != n.id {
				n.send([]*raftpb.Message{m})
			}
		}
		for _, snap := range out.snapshots {
			d, err := decodeDescriptor(snap.GetData())
			if err != nil {
				n.s.failf("%d: %v", n.id, err)
				return
			}
			n.core.snapshotSaved(snap, d.BodySize)
		}
		for _, m := range out.responses {
			if m.GetTo() == n.id {
				n.core.step(m)
			}
		}
	})
}

// apply has the store take and finish one batch.
func (n *simNode) apply() bool {
	if n.core == nil {
		return false
	}
	b, ok := n.core.applying.head()
	if !ok {
		return false
	}
	n.do(func() {
		n.core.sentHead()
		if n.up != nil {
			n.up.take(b)
			return
		}
		if b == nil {
			n.load()
			return
		}
		for _, e := range b.Entries {
			n.logged(e)
			n.state.apply(e)
		}
		if b.CaptureC != nil {
			b.CaptureC <- n.state.capture()
		}
		close(b.ApplyDoneC)
		n.core.applied()
	})
	return true
}

// logged checks that all nodes apply the same log.
func (n *simNode) logged(e commit.Entry) {
	s := n.s
	what := fmt.Sprintf("%d:%s", e.Term, e.Data)
	if first, ok := s.log[e.Index]; !ok {
		s.log[e.Index] = what
	} else if first != what {
		s.failf("%d applies %q at %d, where %q was applied before", n.id, what, e.Index, first)
	}
}

func (n *simNode) load() {
	index := n.disk.loadable
	body, ok := n.disk.bodies[index]
	if !ok {
		n.s.failf("%d has no body for snapshot %d", n.id, index)
		return
	}
	n.state = newWitness(n)
	n.state.load(index, body)
	n.s.logf("%d loaded snapshot %d with %d requests", n.id, n.state.applied, len(n.state.order))
}

// finishBody writes the oldest body that waits for it.
func (n *simNode) finishBody() bool {
	if n.core == nil || len(n.bodies) == 0 {
		return false
	}
	p := n.bodies[0]
	n.bodies = n.bodies[1:]
	n.do(func() {
		got := <-p.captureC // apply put it there
		if got.Index != p.index {
			n.core.bodyWritten(p, 0, 0, errOtherCapture)
			return
		}
		var body bytes.Buffer
		if err := got.Write(&body); err != nil {
			n.s.failf("%d: %v", n.id, err)
		}
		n.disk.writeBody(p.index, append([]byte{}, body.Bytes()...))
		n.core.bodyWritten(p, int64(body.Len()), 0, nil)
	})
	return true
}
