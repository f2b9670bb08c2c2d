package store

import (
	"github.com/raftredis/raftredis/raftnode/commit"
)

// inflight is the window of this node's requests that have no outcome yet, in the
// order of their numbers. It is the outbox's, whose lock is held for all of it.
type inflight struct {
	ring  []*Batch // request seq is at seq modulo its length, a power of two
	floor uint64   // lowest number without an outcome; next if there is none
	next  uint64   // number of the next request
	open  int
	bytes int // of the small ones
	arena arena

	largeBytes int
}

const minRing = 64

func newInflight() inflight {
	return inflight{ring: make([]*Batch, minRing), floor: 1, next: 1}
}

func (f *inflight) slot(seq uint64) **Batch { return &f.ring[seq&uint64(len(f.ring)-1)] }

// add gives b the next number.
func (f *inflight) add(b *Batch) {
	if f.next-f.floor == uint64(len(f.ring)) {
		grown := make([]*Batch, 2*len(f.ring))
		for seq := f.floor; seq < f.next; seq++ {
			grown[seq&uint64(len(grown)-1)] = *f.slot(seq)
		}
		f.ring = grown
	}
	b.seq = f.next
	*f.slot(b.seq) = b
	f.next++
	f.open++
	f.count(b, b.size)
}

// take removes the request and returns its batch, nil if it has its outcome
// already. Whoever takes it owes the client the answer.
func (f *inflight) take(seq uint64) *Batch {
	if seq < f.floor || seq >= f.next {
		return nil
	}
	b := *f.slot(seq)
	if b == nil {
		return nil
	}
	*f.slot(seq) = nil
	f.open--
	f.count(b, -b.size)
	for f.floor < f.next && *f.slot(f.floor) == nil {
		f.floor++
	}
	if f.open == 0 && len(f.ring) > 16*minRing {
		f.ring = make([]*Batch, minRing) // one request that got stuck had made it grow
	}
	return b
}

func (f *inflight) count(b *Batch, size int) {
	if b.large() {
		f.largeBytes += size
	} else {
		f.bytes += size
	}
}

// largeRequest is from how many bytes on a request is not counted with the others.
const largeRequest = 1 << 20

func (b *Batch) large() bool { return b.size > largeRequest }

// each calls visit for every request in the order of numbers. visit may take
// the one it is called with.
func (f *inflight) each(visit func(*Batch)) {
	for seq := f.floor; seq < f.next; seq++ {
		if b := *f.slot(seq); b != nil && b.seq == seq {
			visit(b)
		}
	}
}

// arena allocates proposals and the data of small ones many at a time. Neither can be used
// again: the raft node may hold a proposal for as long as it likes, so the
// garbage collector has to say when one is free.
type arena struct {
	proposals []commit.Proposal
	data      []byte
}

const (
	arenaProposals = 32
	arenaData      = 16 << 10
	// arenaMax is the biggest request that is copied into shared memory. A bigger
	// one gets its own, so that no small request can keep it alive.
	arenaMax = 1 << 10
)

// proposal returns a proposal of the request, which is b's own memory and, if it is not a
// small one, handed over until the batch is finished.
func (a *arena) proposal(b *Batch, request []byte) *commit.Proposal {
	if len(request) > arenaMax {
		b.lent = true
		return &commit.Proposal{Data: request}
	}
	if len(a.proposals) == 0 {
		a.proposals = make([]commit.Proposal, arenaProposals)
	}
	if len(a.data) < len(request) {
		a.data = make([]byte, arenaData)
	}
	p := &a.proposals[0]
	a.proposals = a.proposals[1:]
	p.Data = a.data[:len(request):len(request)]
	a.data = a.data[len(request):]
	copy(p.Data, request)
	return p
}
