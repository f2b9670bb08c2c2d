package store

import (
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/machine"
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
	if b.writes {
		err := s.outbox.propose(b)
		if err == "" {
			return // it may have been answered by now
		}
		b.err = err
	}
	go s.answerUnapplied(b)
}

// answerUnapplied answers what did not become part of an applied entry: b.err for
// each command that needed one, and the others from the state as it is.
func (s *Store) answerUnapplied(b *Batch) {
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
