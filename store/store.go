package store

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/machine"
)

// Config says what a Store is made of.
type Config struct {
	// Table is all commands. Entries name commands, so every node must have every
	// write that any node lets in.
	Table *command.Table

	// Member is this node's raft id.
	Member uint64

	// ProposalTimeout is how long a write may wait for its outcome (a large one that
	// is on its way a second longer for each 4 MiB) and a linearizable read for its
	// confirmation. 0: DefaultProposalTimeout.
	ProposalTimeout time.Duration

	// MaxPendingBytes bounds the requests that wait for their outcome, those of more
	// than a megabyte apart. Beyond it writes are refused at once. 0:
	// DefaultMaxPendingBytes.
	MaxPendingBytes int

	// Now is the machine's clock, for tests and for playing with skewed clocks.
	// nil: time.Now. The differences of its values must be those of a monotonic
	// clock.
	Now func() time.Time

	// Tasks is where the store enters what may take long. Nil: nobody is told.
	Tasks *commit.Tasks
	// KeepLevel is as for Store.KeepLevel. 0: the level rises.
	KeepLevel command.Level
	// Forms says that this node is one of those that form a new cluster.
	Forms bool

	// Logger may be nil.
	Logger *zap.Logger

	seed func() uint64 // chance for entries; tests pin it
}

// Defaults for Config.
const (
	DefaultProposalTimeout = 5 * time.Second
	DefaultMaxPendingBytes = 256 << 20
)

// Consensus is what the store needs of the raft node beside the channels.
type Consensus interface {
	commit.View

	// AskIndex has answer called with an index that is at or above that of every entry
	// that was committed anywhere when left was called; so whoever comes until then may
	// share it. Both are called on the raft goroutine and must not block. It comes once there
	// is a leader, and never if the node stops.
	AskIndex(left func(), answer func(index uint64))
	// Waiting says for whom the node waits before it can take part in a cluster, "" if
	// it does. It must be cheap.
	Waiting() string
	// Incoming returns the latest snapshot that was sent to this node, whether all
	// of it is there or not. It is called often and must be cheap.
	Incoming() commit.Transfer
	// Incarnation counts the starts of this member: higher at every start, on
	// disk before the first proposal.
	Incarnation() uint64
}

// node is what Start brings.
type node struct {
	Consensus
	incarnation uint64
}

// Store is one replicated keyspace: the lock around the state machine, and the parts
// that work beside it. Each part owns what it guards and says so where it is declared;
// what stands here is the store's own.
type Store struct {
	cfg    Config
	logger *zap.Logger
	node   atomic.Pointer[node]
	clock  *clock
	stats  counters

	// mu guards the machine: see the package comment for the order of locks. The
	// applier changes it, under Lock.
	mu      sync.RWMutex
	m       *machine.Machine
	applier applier

	outbox    *outbox      // requests on their way to the log
	waits     indexWaits   // who waits for an index to be applied
	barrier   barrier      // linearizable reads
	expiry    expiry       // deletions of keys that are due
	pressure  pressure     // how much memory is used, and evictions
	told      readsTold    // reads that the others are to know of
	readiness readiness    // whether clients are answered
	room      room         // clients that wait for a write
	gate      gate         // clients on their way there
	reads     blockedReads // clients that wait for something to read
	hub       hub          // subscribers
	absences  absences     // keys that are watched and not there
	tracking  tracking     // clients that cache
	scripts   scripts      // those that are run
	levels    levels       // what may be in the log
	readings  sync.Pool    // *reading

	hearing      atomic.Bool // this run has caught up: what is published is news
	lastSnapshot atomic.Int64
	users        atomic.Pointer[acl.Users] // the machine's
	commands     *acl.Commands
	onUsers      atomic.Pointer[func()]

	captureC chan chan *machine.Picture
	lookC    chan func() // see between
	errorC   chan error
	ctx      context.Context // ends with the store
	cancel   context.CancelFunc
	stopC    <-chan struct{} // of ctx
	stopOnce sync.Once
	wg       sync.WaitGroup
}

// New returns a store without contents. It sends on proposeC until it is closed, and
// does not close it.
func New(cfg Config, proposeC chan<- *commit.Proposal) *Store {
	if cfg.ProposalTimeout == 0 {
		cfg.ProposalTimeout = DefaultProposalTimeout
	}
	if cfg.MaxPendingBytes == 0 {
		cfg.MaxPendingBytes = DefaultMaxPendingBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.seed == nil {
		cfg.seed = rand.Uint64
	}
	c := newClock(cfg.Now)
	cfg.Now = c.source
	s := &Store{
		cfg:      cfg,
		logger:   cfg.Logger,
		clock:    c,
		scripts:  scripts{turn: make(chan struct{}, 1)},
		expiry:   expiry{wakeC: make(chan struct{}, 1)},
		pressure: pressure{wakeC: make(chan struct{}, 1)},
		told:     readsTold{wakeC: make(chan struct{}, 1)},
		captureC: make(chan chan *machine.Picture),
		lookC:    make(chan func()),
		errorC:   make(chan error, 1),
	}
	s.outbox = newOutbox(&s.cfg, c, proposeC, s.answerUnapplied)
	s.barrier = barrier{clock: c, waits: &s.waits, timeout: microsOf(cfg.ProposalTimeout)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.stopC = s.ctx.Done()
	s.applier = applier{s: s, read: newReading(s), sent: -1}
	s.commands = acl.NewCommands(cfg.Table)
	s.m = machine.New(cfg.Table, &s.applier)
	s.users.Store(s.m.Users())
	raisedC := make(chan struct{})
	s.levels.raisedC.Store(&raisedC)
	s.levels.inForce.Store(uint64(s.m.Level()))
	s.levels.most.Store(uint64(command.Latest))
	if cfg.KeepLevel != 0 {
		s.levels.most.Store(uint64(cfg.KeepLevel))
	}
	return s
}

// Start joins the store to the raft node and returns at once: loading the
// snapshot is the first thing that the apply loop does. See Readiness.
func (s *Store) Start(c Consensus, commitC <-chan *commit.Batch, snapshotterReady <-chan commit.Snapshotter) {
	s.readiness.started = s.clock.mono()
	n := &node{c, c.Incarnation()}
	s.node.Store(n)
	s.outbox.start(n)
	s.barrier.start(n)
	s.wg.Go(func() { s.runApply(commitC, snapshotterReady) })
	s.wg.Go(s.runExpire)
	s.wg.Go(s.runEvict)
	s.wg.Go(s.runReads)
	s.wg.Go(s.runGiveUp)
	s.wg.Go(s.runLevel)
	s.wg.Go(s.runGreeting)
}

// runGreeting proposes a request without contents until one is applied. By then
// the node has caught up, knows the leader's clock, and has told the state
// machine that what its earlier runs asked for must not come true any more.
func (s *Store) runGreeting() {
	var b Batch
	doneC := make(chan struct{}, 1)
	for {
		b.Reset()
		b.greet()
		var reply command.Recorded
		s.Submit(&b, &reply, func() { doneC <- struct{}{} })
		<-doneC
		if reply.Err() == "" {
			if s.cfg.Forms {
				s.awaitLevel()
			}
			s.readiness.caughtUp.Store(true)
			return
		}
		select {
		case <-s.stopC:
			return
		case <-time.After(retryEvery): // it is refused at once when the node is overloaded
		}
	}
}

// ErrorC delivers at most one error: an entry that cannot be decoded, a snapshot
// that cannot be loaded, a handler that panicked. The state is not what the log
// says any more, so the node must stop.
func (s *Store) ErrorC() <-chan error { return s.errorC }

func (s *Store) fatal(err error) {
	s.logger.Error("the state machine cannot go on", zap.Error(err))
	s.stop()
	s.errorC <- err // has room, and only the apply loop comes here, to end
}

// stop ends everything that waits.
func (s *Store) stop() {
	s.stopOnce.Do(func() {
		s.cancel()
		s.outbox.stop()
		s.room.stop()
		s.hub.stop()
		s.barrier.stop()
		s.waits.stop()
	})
}

// Close ends all goroutines and answers what is pending. After it nothing is
// sent on proposeC.
func (s *Store) Close() {
	s.stop()
	s.openGate()
	s.outbox.close()
	s.wg.Wait()
}

// signal wakes whoever waits on c, which has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
