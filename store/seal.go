package store

import (
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store/machine"
)

// What the raft node asks of the store while this node leads, or is about to.

// Seal builds the log entry of all requests that wait at one moment, in dst's
// memory if there is room. The raft node calls it while this node leads; the entry
// carries what the state machine may not find out by itself: the time and a source
// of chance.
func (s *Store) Seal(dst []byte, requests [][]byte) []byte {
	return machine.Seal(dst, s.clock.Stamp(), s.cfg.seed(), requests)
}

// TellTime is what this node knows of the clock that Seal stamps with. It goes along
// with this node's votes, and with leadership when that is handed over.
func (s *Store) TellTime() []byte { return s.clock.Tell() }

// HearTime takes in what another member's TellTime returned. The raft node calls it
// before this node leads; leads says that it comes from the leader.
func (s *Store) HearTime(told []byte, leads bool) {
	if err := s.clock.Hear(told, leads); err != nil {
		s.logger.Warn("another member tells a time that cannot be read", zap.Error(err))
	}
}

// SealLarge appends the beginning of an entry with one request of size bytes, which
// the raft node puts behind it. Otherwise it is like Seal.
func (s *Store) SealLarge(dst []byte, size int) []byte {
	return machine.SealLarge(dst, s.clock.Stamp(), s.cfg.seed(), size)
}
