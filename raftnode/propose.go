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
//
// Where a request may end: raft may refuse it before anything of it has left (then it
// goes on waiting), or take it, and then only the log tells what became of it. Nothing
// in between: a request that has been handed to raft or to the leader is never reported
// as "not applied".
type proposals struct {
	limits proposalLimits

	own   []*commit.Proposal
	other [][]byte  // forwarded by followers
	bytes byteCount // of both

	large large // those that are more than an entry

	inflight []uint64 // indexes of entries with requests that are not committed
	last     uint64   // index of the last entry proposed in this term
	gather   gathering
}

// proposalLimits are those of Config.
type proposalLimits struct {
	entry    byteCount // requests in one entry
	pending  byteCount // requests that wait
	inflight int       // entries with requests that are not committed
}

func newProposals(cfg *Config) proposals {
	return proposals{
		limits: proposalLimits{byteCount(cfg.MaxEntryBytes), byteCount(cfg.MaxPendingBytes), cfg.MaxInflightEntries},
		large:  large{partBytes: cfg.partBytes(), pause: ticks(cfg.HeartbeatTicks)},
	}
}

// add queues a proposal of this node, in this term.
func (p *proposals) add(pr *commit.Proposal, term uint64) {
	switch n := len(pr.Data); {
	case n > commit.MaxRequestBytes:
		return // never taken: its proposer withdraws it
	case byteCount(n) > p.limits.entry:
		pr.Share() // it travels in parts
		p.large.add(pr, term)
		return
	}
	p.own = append(p.own, pr)
	p.bytes += bytesOf(pr.Data)
}

// offer takes in a proposal of this node.
func (c *core) offer(pr *commit.Proposal) { c.proposals.add(pr, c.hard.GetTerm()) }

// forwarded queues the requests of another member, or drops them if too much waits
// already: their origin sends them again. REQUIRES: this node leads.
func (p *proposals) forwarded(m *raftpb.Message) {
	if p.bytes >= 2*p.limits.pending {
		return
	}
	for _, e := range m.GetEntries() {
		if len(e.GetData()) > 0 {
			p.other = append(p.other, e.GetData())
			p.bytes += bytesOf(e.GetData())
		}
	}
}

// full asks the node to receive no more from proposeC for now.
func (p *proposals) full() bool { return p.bytes >= p.limits.pending }

// empty reports whether nothing waits.
func (p *proposals) empty() bool {
	return len(p.own) == 0 && len(p.other) == 0 && len(p.large.queue) == 0
}

// group is what goes into one entry.
type group struct {
	requests [][]byte
	firsts   []*commit.Proposal // taken for the first time
	// own and other count what is done with once the group is in the log, or if there
	// is nothing left of it: what was withdrawn, and what there is no room for, too.
	own, other int
}

// release gives back what was taken for a group that raft has refused. Nothing has left
// this node: what was taken for the first time may still be withdrawn as "not applied".
// What had been taken before may be in somebody's log.
func (g group) release() {
	for _, pr := range g.firsts {
		pr.Release()
	}
}

// group makes one entry of the requests that wait, as far as they fit into one, and
// takes them. left is what this node may take in: a request that is more is dropped.
//
// Whoever takes a request can no longer be beaten by its withdrawal, and a withdrawn one
// is not taken: its client has been told that it is not applied.
func (p *proposals) group(left byteCount) group {
	var g group
	var size byteCount
	fits := func(data []byte) bool {
		return len(g.requests) == 0 || size+bytesOf(data) <= p.limits.entry
	}
	add := func(data []byte) {
		g.requests = append(g.requests, data)
		size += bytesOf(data)
	}
	// Those of others first: they have been on their way for longer.
	for g.other < len(p.other) && fits(p.other[g.other]) {
		// More than there is room for is dropped, like a message that got lost: the
		// origin sends it again, maybe to a leader with more space.
		if data := p.other[g.other]; bytesOf(data) <= left {
			add(data)
		}
		g.other++
	}
	for g.own < len(p.own) && fits(p.own[g.own].Data) {
		pr := p.own[g.own]
		g.own++
		if bytesOf(pr.Data) > left {
			continue // never taken: its proposer withdraws it
		}
		ok, first := pr.Take()
		if !ok {
			continue // withdrawn: its client has been told that it is not applied
		}
		if first {
			g.firsts = append(g.firsts, pr)
		}
		add(pr.Data)
	}
	return g
}

// done drops what a group has seen to.
func (p *proposals) done(g group) { p.dropFirst(g.own, g.other) }

// propose brings waiting requests on their way, if there is one.
func (c *core) propose() {
	p := &c.proposals
	switch {
	case p.empty() && c.unsettled():
		c.vouch()
	case p.empty():
	case c.isLeader():
		// raft may have committed what is in flight since the last Ready: then one
		// message tells the followers so and brings them the next entry.
		p.committed(c.rn.BasicStatus().GetCommit())
		for p.gathered() && len(p.inflight) < p.limits.inflight && c.mayPropose() && c.seal() {
		}
		c.proposeParts()
	case c.soft.Lead != 0:
		// Else they wait for a leader, and may be withdrawn meanwhile.
		c.forward()
		c.forwardLarge()
	}
}

// mayPropose reports whether requests may go into the log now: not behind a membership
// change that is not committed (settlement.settling has the reason), and not if this
// leader's own store does not keep up. They wait then, and with them, through proposeC,
// the clients.
func (c *core) mayPropose() bool {
	return !c.settlement.settling(c.hard.GetCommit()) && !c.applyLags()
}

// maxApplyLag is how many committed entries may wait behind those that raft has
// handed out for applying (up to MaxCommittedSizePerReady).
const maxApplyLag = 256

// applyLags reports whether this leader's own store does not keep up. Proposing
// goes on when it has caught up. The log could not be compacted otherwise.
func (c *core) applyLags() bool { return c.hard.GetCommit() > c.handedOut.index+maxApplyLag }

// seal makes one entry of the waiting requests and proposes it. raft refuses
// while leadership is being transferred; then everything goes on waiting. It
// reports whether an entry went into the log.
func (c *core) seal() bool {
	g := c.proposals.group(c.room.left)
	if len(g.requests) > 0 {
		// raft copies what is proposed (TestProposeCopies), so that one buffer does
		// for all entries.
		c.entry = c.cfg.Seal(c.entry[:0], g.requests)
		if err := c.rn.Propose(c.entry); err != nil {
			// raft has nothing of it, and the group stays where it was: it is not done.
			g.release()
			if !errors.Is(err, raft.ErrProposalDropped) {
				c.lg.Error("propose", zap.Error(err))
			}
			return false
		}
	}
	c.proposals.done(g)
	if len(g.requests) == 0 {
		return false
	}
	if c.cfg.GatherDelay > 0 {
		c.proposals.gather.sealed(len(g.requests))
	}
	// Show the entry to raft's next Ready before anything else happens: appended
	// must see it before propose is asked again, or there would be more entries in
	// flight than MaxInflightEntries.
	c.ready()
	return true
}

// messages makes MsgProps of all that waits, for the leader: one entry per request,
// each message no larger than an entry may be. From here on nobody on this node can tell
// what becomes of them but the log, so all of it counts as taken.
func (p *proposals) messages(self, leader uint64) []*raftpb.Message {
	// Taken as a leader, which this node is not any more. Their origins send them again.
	p.dropFirst(0, len(p.other))
	var out []*raftpb.Message
	n := 0
	for n < len(p.own) {
		m := &raftpb.Message{Type: raftpb.MsgProp.Enum(), To: new(leader), From: new(self)}
		var size byteCount
		for n < len(p.own) && (len(m.Entries) == 0 || size+bytesOf(p.own[n].Data) <= p.limits.entry) {
			pr := p.own[n]
			n++
			if ok, _ := pr.Take(); ok {
				pr.Share()
				m.Entries = append(m.Entries, &raftpb.Entry{Data: pr.Data})
				size += bytesOf(pr.Data)
			}
		}
		if len(m.Entries) > 0 {
			out = append(out, m)
		}
	}
	p.dropFirst(n, 0)
	return out
}

// forward sends all waiting requests to the leader.
func (c *core) forward() {
	if out := c.proposals.messages(c.id, c.soft.Lead); len(out) > 0 {
		c.env.send(out)
	}
}

func (p *proposals) dropFirst(own, other int) {
	for _, pr := range p.own[:own] {
		p.bytes -= bytesOf(pr.Data)
	}
	for _, data := range p.other[:other] {
		p.bytes -= bytesOf(data)
	}
	// Data of a proposal must not stay reachable from here: it may be a megabyte, and
	// the slice lives as long as the node.
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
// there is no leader to send anything to: an impatient client must not fill the node.
func (p *proposals) sweep() {
	p.large.sweep()
	if len(p.own) == 0 {
		return
	}
	// What was taken cannot be withdrawn any more, and stays: it may be in a log, and the
	// next leader is sent it once more. The state machine drops the second by its id.
	seen := make(map[*commit.Proposal]struct{}, len(p.own))
	kept := p.own[:0]
	for _, pr := range p.own {
		if _, dup := seen[pr]; dup || pr.Withdrawn() {
			p.bytes -= bytesOf(pr.Data)
			continue
		}
		seen[pr] = struct{}{}
		kept = append(kept, pr)
	}
	clear(p.own[len(kept):])
	p.own = kept
}

// appended notes an entry that this leader has put into its log. Entries that are not
// its own do not come here: raft's empty one, membership changes.
func (p *proposals) appended(e *raftpb.Entry) {
	switch data := e.GetData(); {
	case e.GetType() != raftpb.EntryNormal || len(data) == 0:
		return
	// Bounded apart from entries, or either could keep the other waiting.
	case commit.IsPart(data):
		p.large.inflight = append(p.large.inflight, e.GetIndex())
	default:
		p.inflight = append(p.inflight, e.GetIndex())
	}
	p.last = e.GetIndex()
}

// committed notes up to where the log is committed: there is room for more in flight.
func (p *proposals) committed(index uint64) {
	p.inflight = committed(p.inflight, index)
	if len(p.inflight) == 0 {
		p.gather.roundOver(p.waiting())
	}
	p.large.inflight = committed(p.large.inflight, index)
}

// waiting is how many requests wait for the next entry.
func (p *proposals) waiting() int { return len(p.own) + len(p.other) }

// gathered reports whether the next entry waits for no more requests.
func (p *proposals) gathered() bool {
	return p.gather.enough(p.waiting(), p.bytes >= p.limits.entry)
}

func committed(inflight []uint64, index uint64) []uint64 {
	n := 0
	for n < len(inflight) && inflight[n] <= index {
		n++
	}
	return shift(inflight, n)
}

// deposed forgets what only a leader tracks. Forwarded requests are dropped: a
// member that does not lead has no business with those of others, and its own leader
// gets them from where they come from. What is in flight may still be committed, and
// is not proposed again by itself: its origin finds out.
func (p *proposals) deposed() {
	p.inflight, p.last = p.inflight[:0], 0
	p.gather.deposed()
	p.dropFirst(0, len(p.other))
	p.large.deposed()
}
