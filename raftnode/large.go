package raftnode

import (
	"errors"
	"slices"

	"go.etcd.io/raft/v3"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// Large requests, of more than MaxEntryBytes.
//
// The leader puts them into the log in parts, each of which is an entry of ordinary
// size (commit.Assembly has the rules). So nothing that raft, the log and the links do
// ever takes as long as a large request is: heartbeats, other requests and
// acknowledgements go in between, and raft's own bounds on what is in flight and on
// what is sent again hold. The state machine puts the parts together.
//
// A follower brings a large request to the leader over a connection of its own
// (bulk.go).
type large struct {
	queue    []largeRequest
	at       int      // so many bytes of queue[0] are in the log
	inflight []uint64 // indexes of parts that are not committed
	retryAt  uint64   // c.now before which nothing is brought to the leader
}

type largeRequest struct {
	pr   *commit.Proposal // nil: another member's
	data []byte
	from uint64 // that member
	left func() // not nil: called when the request is no longer in the queue
}

// maxInflightParts bounds the parts that are not committed: enough to keep the disks
// busy, and what another request has to wait for at most.
const maxInflightParts = 16

// handOver is what became of a large request that was to be brought to the leader.
type handOver uint8

const (
	handedOver  handOver = iota // the leader has it
	refused                     // the leader does not have it and will not
	handOverCut                 // nobody knows
)

// add queues a large proposal of this node, unless it is on its way already.
func (l *large) add(c *core, pr *commit.Proposal) {
	if pr.Handed == c.hard.GetTerm() && pr.Taken() || l.holds(pr) {
		return
	}
	l.queue = append(l.queue, largeRequest{pr: pr, data: pr.Data})
}

func (l *large) holds(pr *commit.Proposal) bool {
	return slices.ContainsFunc(l.queue, func(r largeRequest) bool { return r.pr == pr })
}

// offerLarge queues a large request of another member. False: this node does not
// lead, or has no room for it. left is called once the request is out of the queue.
func (c *core) offerLarge(from uint64, data []byte, left func()) bool {
	if !c.isLeader() || !c.room.fits(uint64(len(data))) {
		left()
		return false
	}
	l := &c.proposals.large
	l.queue = append(l.queue, largeRequest{data: data, from: from, left: left})
	return true
}

func (l *large) shift() {
	if left := l.queue[0].left; left != nil {
		left()
	}
	l.queue = shift(l.queue, 1)
	l.at = 0
}

// sweep throws out what was withdrawn.
func (l *large) sweep() { l.drop(func(r largeRequest) bool { return r.pr != nil && r.pr.Withdrawn() }) }

// deposed forgets what only a leader may go on with: the requests of others, and the
// one that is in the log in part. Their origins send them again.
func (l *large) deposed() {
	if l.at > 0 {
		l.shift()
	}
	l.drop(func(r largeRequest) bool { return r.pr == nil })
	l.inflight = l.inflight[:0]
}

func (l *large) drop(which func(largeRequest) bool) {
	l.queue = slices.DeleteFunc(l.queue, func(r largeRequest) bool {
		gone := which(r)
		if gone && r.left != nil {
			r.left()
		}
		return gone
	})
}

// proposeParts brings the next parts into the log.
func (c *core) proposeParts() {
	l := &c.proposals.large
	for len(l.queue) > 0 && len(l.inflight) < maxInflightParts && !c.settling() && !c.applyLags() && c.proposePart() {
	}
}

// proposePart reports whether it makes sense to go on.
func (c *core) proposePart() bool {
	p := &c.proposals
	l := &p.large
	r := &l.queue[0]
	first := false
	if l.at == 0 && !c.room.fits(uint64(len(r.data))) {
		l.shift() // as in seal
		return true
	}
	end := min(l.at+c.cfg.partBytes(), len(r.data))
	if !c.room.fits(uint64(end - l.at)) {
		return false // the rest waits for room, or for another leader to do it all again
	}
	if r.pr != nil && l.at == 0 {
		var ok bool
		if ok, first = r.pr.Take(); !ok {
			l.shift() // withdrawn: its client has been told that it is not applied
			return true
		}
	}
	// The end of the request comes with what the entry begins with, so that it is
	// stamped with the time at which it is complete.
	var head []byte
	if end == len(r.data) {
		head = c.cfg.SealLarge(nil, len(r.data))
	}
	p.sealed = commit.AppendPart(p.sealed[:0], len(r.data), l.at, head, r.data[l.at:end])
	if err := c.rn.Propose(p.sealed); err != nil {
		if first {
			r.pr.Release()
		}
		if !errors.Is(err, raft.ErrProposalDropped) {
			c.lg.Error("propose", zap.Error(err))
		}
		return false
	}
	if r.pr != nil {
		r.pr.Handed = c.hard.GetTerm()
	} else {
		c.traffic.forwarded(c, r.from)
	}
	if l.at = end; end == len(r.data) {
		l.shift()
	}
	c.ready() // as in seal
	return true
}

// partBytes is how much of a request one entry takes: a little less than an entry may
// be, so that it fits into the buffers of the WAL and of rafthttp with what they add.
func (c *Config) partBytes() int { return int(c.MaxEntryBytes - c.MaxEntryBytes/16) }

// forwardLarge brings large requests to the leader.
func (c *core) forwardLarge() {
	l := &c.proposals.large
	if c.now < l.retryAt {
		return
	}
	queue := l.queue
	l.queue = nil
	for _, r := range queue {
		ok, first := r.pr.Take()
		if !ok {
			continue
		}
		term := c.hard.GetTerm()
		r.pr.Handed = term
		c.env.forwardLarge(c.soft.Lead, r.data, func(c *core, outcome handOver) {
			c.largeForwarded(r.pr, term, first, outcome)
		})
	}
}

// largeForwarded takes the answer of forwardLarge, which was called in term. What is
// refused is tried again, unless its client has been told meanwhile that it is not
// applied. An answer that comes when the request has been handed to somebody else
// since says nothing: that one may have it. (Found by TestRandomSchedules: it was
// released, withdrawn, and applied.)
func (c *core) largeForwarded(pr *commit.Proposal, term uint64, first bool, outcome handOver) {
	l := &c.proposals.large
	if outcome == handedOver || pr.Handed != term {
		return
	}
	pr.Handed = 0 // its proposer sends it again
	if outcome == refused && first {
		pr.Release()
		if !l.holds(pr) {
			l.queue = append(l.queue, largeRequest{pr: pr, data: pr.Data})
			l.retryAt = c.now + uint64(c.cfg.HeartbeatTicks)
		}
	}
}
