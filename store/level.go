package store

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
)

// The level in force is state (package machine). The leader raises it as soon as all
// members have told it that their programs know the next one: that they have, each for the
// run that it is in, is the raft node's to know (commit.Progress). Nothing that needs a
// level gets into a request before it is in force on the node that makes the request; as it
// never sinks, it is in force where the request is applied.

// levels is how far this node lets the level rise, and what it knows of it beyond the state.
type levels struct {
	inForce atomic.Uint64                 // the machine's, for those who do not hold Store.mu
	most    atomic.Uint64                 // what the operator of this node allows, see KeepLevel
	waits   atomic.Pointer[string]        // on a leader, for whom a higher one waits
	raisedC atomic.Pointer[chan struct{}] // is closed, and another one put in its place, when inForce changes
}

const (
	// raiseEvery is how often a leader looks whether the level can be raised. Once the
	// latest is in force, nobody looks any more.
	raiseEvery = 50 * time.Millisecond

	// firstRise is for how long the members of a new cluster keep clients waiting for the
	// latest level, so that nobody who starts one is told that his command needs it.
	firstRise = 2 * time.Second
)

// Level returns the level in force. It costs an atomic load.
func (s *Store) Level() command.Level { return command.Level(s.levels.inForce.Load()) }

// TellLevel is for the raft node: see its Config.
func (s *Store) TellLevel() (counts, inForce uint64) {
	inForce = s.levels.inForce.Load()
	return max(inForce, min(uint64(command.Latest), s.levels.most.Load())), inForce
}

// ErrLevelInForce says that a level cannot be kept back any more.
var ErrLevelInForce = errors.New("a higher level is in force already: what was written since cannot be read by an older program")

// KeepLevel has the cluster keep to a level for as long as this node is a member, so that
// all members can still go back to the release that came with it. 0: to none.
func (s *Store) KeepLevel(level command.Level) error {
	switch {
	case level == 0:
		level = command.Latest
	case level > command.Latest:
		return fmt.Errorf("this program knows levels up to %d", command.Latest)
	case level < s.Level():
		return ErrLevelInForce
	}
	s.levels.most.Store(uint64(level))
	return nil
}

// KeptLevel is what KeepLevel was called with, 0 if that is the latest.
func (s *Store) KeptLevel() command.Level {
	if most := command.Level(s.levels.most.Load()); most < command.Latest {
		return most
	}
	return 0
}

// LevelWaits says in words, if this node leads, for whom a higher level waits, and "" if it
// waits for nobody.
func (s *Store) LevelWaits() string {
	if w := s.levels.waits.Load(); w != nil && s.node.Load().IsLeader() {
		return *w
	}
	return ""
}

// refusesLevel is the error for a request that is ahead of the level in force. The front
// refuses such commands one by one; this is for whatever else proposes something, and
// the last place at which an entry can be kept out of the log that would end older members.
func (s *Store) refusesLevel(b *Batch) Error {
	needs, inForce := b.needs(), s.Level()
	if needs <= inForce {
		return ""
	}
	return Error(command.ErrLevel("this", needs, inForce))
}

// levelChanged takes over the machine's level. The apply loop calls it.
func (s *Store) levelChanged() {
	level := uint64(s.m.Level())
	if level == s.levels.inForce.Load() {
		return
	}
	s.levels.inForce.Store(level)
	s.logger.Info("a level is in force: programs that do not know it cannot be members any more",
		zap.Uint64("level", level), zap.String("since release", command.Level(level).Release()))
	next := make(chan struct{})
	close(*s.levels.raisedC.Swap(&next))
}

// WaitLevel waits until a level is in force, and answers false if the store ends before. It
// may take as long as the operator likes: see KeepLevel.
func (s *Store) WaitLevel(level command.Level) bool {
	for {
		raisedC := *s.levels.raisedC.Load()
		if s.Level() >= level {
			return true
		}
		select {
		case <-raisedC:
		case <-s.stopC:
			return false
		}
	}
}

// runLevel raises the level while this node leads.
func (s *Store) runLevel() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	said := ""
	for s.Level() < command.Latest {
		select {
		case <-s.stopC:
			return
		case <-timer.C:
			timer.Reset(raiseEvery)
		}
		n := s.node.Load()
		if !n.IsLeader() {
			said = ""
			continue
		}
		to, waits := nextLevel(n.Status())
		s.levels.waits.Store(&waits)
		switch {
		case to > s.Level():
			s.raiseLevel(to)
		case waits != said:
			s.logger.Info("the level stays as it is", zap.Uint64("level", uint64(s.Level())), zap.String("because", waits))
		}
		said = waits
	}
	s.levels.waits.Store(nil)
}

// nextLevel returns what all members can apply, and who of them keeps it from being more.
func nextLevel(st commit.Status) (level command.Level, waits string) {
	level = command.Latest
	var keep []string
	for _, m := range st.Members {
		said := command.Level(st.Progress[m.ID].Level)
		level = min(level, said)
		switch {
		case said == 0:
			keep = append(keep, fmt.Sprintf("member %d is not heard of", m.ID))
		case said < command.Latest:
			keep = append(keep, fmt.Sprintf("member %d is at level %d (its program is raftredis %s, or its cluster-level says so)", m.ID, said, said.Release()))
		}
	}
	if len(st.Members) == 0 { // not known yet
		level = 0
	}
	return level, strings.Join(keep, "; ")
}

// raiseLevel proposes a level and waits for the outcome. If it is lost, the next look
// proposes it again.
func (s *Store) raiseLevel(to command.Level) {
	var b Batch
	b.raise(to)
	doneC := make(chan struct{})
	s.Submit(&b, command.Discard{}, func() { close(doneC) })
	<-doneC
}

// awaitLevel waits until a new cluster is at the level that this node tells, or some member
// is not there yet, or is an older program.
func (s *Store) awaitLevel() {
	timer := time.NewTimer(firstRise)
	defer timer.Stop()
	for {
		raisedC := *s.levels.raisedC.Load()
		if told, inForce := s.TellLevel(); inForce >= told {
			return
		}
		select {
		case <-raisedC:
		case <-timer.C:
			return
		case <-s.stopC:
			return
		}
	}
}
