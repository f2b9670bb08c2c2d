package store

import (
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/machine"
)

const (
	// retryEvery is how often requests in flight are looked at. Nothing runs while
	// there are none.
	retryEvery = 50 * time.Millisecond

	// firstResend: a request that left this node and has not been applied by then
	// is sent again, and again after twice the time each, up to maxResend. It is
	// well above the latency of a loaded cluster, so that sending again does not
	// add to the load; a change of leaders, which is what loses requests, is
	// noticed at once and by itself.
	firstResend = 400 * time.Millisecond
	maxResend   = 1600 * time.Millisecond

	// leaderPatience: what the leader has taken is in its own log, and can hardly
	// get lost while it goes on leading.
	leaderPatience = 4

	// slowest is how many bytes of a request that is on its way have to be replicated
	// in a second: so much longer than others a large one may take.
	slowest = 4 << 20

	// flightOverhead is what a request in flight costs beside its bytes.
	flightOverhead = 256
)

// Submit proposes the batch's writes. It never blocks.
//
// The replies of all commands are written to reply in order, then done is called
// exactly once, from another goroutine; it must not block. Until then neither b
// nor reply may be touched. If it comes to no applied entry, each command that
// needed one is answered with one of this package's errors, and the others as
// ever.
func (s *Store) Submit(b *Batch, reply command.Reply, done func()) {
	b.reply, b.done, b.err = reply, done, ""
	if !b.writes {
		go s.giveUp(b)
		return
	}
	if err := s.propose(b); err != "" {
		b.err = err
		go s.giveUp(b)
	}
}

// propose registers the batch and sends it, or says why not.
func (s *Store) propose(b *Batch) Error {
	n := s.node.Load()
	if n == nil {
		return ErrNoLeader
	}
	if b.request.Len() > commit.MaxRequestBytes {
		return ErrTooBig // the raft node would never take it
	}
	now := s.clock.mono()
	b.size = b.request.Len() + flightOverhead
	f := &s.inflight
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.stopped {
		return ErrStopped
	}
	// A single request of any size passes, and large ones, which take their time, and
	// the others do not get in each other's way.
	waiting := f.bytes + s.sender.bytes
	if b.large() {
		waiting = f.largeBytes
	}
	if waiting > 0 && waiting+b.size > s.cfg.MaxPendingBytes {
		s.stats.overloaded.Add(1)
		return ErrBusy
	}
	f.add(b)
	b.proposal = f.arena.proposal(b, b.request.Seal(machine.Head{Origin: s.cfg.Member, Incarnation: n.incarnation, Seq: b.seq, Floor: f.floor}))
	b.sent, b.resent, b.deadline = now, now, now+s.timeout+micros(b.size)*1e6/slowest
	b.backoff = microsOf(firstResend)
	s.stats.proposals.Add(1)
	s.send(b.proposal)
	if !s.retrying {
		s.retrying = true
		s.lastLeader, _ = n.Leader()
		signal(s.retryC)
	}
	return ""
}

// sender passes proposals on while proposeC is full, so that nobody else ever
// waits for it. Guarded by inflight.mu.
type sender struct {
	queue   []*commit.Proposal
	bytes   int
	running bool
}

// send sends p on proposeC, now or as soon as there is room. inflight.mu is
// held: nothing is sent once stopped is set, so that proposeC can be closed
// after Close.
func (s *Store) send(p *commit.Proposal) {
	if !s.sender.running {
		select {
		case s.proposeC <- p:
			return
		default:
		}
		s.sender.running = true
		s.wg.Add(1)
		go s.runSender()
	}
	s.sender.queue = append(s.sender.queue, p)
	s.sender.bytes += waitingSize(p)
}

// waitingSize is what a proposal that waits to be sent counts for, beside what it
// does as a request in flight.
func waitingSize(p *commit.Proposal) int {
	if len(p.Data) > largeRequest {
		return flightOverhead
	}
	return len(p.Data) + flightOverhead
}

func (s *Store) runSender() {
	defer s.wg.Done()
	for {
		s.inflight.mu.Lock()
		queue := s.sender.queue
		s.sender.queue = nil
		if len(queue) == 0 {
			s.sender.running = false
			s.inflight.mu.Unlock()
			return
		}
		s.inflight.mu.Unlock()
		for _, p := range queue {
			select {
			case s.proposeC <- p:
			case <-s.stopC:
				return
			}
			s.inflight.mu.Lock()
			s.sender.bytes -= waitingSize(p)
			s.inflight.mu.Unlock()
		}
	}
}

// runRetry sends requests again and gives up those whose time is over.
func (s *Store) runRetry() {
	defer s.wg.Done()
	timer := time.NewTimer(retryEvery)
	timer.Stop()
	for {
		select {
		case <-s.stopC:
			return
		case <-s.retryC:
			timer.Reset(retryEvery)
		case <-timer.C:
			if s.retry() {
				timer.Reset(retryEvery)
			}
		}
	}
}

// retry reports whether there is anything left to look after.
func (s *Store) retry() bool {
	leader, _ := s.node.Load().Leader()
	now := s.clock.mono()
	f := &s.inflight
	f.mu.Lock()
	newLeader := leader != 0 && leader != s.lastLeader
	if leader != 0 {
		s.lastLeader = leader
	}
	patience := micros(1)
	if leader == s.cfg.Member {
		patience = leaderPatience
	}
	var over []*Batch
	f.each(func(b *Batch) {
		switch {
		case now >= b.deadline, now-b.sent >= s.timeout && !b.proposal.Taken():
			over = append(over, f.take(b.seq))
		case s.sender.running, !b.proposal.Taken():
			// It is still in a queue of this node.
		case newLeader || now-b.resent >= patience*b.backoff:
			b.backoff = min(2*b.backoff, microsOf(maxResend))
			b.resent = now
			s.stats.retries.Add(1)
			s.send(b.proposal)
		}
	})
	busy := f.open > 0
	s.retrying = busy
	f.mu.Unlock()
	untaken := ErrNotTaken
	if leader == 0 {
		untaken = ErrNoLeader
	}
	for _, b := range over {
		s.abandon(b, untaken)
	}
	return busy
}

// abandon ends a request, which has been taken out of the registry, without an
// applied entry. untaken is the answer if it never left this node.
func (s *Store) abandon(b *Batch, untaken Error) {
	b.err = untaken
	if !b.proposal.Withdraw() {
		b.err = ErrUnknown
	}
	s.giveUp(b)
}

// giveUp answers what did not become part of an applied entry: b.err for each
// command that needed one, and the others from the state as it is.
func (s *Store) giveUp(b *Batch) {
	switch b.err {
	case "":
	case ErrUnknown:
		s.stats.unknown.Add(1)
	default:
		s.stats.refused.Add(1)
	}
	s.mu.RLock()
	s.answerWithout(b)
	s.mu.RUnlock()
	b.finish()
}

// finish hands the batch back to its connection, which may use it again at once.
func (b *Batch) finish() {
	done := b.done
	b.failure = b.err
	b.flight = flight{}
	done()
}

// Seal builds the log entry of all requests that wait at one moment, in dst's
// memory if there is room. The raft node calls it while this node leads; the entry
// carries what the state machine may not find out by itself: the time and a source
// of chance.
func (s *Store) Seal(dst []byte, requests [][]byte) []byte {
	return machine.Seal(dst, s.clock.Stamp(), s.cfg.seed(), requests)
}

// TellTime is what this node knows of the clock that Seal stamps with. It goes along
// with this node's votes.
func (s *Store) TellTime() []byte { return s.clock.Tell() }

// HearTime takes in what another member's TellTime returned. The raft node calls it
// before this node leads.
func (s *Store) HearTime(told []byte) {
	if err := s.clock.Hear(told); err != nil {
		s.logger.Warn("a vote came with a time that cannot be read", zap.Error(err))
	}
}

// SealLarge appends the beginning of an entry with one request of size bytes, which
// the raft node puts behind it. Otherwise it is like Seal.
func (s *Store) SealLarge(dst []byte, size int) []byte {
	return machine.SealLarge(dst, s.clock.Stamp(), s.cfg.seed(), size)
}
