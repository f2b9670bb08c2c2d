package committest

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// Log is what all members of a cluster agree on.
type Log struct {
	mu      sync.Mutex
	entries []commit.Entry // the first one has index 1
	members map[uint64]*Member
	leader  uint64 // 0: nobody takes requests in
	term    uint64
	allowed int // so many more requests are let in
	rnd     *rand.Rand
	faulty  bool
	losing  bool               // whatever is sent is lost
	late    [][]byte           // requests that will turn up later
	kept    []*commit.Proposal // they wait for a leader, or to be allowed
}

// New returns an empty log, of which member 1 is the leader. seed decides what Faulty
// does.
func New(seed uint64) *Log {
	return &Log{members: make(map[uint64]*Member), term: 1, leader: 1, allowed: math.MaxInt, rnd: rand.New(rand.NewPCG(seed, 1))}
}

// Faulty has requests lost, doubled, delayed and reordered on their way, or no longer.
func (l *Log) Faulty(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faulty = on
}

// Lose has all requests lost that have left their node, or no longer.
func (l *Log) Lose(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losing = on
}

// Allow lets so many more requests in. The others wait, and are their nodes' to take
// back.
func (l *Log) Allow(n int) {
	l.mu.Lock()
	l.allowed = n
	l.mu.Unlock()
	l.propose(nil) // what was kept
}

// Withheld takes away the requests that wait for a leader, or to be allowed.
func (l *Log) Withheld() []*commit.Proposal {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.kept
	l.kept = nil
	return kept
}

// Elect makes a member the leader, which begins a term with an empty entry; 0 is
// nobody.
func (l *Log) Elect(id uint64) {
	l.mu.Lock()
	l.leader = id
	if id != 0 {
		l.term++
		l.append(nil)
	}
	l.mu.Unlock()
	l.propose(nil) // what was kept
}

// Append appends an entry as it is.
func (l *Log) Append(data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(data)
}

// append is Append. mu is held.
func (l *Log) append(data []byte) {
	l.entries = append(l.entries, commit.Entry{Index: uint64(len(l.entries)) + 1, Term: l.term, Data: data})
	for _, m := range l.members {
		m.wake()
	}
}

// Last returns the index of the last entry.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.entries))
}

// Members returns who has joined and not stopped, by id.
func (l *Log) Members() []*Member {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sorted()
}

// sorted is Members. mu is held.
func (l *Log) sorted() []*Member {
	var all []*Member
	for _, m := range l.members {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *Member) int { return cmp.Compare(a.id, b.id) })
	return all
}

// propose is the way of requests from a member to the log. Those that are let in at
// once share an entry.
func (l *Log) propose(waiting []*commit.Proposal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting = append(l.kept, waiting...)
	l.kept = nil
	var leader *Member
	if leader = l.members[l.leader]; leader == nil || leader.seal == nil {
		l.kept = waiting
		return
	}
	var requests [][]byte
	for i, p := range waiting {
		if l.allowed == 0 {
			l.kept = slices.Clone(waiting[i:])
			break
		}
		if ok, _ := p.Take(); !ok || l.losing {
			continue
		}
		if l.allowed != math.MaxInt {
			l.allowed--
		}
		requests = l.carry(requests, p)
	}
	if l.faulty {
		requests = l.shuffle(requests)
	}
	if len(requests) > 0 {
		l.append(leader.seal(nil, requests))
	}
}

// carry adds a request to those that arrive, as often as it does. mu is held.
func (l *Log) carry(requests [][]byte, p *commit.Proposal) [][]byte {
	data := p.Data
	if !l.faulty {
		return append(requests, data)
	}
	switch l.rnd.IntN(6) {
	case 0: // lost
	case 1: // doubled
		requests = append(requests, data, data)
	case 2: // late
		p.Share()
		l.late = append(l.late, data)
	case 3: // now, and once more much later
		p.Share()
		l.late = append(l.late, data)
		requests = append(requests, data)
	default:
		requests = append(requests, data)
	}
	return requests
}

// shuffle has some of what is late arrive, and all in any order. mu is held.
func (l *Log) shuffle(requests [][]byte) [][]byte {
	for len(l.late) > 0 && l.rnd.IntN(3) == 0 {
		i := l.rnd.IntN(len(l.late))
		requests = append(requests, l.late[i])
		if l.rnd.IntN(2) == 0 {
			l.late = slices.Delete(l.late, i, i+1)
		}
	}
	l.rnd.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	return requests
}
