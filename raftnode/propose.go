package raftnode

import (
	"errors"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// proposals are the requests that wait for their turn (on the leader), or to be
// sent to the leader (on a follower), or for a leader at all.
//
// On the leader, all that wait become one entry (group commit), and only
// MaxInflightEntries such entries are uncommitted at a time: the busier the
// node, the more requests share one round of disk and network. On a follower
// they leave at once, in one message; nothing acknowledges them, the origin
// watches for them in the log.
type proposals struct {
	own   []*commit.Proposal
	other [][]byte // forwarded by followers
	bytes uint64   // of both

	large large // those that are more than an entry

	sealed []byte // the entry last proposed, for its memory

	inflight []uint64 // indexes of entries with requests that are not committed
	last     uint64   // index of the last entry proposed in this term
}

// add queues a proposal of this node.
func (p *proposals) add(c *core, pr *commit.Proposal) {
	switch n := len(pr.Data); {
	case n > commit.MaxRequestBytes:
		return
	case uint64(n) > c.cfg.MaxEntryBytes:
		p.large.add(c, pr)
		return
	}
	p.own = append(p.own, pr)
	p.bytes += uint64(len(pr.Data))
}

// forwarded queues the requests of another member, or drops them if too much waits
// already: their origin sends them again. REQUIRES: this node leads.
func (p *proposals) forwarded(c *core, m *raftpb.Message) {
	if p.bytes >= 2*c.cfg.MaxPendingBytes {
		return
	}
	for _, e := range m.GetEntries() {
		if len(e.GetData()) > 0 {
			p.other = append(p.other, e.GetData())
			p.bytes += uint64(len(e.GetData()))
		}
	}
}

// full asks the node to receive no more from proposeC for now.
func (p *proposals) full(c *core) bool { return p.bytes >= c.cfg.MaxPendingBytes }

// propose brings waiting requests on their way, if there is one.
func (c *core) propose() {
	p := &c.proposals
	switch {
	case c.unsettled() && len(p.own) == 0 && len(p.other) == 0 && len(p.large.queue) == 0:
		c.vouch()
	case len(p.own) == 0 && len(p.other) == 0 && len(p.large.queue) == 0:
	case c.isLeader():
		// raft may have committed what is in flight since the last Ready: then one
		// message tells the followers so and brings them the next entry.
		p.committed(c.rn.BasicStatus().GetCommit())
		for len(p.inflight) < c.cfg.MaxInflightEntries && !c.settling() && !c.applyLags() && c.seal() {
		}
		c.proposeParts()
	case c.soft.Lead != 0:
		c.forward()
		c.forwardLarge()
	}
}

// maxApplyLag is how many committed entries may wait behind those that raft has
// handed out for applying (up to MaxCommittedSizePerReady).
const maxApplyLag = 256

// applyLags reports whether this leader's own store does not keep up. Proposing
// goes on when it has caught up; until then the requests wait, and with them,
// through proposeC, the clients. The log could not be compacted otherwise.
func (c *core) applyLags() bool { return c.hard.GetCommit() > c.handedOut.index+maxApplyLag }

// seal makes one entry of the waiting requests and proposes it. raft refuses
// while leadership is being transferred; then everything goes on waiting. It
// reports whether an entry went into the log.
func (c *core) seal() bool {
	p := &c.proposals
	var requests [][]byte
	var size uint64
	fits := func(data []byte) bool {
		return len(requests) == 0 || size+uint64(len(data)) <= c.cfg.MaxEntryBytes
	}
	add := func(data []byte) {
		requests = append(requests, data)
		size += uint64(len(data))
	}

	nOther := 0
	for nOther < len(p.other) && fits(p.other[nOther]) {
		if data := p.other[nOther]; c.room.fits(uint64(len(data))) {
			add(data)
		}
		nOther++
	}
	var firsts []*commit.Proposal
	nOwn := 0
	for nOwn < len(p.own) && fits(p.own[nOwn].Data) {
		pr := p.own[nOwn]
		nOwn++
		if !c.room.fits(uint64(len(pr.Data))) {
			continue // never taken: its proposer withdraws it
		}
		ok, first := pr.Take()
		if !ok {
			continue // withdrawn: its client has been told that it is not applied
		}
		if first {
			firsts = append(firsts, pr)
		}
		add(pr.Data)
	}
	if len(requests) > 0 {
		// raft copies what is proposed (TestProposeCopies), so that one buffer does
		// for all entries.
		p.sealed = c.cfg.Seal(p.sealed[:0], requests)
		if err := c.rn.Propose(p.sealed); err != nil {
			// Nothing has left this node: what was taken for the first time may
			// still be withdrawn as "not applied".
			for _, pr := range firsts {
				pr.Release()
			}
			if !errors.Is(err, raft.ErrProposalDropped) {
				c.lg.Error("propose", zap.Error(err))
			}
			return false
		}
	}
	p.dropFirst(nOwn, nOther)
	if len(requests) == 0 {
		return false
	}
	// Show the entry to raft's next Ready before anything else happens: appended
	// must see it before propose is asked again.
	c.ready()
	return true
}

// forward sends all waiting requests to the leader, one entry per request. From
// here on nobody on this node can tell what becomes of them but the log.
func (c *core) forward() {
	p := &c.proposals
	p.dropFirst(0, len(p.other)) // taken as a leader, which this node is not any more
	n := 0
	for n < len(p.own) {
		m := &raftpb.Message{Type: raftpb.MsgProp.Enum(), To: new(c.soft.Lead), From: new(c.id)}
		var size uint64
		for n < len(p.own) && (len(m.Entries) == 0 || size+uint64(len(p.own[n].Data)) <= c.cfg.MaxEntryBytes) {
			pr := p.own[n]
			n++
			if ok, _ := pr.Take(); ok {
				m.Entries = append(m.Entries, &raftpb.Entry{Data: pr.Data})
				size += uint64(len(pr.Data))
			}
		}
		if len(m.Entries) > 0 {
			c.env.send([]*raftpb.Message{m})
		}
	}
	p.dropFirst(n, 0)
}

func (p *proposals) dropFirst(own, other int) {
	for _, pr := range p.own[:own] {
		p.bytes -= uint64(len(pr.Data))
	}
	for _, data := range p.other[:other] {
		p.bytes -= uint64(len(data))
	}
	p.own = shift(p.own, own)
	p.other = shift(p.other, other)
}

// shift drops the first n elements without keeping them reachable, and without
// letting the slice creep through ever new memory.
func shift[T any](s []T, n int) []T {
	rest := copy(s, s[n:])
	clear(s[rest:])
	return s[:rest]
}

// sweep throws out what was withdrawn, and what its proposer sent again, while
// there is no leader to send anything to.
func (p *proposals) sweep() {
	p.large.sweep()
	if len(p.own) == 0 {
		return
	}
	seen := make(map[*commit.Proposal]struct{}, len(p.own))
	kept := p.own[:0]
	for _, pr := range p.own {
		if _, dup := seen[pr]; dup || pr.Withdrawn() {
			p.bytes -= uint64(len(pr.Data))
			continue
		}
		seen[pr] = struct{}{}
		kept = append(kept, pr)
	}
	clear(p.own[len(kept):])
	p.own = kept
}

// appended notes an entry that this leader has put into its log.
func (p *proposals) appended(e *raftpb.Entry) {
	switch data := e.GetData(); {
	case e.GetType() != raftpb.EntryNormal || len(data) == 0:
		return
	case commit.IsPart(data):
		p.large.inflight = append(p.large.inflight, e.GetIndex())
	default:
		p.inflight = append(p.inflight, e.GetIndex())
	}
	p.last = e.GetIndex()
}

func (p *proposals) committed(index uint64) {
	p.inflight = committed(p.inflight, index)
	p.large.inflight = committed(p.large.inflight, index)
}

func committed(inflight []uint64, index uint64) []uint64 {
	n := 0
	for n < len(inflight) && inflight[n] <= index {
		n++
	}
	return shift(inflight, n)
}

// deposed forgets what only a leader tracks. Forwarded requests are dropped: a
// member that does not lead has no business with those of others.
func (p *proposals) deposed() {
	p.inflight, p.last = p.inflight[:0], 0
	p.dropFirst(0, len(p.other))
	p.large.deposed()
}
