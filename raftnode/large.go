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
	partBytes int   // of a request in one entry
	pause     ticks // after the leader has refused one

	queue    []largeRequest
	at       int      // so many bytes of queue[0] are in the log
	inflight []uint64 // indexes of parts that are not committed
	retryAt  ticks    // before then nothing is brought to the leader
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

// departure is a large request on its way to the leader.
type departure struct {
	pr    *commit.Proposal
	first bool   // it was taken for the first time
	term  uint64 // in which it was handed to its leader
}

// add queues a large proposal of this node, unless it is on its way already: its
// proposer is impatient, and half a gigabyte takes its time.
func (l *large) add(pr *commit.Proposal, term uint64) {
	if pr.Handed == term && pr.Taken() || l.holds(pr) {
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
	if !c.isLeader() || !c.room.fits(bytesOf(data)) {
		left()
		return false
	}
	c.proposals.large.offer(largeRequest{data: data, from: from, left: left})
	return true
}

// offer queues a request of another member. REQUIRES: this node leads.
func (l *large) offer(r largeRequest) { l.queue = append(l.queue, r) }

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
// one that is in the log in part. Their origins send them again. The part that is in the
// log comes to nothing: parts of one request are of one term (commit.Assembly).
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
	for len(l.queue) > 0 && len(l.inflight) < maxInflightParts && c.mayPropose() && c.proposePart() {
	}
}

// part is the next entry's worth of the request at the head of the queue.
type part struct {
	data    []byte // all of the request
	at, end int    // the part
	release func() // not nil: the request was taken for the first time; undoes that
}

// last reports whether the request ends with this part.
func (p part) last() bool { return p.end == len(p.data) }

// next returns the next part. left is what this node may take in. What is more than
// that as a whole is dropped before its first part, so that no log begins what it
// cannot end; what has begun waits for room, or for another leader to do it all again.
func (l *large) next(left byteCount) (p part, ok bool) {
	for len(l.queue) > 0 {
		r := &l.queue[0]
		if l.at == 0 && bytesOf(r.data) > left {
			l.shift() // never taken: as in proposals.group
			continue
		}
		p = part{data: r.data, at: l.at, end: min(l.at+l.partBytes, len(r.data))}
		if byteCount(p.end-p.at) > left {
			return part{}, false // not shifted: it goes on from here
		}
		if r.pr != nil && l.at == 0 {
			// With the first part, and never again: from then on some of it may be in a
			// log, and to withdraw it would be to say that none of it is.
			taken, first := r.pr.Take()
			if !taken {
				l.shift() // withdrawn: its client has been told that it is not applied
				continue
			}
			if first {
				p.release = r.pr.Release
			}
		}
		return p, true
	}
	return part{}, false
}

// proposed notes that a part, which next has returned, is on its way into the log of
// this leader. from is the member that the request has come from, 0 if from here.
func (l *large) proposed(p part, term uint64) (from uint64) {
	r := &l.queue[0]
	if r.pr != nil {
		r.pr.Handed = term
	} else {
		from = r.from
	}
	if l.at = p.end; p.last() {
		l.shift()
	}
	return from
}

// proposePart reports whether it makes sense to go on.
func (c *core) proposePart() bool {
	l := &c.proposals.large
	p, ok := l.next(c.room.left)
	if !ok {
		return false
	}
	// The end of the request comes with what the entry begins with, so that it is
	// stamped with the time at which it is complete.
	var head []byte
	if p.last() {
		head = c.cfg.SealLarge(nil, len(p.data))
	}
	c.entry = commit.AppendPart(c.entry[:0], len(p.data), p.at, head, p.data[p.at:p.end])
	if err := c.rn.Propose(c.entry); err != nil {
		if p.release != nil {
			p.release() // as in seal: nothing has left this node
		}
		if !errors.Is(err, raft.ErrProposalDropped) {
			c.lg.Error("propose", zap.Error(err))
		}
		return false
	}
	if from := l.proposed(p, c.hard.GetTerm()); from != 0 {
		c.traffic.forwarded(c.now, from)
	}
	c.ready() // as in seal
	return true
}

// partBytes is how much of a request one entry takes: a little less than an entry may
// be, so that it fits into the buffers of the WAL and of rafthttp with what they add.
func (c *Config) partBytes() int { return int(c.MaxEntryBytes - c.MaxEntryBytes/16) }

// leaving takes all that is to be brought to the leader now out of the queue.
func (l *large) leaving(at situation) []departure {
	if at.now < l.retryAt {
		return nil
	}
	var out []departure
	for _, r := range l.queue { // all of this node: deposed has dropped the others
		ok, first := r.pr.Take()
		if !ok {
			continue // withdrawn
		}
		// The answer is of this term, and one of an earlier term counts no more: see
		// arrived.
		r.pr.Handed = at.term
		out = append(out, departure{r.pr, first, at.term})
	}
	l.queue = nil
	return out
}

// forwardLarge brings large requests to the leader.
func (c *core) forwardLarge() {
	for _, d := range c.proposals.large.leaving(c.situation()) {
		c.env.forwardLarge(c.soft.Lead, d)
	}
}

// arrived takes note of what became of a departure. What is refused is tried again,
// unless its client has been told meanwhile that it is not applied. An answer that
// comes when the request has been handed to somebody else since says nothing: that one
// may have it. (Found by TestRandomSchedules: it was released, withdrawn, and applied.)
func (l *large) arrived(now ticks, d departure, outcome handOver) {
	if outcome == handedOver || d.pr.Handed != d.term {
		return
	}
	d.pr.Handed = 0 // its proposer sends it again
	if outcome == refused && d.first {
		// Nobody has it, and nobody had it before: as if it had never been taken.
		d.pr.Release()
		if !l.holds(d.pr) {
			l.queue = append(l.queue, largeRequest{pr: d.pr, data: d.pr.Data})
			l.retryAt = now + l.pause
		}
	}
}

// largeForwarded takes the answer of environment.forwardLarge.
func (c *core) largeForwarded(d departure, outcome handOver) {
	c.proposals.large.arrived(c.now, d, outcome)
}
