package raftnode

import (
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// core is the raft node without goroutines, clock, disk or network: what goes in
// are ticks, messages, requests and answers of the storage; what comes out goes
// through its environment. The same sequence of inputs gives the same outputs,
// which is how the tests run whole clusters on one goroutine.
//
// It joins raft's RawNode with parts that each own one thing that is decided here:
// proposals, reads, changes and so on. A part never sees the core, raft or the
// environment. It is told values (a situation, a message, what raft knows of the
// followers) and returns what is to be done, and the core does it. So each can be
// read alone and tested with a table, and whatever happens to the world happens in
// the methods of core.
//
// Everything in it belongs to the raft goroutine.
type core struct {
	cfg     *Config
	pace    pace
	id      uint64
	lg      *zap.Logger
	rn      *raft.RawNode
	storage *raft.MemoryStorage
	env     environment
	random  func() uint64 // ids of membership changes
	// clock is for what people are shown, and for nothing that is decided here.
	clock func() time.Time

	now  ticks             // since the start
	soft raft.SoftState    // leader and role, as of the last Ready
	hard *raftpb.HardState // term, vote and commit, as of the last Ready
	// hardDirty says that hard holds a newer commit index than the storage was
	// given. See storeAppend.
	hardDirty bool
	// storedTerm and storedVote are what the storage was last given.
	storedTerm, storedVote uint64

	handedOut position // the last entry that went into applying

	members   *membership       // as of the last entry handed out for applying
	confState *raftpb.ConfState // the same, in raft's words

	lastHeard map[uint64]ticks  // member id -> when it last answered this leader
	levels    map[uint64]uint64 // member id -> its level, as it has told this leader
	told      reign             // as last published
	peers     []follower        // the memory of followers
	entry     []byte            // the memory of the entry last proposed

	proposals  proposals
	reads      reads
	applying   applying
	snapshots  snapshots
	changes    changes
	settlement settlement
	transfers  transfers
	suspicion  suspicion
	traffic    traffic
	room       room

	// What is kept for people.
	elections elections
	lags      lags
	rounds    rounds
	pursuit   pursuit
}

// position is a place in the log.
type position struct{ index, term uint64 }

// environment is the outside world of a core. None of its methods may block: while one
// did, no heartbeat would be answered, and a slow disk would cost an election.
type environment interface {
	// send hands messages for other members to the network, which may lose them.
	// A MsgSnap is sent together with the body file of its index.
	send(msgs []*raftpb.Message)
	// forwardLarge brings a large request to the leader. It answers with
	// core.largeForwarded, unless the node stops before.
	forwardLarge(to uint64, d departure)
	// store queues work for the storage goroutine. It is done in order; then the
	// Responses to this node come back through core.step, and those to other
	// nodes are sent.
	store(w storageWork)
	// storeIdle reports whether everything given to store is done, its responses
	// included.
	storeIdle() bool
	// reachable says whether another member's process seems to be there. Only a
	// refused or broken connection is a no.
	reachable(id uint64) bool
	// link, relink and unlink tell the network about members.
	link(m commit.Member)
	relink(m commit.Member)
	unlink(id uint64)
	// writeBody writes the body of a snapshot in the background, from the Capture
	// that arrives on its captureC. It answers with core.bodyWritten.
	writeBody(s pendingSnapshot)
	// publish tells lock-free readers about the leader and the membership.
	publish(v view)
	// stop ends the node: this core cannot go on.
	stop(err error)
}

// restored is what a node finds in its data directory.
type restored struct {
	snapshot *raftpb.Snapshot // nil if there is none
	hard     *raftpb.HardState
	entries  []*raftpb.Entry
}

// empty says that there is nothing in the log, not even the members.
func (r restored) empty() bool { return r.snapshot == nil && len(r.entries) == 0 }

// committed is up to where it is known to be committed.
func (r restored) committed() uint64 {
	return max(r.hard.GetCommit(), r.snapshot.GetMetadata().GetIndex())
}

// membership is who is in the cluster, as far as the log goes, and where a member is
// or was last. It is for the network alone: changes that are not committed are in it, so
// nobody may vote or count by it.
func (r restored) membership(id uint64) (ms *membership, url string, err error) {
	ms = newMembership()
	if r.snapshot != nil {
		d, err := decodeDescriptor(r.snapshot.GetData())
		if err != nil {
			return nil, "", err
		}
		ms = d.membership()
		url = ms.members[id].PeerURL
	}
	for _, e := range r.entries {
		if e.GetType() != raftpb.EntryConfChange {
			continue
		}
		cc := &raftpb.ConfChange{}
		if err := unmarshalConfChange(e, cc); err != nil {
			return nil, "", err
		}
		ch, err := decodeChange(cc.GetContext())
		if err != nil {
			return nil, "", err
		}
		// A removed member keeps its last URL: it has to be reached for its vote until
		// the removal is settled.
		ms = ms.apply(ch)
		if m, ok := ms.members[id]; ok {
			url = m.PeerURL
		}
	}
	return ms, url, nil
}

// newCore makes the core of a node from what its disk holds.
func newCore(cfg *Config, from restored, env environment) (*core, error) {
	c := &core{
		cfg: cfg, id: cfg.ID, lg: cfg.Logger, env: env, random: rand.Uint64,
		clock:      time.Now, //nolint:forbidigo // for people: see core.clock
		rounds:     rounds{took: &commit.Histogram{}},
		pursuit:    pursuit{tasks: cfg.Tasks},
		pace:       pace{ticks(cfg.ElectionTicks), ticks(cfg.HeartbeatTicks)},
		storage:    raft.NewMemoryStorage(),
		hard:       &raftpb.HardState{},
		members:    newMembership(),
		confState:  &raftpb.ConfState{},
		lastHeard:  map[uint64]ticks{},
		levels:     map[uint64]uint64{},
		proposals:  newProposals(cfg),
		snapshots:  newSnapshots(cfg),
		settlement: settlement{members: newMembership()},
		traffic:    traffic{holds: cfg.CommitDelay >= 0},
		room:       unlimited(),
	}
	var applied uint64
	if from.snapshot != nil {
		d, err := decodeDescriptor(from.snapshot.GetData())
		if err != nil {
			return nil, err
		}
		if err := c.storage.ApplySnapshot(from.snapshot); err != nil {
			return nil, fmt.Errorf("load snapshot into the log: %w", err)
		}
		c.members = d.membership()
		c.confState = from.snapshot.GetMetadata().GetConfState()
		applied = from.snapshot.GetMetadata().GetIndex()
		c.handedOut = position{applied, from.snapshot.GetMetadata().GetTerm()}
		c.snapshots.start(applied, byteCount(max(d.BodySize, 0)))
		c.applying.pushSnapshot(from.snapshot)
	}
	if from.hard != nil {
		c.hard = from.hard
	}
	// A crash may have taken the commit index of a membership change and left an
	// entry behind it. Without this the node might count on the majority of before
	// (settle.go).
	if i := settledIndex(from.entries); i > c.hard.GetCommit() {
		c.hard = &raftpb.HardState{Term: new(c.hard.GetTerm()), Vote: new(c.hard.GetVote()), Commit: new(i)}
		c.hardDirty = true
	}
	c.storedTerm, c.storedVote = c.hard.GetTerm(), c.hard.GetVote()
	// raft reads these three when it is made. From there on only the storage goroutine
	// appends to the log in memory.
	if err := c.storage.SetHardState(c.hard); err != nil {
		return nil, fmt.Errorf("load hard state: %w", err)
	}
	if err := c.storage.Append(from.entries); err != nil {
		return nil, fmt.Errorf("load log: %w", err)
	}
	last, err := c.storage.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("load log: %w", err)
	}
	if commit := c.hard.GetCommit(); commit > last || commit < applied {
		// raft would panic. The log lacks entries that were committed: as a member, this
		// node could help to elect somebody who lacks them as well.
		return nil, fmt.Errorf("%w: entries up to %d were committed, but the log reaches from %d to %d",
			ErrCorrupt, commit, applied, last)
	}
	// As if they had just been appended: the log that is there counts for the next
	// snapshot, and a change in it keeps requests from being proposed behind it.
	for _, e := range from.entries {
		c.snapshots.appended(e)
		c.settlement.logged(e)
	}
	c.pursuit.replay(applied, c.hard.GetCommit())

	c.rn, err = raft.NewRawNode(&raft.Config{
		ID:            cfg.ID,
		ElectionTick:  cfg.ElectionTicks,
		HeartbeatTick: cfg.HeartbeatTicks,
		Storage:       c.storage,
		// The snapshot's index, not the store's: the store begins with that snapshot and
		// is given everything behind it again. It skips nothing, and nothing is missing.
		Applied:                   applied,
		AsyncStorageWrites:        true, // or a write would hold up heartbeats
		MaxSizePerMsg:             1 << 20,
		MaxCommittedSizePerReady:  16 << 20, // which bounds applying
		MaxUncommittedEntriesSize: 0,        // bounded by MaxInflightEntries
		MaxInflightMsgs:           256,
		MaxInflightBytes:          64 << 20,
		// A leader that is cut off steps down, and a member that was does not depose
		// a leader that works when it comes back (thesis 9.6).
		CheckQuorum: true,
		PreVote:     true,
		// A lease would serve old data as soon as one clock runs fast.
		ReadOnlyOption: raft.ReadOnlySafe,
		Logger:         raftLogger{cfg.Logger.Sugar()},
		// Requests travel as they are and are sealed by the leader: one clock (step).
		DisableProposalForwarding: true,
		// A leader that has applied its own removal must not go on: nobody counts it.
		StepDownOnRemoval: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	return c, nil
}

// tick moves raft's clock. The caller has stepped everything that had arrived
// before: after a pause of the whole process the leader's messages count first, or
// this node would stand for election against a leader whose heartbeats it has.
func (c *core) tick() {
	c.now++
	// Nothing is held, and no request waits for others, for longer than a tick, whatever
	// the timers do.
	c.release()
	c.proposals.gather.timeUp(c.proposals.gather.turn)
	c.proposals.gather.tick()
	c.rn.Tick()
	c.suspect()
	c.tellCommitted()     // on every member, also one that raft believes to have a leader
	if c.soft.Lead == 0 { // else nothing waits for long
		c.proposals.sweep()
	}
	if c.reads.tick(c.situation()) {
		c.nextRead()
	}
	c.promoteLearner()
	again, done := c.transfers.tick(c.situation())
	for _, to := range again {
		c.transferLeader(to)
	}
	deliverTransfers(done)
	if c.snapshots.tick(c.now) {
		c.requestSnapshot()
	}
	c.weighRoom()
	c.tellReign() // clients are told by the clock, too
	c.measureLags()
	c.pursuit.tick(c.rn.BasicStatus().Applied, c.members.members[c.id].Learner, c.now%c.second() == 0)
}

// step takes in a message, from another member or from the own storage.
func (c *core) step(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgProp:
		// Requests that another member forwards. They never reach raft as they
		// are: they wait for the next Seal with those of this node, so that one
		// clock stamps them all. Nobody but the leader takes them: the origin
		// sends again until it sees them applied.
		if c.isLeader() {
			c.proposals.forwarded(m)
			c.traffic.forwarded(c.now, m.GetFrom())
		}
		return
	case msgCommitted:
		c.commitUpTo(position{m.GetIndex(), m.GetLogTerm()})
		return
	case raftpb.MsgReadIndex:
		// raft would answer at once if this is the only voter, with a commit index
		// that may lag behind what was acknowledged (reads.leaderFrom).
		if c.isLeader() && c.reads.tooEarly(c.hard.GetCommit()) {
			c.reads.hold(m)
			return
		}
	case raftpb.MsgAppResp, raftpb.MsgHeartbeatResp:
		c.lastHeard[m.GetFrom()] = c.now
		if m.GetType() == raftpb.MsgHeartbeatResp {
			c.hearLevel(m)
		}
	case raftpb.MsgVoteResp, raftpb.MsgPreVoteResp, raftpb.MsgTimeoutNow:
		c.hearTime(m)
	case raftpb.MsgStorageAppendResp:
		if s := m.GetSnapshot(); s != nil {
			// The leader's snapshot is durable and raft's log starts from it.
			// Everything committed that raft hands out from now on comes after
			// it, so this is its place in the order. Before raft hears of it: raft
			// may hand out entries behind it right away, and a store that got those
			// first would find a gap.
			c.snapshotInstalled(s)
		}
	}
	c.suspicion.heard(c.now, m)
	c.elections.heard(m)
	c.pursuit.heard(m)
	if !c.roomFor(m) {
		return
	}
	// The only errors are about messages from members that are gone and about
	// proposals, which do not come this way.
	if err := c.rn.Step(m); err != nil {
		c.lg.Debug("message ignored", zap.Stringer("type", m.GetType()), zap.Uint64("from", m.GetFrom()), zap.Error(err))
	}
	if m.GetType() == raftpb.MsgTransferLeader {
		c.tellReign() // before the successor hears of it
	}
}

// unreachable takes the network's word that it has lost a message to a member: raft stops
// sending ahead, and looks for the end of the member's log first.
func (c *core) unreachable(id uint64) { c.rn.ReportUnreachable(id) }

// run does everything that can be done now. It is called after every input: what raft
// has to say must not wait for the next one, which may be a tick away.
func (c *core) run() {
	for {
		c.propose() // first, so that what it adds shares the Ready: see propose
		if !c.rn.HasReady() {
			c.campaignIfAlone()
			if !c.rn.HasReady() {
				return
			}
		}
		c.ready()
	}
}

// campaignIfAlone lets a cluster of one have its leader at once instead of after
// an election timeout. raft refuses to campaign before the membership changes
// in the committed part of the log are applied, hence the wait.
func (c *core) campaignIfAlone() {
	if c.soft.Lead != 0 || c.soft.RaftState != raft.StateFollower || !c.applying.idle() {
		return
	}
	v := c.confState.GetVoters()
	if len(v) != 1 || v[0] != c.id || len(c.confState.GetVotersOutgoing()) > 0 {
		return
	}
	c.campaign()
}

func (c *core) campaign() {
	if err := c.rn.Campaign(); err != nil {
		c.lg.Warn("campaign", zap.Error(err))
	}
}

func (c *core) isLeader() bool { return c.soft.RaftState == raft.StateLeader }

func (c *core) publish() {
	c.told = c.reign()
	c.env.publish(view{
		leader: c.soft.Lead, isLeader: c.isLeader(), members: c.members, settled: c.settlement.members, refusing: c.room.refusing,
		reign: c.told,
	})
}

// raftLogger gives raft's own messages to zap, one level down: what raft calls
// info is debugging for everybody else, except the elections, which Node logs.
type raftLogger struct{ *zap.SugaredLogger }

func (l raftLogger) Info(v ...any)                    { l.SugaredLogger.Debug(v...) }
func (l raftLogger) Infof(format string, v ...any)    { l.SugaredLogger.Debugf(format, v...) }
func (l raftLogger) Warning(v ...any)                 { l.SugaredLogger.Warn(v...) }
func (l raftLogger) Warningf(format string, v ...any) { l.SugaredLogger.Warnf(format, v...) }

// Fatal must not exit the process: only main may. A panic on the raft goroutine
// becomes an error on errorC.
func (l raftLogger) Fatal(v ...any)                 { l.SugaredLogger.Panic(v...) }
func (l raftLogger) Fatalf(format string, v ...any) { l.SugaredLogger.Panicf(format, v...) }
