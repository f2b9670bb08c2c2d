package raftnode

import (
	"fmt"
	"math/rand/v2"

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
// Everything in it belongs to the raft goroutine.
type core struct {
	cfg     *Config
	id      uint64
	lg      *zap.Logger
	rn      *raft.RawNode
	storage *raft.MemoryStorage
	env     environment
	random  func() uint64 // ids of membership changes

	now  uint64            // ticks since the start
	soft raft.SoftState    // leader and role, as of the last Ready
	hard *raftpb.HardState // term, vote and commit, as of the last Ready
	// hardDirty says that hard holds a newer commit index than the storage was
	// given. See storeAppend.
	hardDirty bool
	// storedTerm and storedVote are what the storage was last given.
	storedTerm, storedVote uint64

	handedOut position // the last entry that went into applying

	members   *membership       // as of the last entry handed out for applying
	settled   *membership       // the last one known to be settled (settle.go)
	confState *raftpb.ConfState // the same, in raft's words
	lastHeard map[uint64]uint64 // member id -> c.now when it last answered this leader

	proposals proposals
	reads     reads
	applying  applying
	snapshots snapshots
	changes   changes
	transfers transfers
	suspicion suspicion
	traffic   traffic
	room      room
}

// position is a place in the log.
type position struct{ index, term uint64 }

// environment is the outside world of a core. None of its methods may block.
type environment interface {
	// send hands messages for other members to the network, which may lose them.
	// A MsgSnap is sent together with the body file of its index.
	send(msgs []*raftpb.Message)
	// forwardLarge brings a large request to the leader. It answers with what became
	// of it, on the raft goroutine, unless the node stops before.
	forwardLarge(to uint64, data []byte, done func(c *core, outcome handOver))
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
// or was last.
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
		storage:   raft.NewMemoryStorage(),
		hard:      &raftpb.HardState{},
		members:   newMembership(),
		settled:   newMembership(),
		confState: &raftpb.ConfState{},
		lastHeard: map[uint64]uint64{},
		room:      unlimited(),
	}
	c.snapshots.spacing = cfg.CatchUpBytes / 64
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
		c.snapshots.start(applied, d.BodySize)
		c.applying.pushSnapshot(from.snapshot)
	}
	if from.hard != nil {
		c.hard = from.hard
	}
	if i := settledIndex(from.entries); i > c.hard.GetCommit() {
		c.hard = &raftpb.HardState{Term: new(c.hard.GetTerm()), Vote: new(c.hard.GetVote()), Commit: new(i)}
		c.hardDirty = true
	}
	c.storedTerm, c.storedVote = c.hard.GetTerm(), c.hard.GetVote()
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
		// raft would panic. The log lacks entries that were committed.
		return nil, fmt.Errorf("%w: entries up to %d were committed, but the log reaches from %d to %d",
			ErrCorrupt, commit, applied, last)
	}
	for _, e := range from.entries {
		c.snapshots.appended(e)
		c.changes.logged(e)
	}

	c.rn, err = raft.NewRawNode(&raft.Config{
		ID:                        cfg.ID,
		ElectionTick:              cfg.ElectionTicks,
		HeartbeatTick:             cfg.HeartbeatTicks,
		Storage:                   c.storage,
		Applied:                   applied,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             1 << 20,
		MaxCommittedSizePerReady:  16 << 20,
		MaxUncommittedEntriesSize: 0, // bounded by MaxInflightEntries
		MaxInflightMsgs:           256,
		MaxInflightBytes:          64 << 20,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    raftLogger{cfg.Logger.Sugar()},
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
	})
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	return c, nil
}

// tick moves raft's clock. The caller has stepped everything that had arrived
// before: after a pause of the whole process the leader's messages count first.
func (c *core) tick() {
	c.now++
	c.traffic.release(c)
	c.rn.Tick()
	c.suspicion.tick(c)
	c.tellCommitted()
	if c.soft.Lead == 0 {
		c.proposals.sweep()
	}
	c.reads.tick(c)
	c.changes.tick(c)
	c.transfers.tick(c)
	c.snapshots.tick(c)
	c.weighRoom()
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
			c.proposals.forwarded(c, m)
			c.traffic.forwarded(c, m.GetFrom())
		}
		return
	case msgCommitted:
		c.commitUpTo(position{m.GetIndex(), m.GetLogTerm()})
		return
	case raftpb.MsgReadIndex:
		if c.isLeader() && c.reads.tooEarly(c) {
			c.reads.hold(m)
			return
		}
	case raftpb.MsgAppResp, raftpb.MsgHeartbeatResp:
		c.lastHeard[m.GetFrom()] = c.now
	case raftpb.MsgVoteResp, raftpb.MsgPreVoteResp:
		c.hearTime(m)
	case raftpb.MsgStorageAppendResp:
		if s := m.GetSnapshot(); s != nil {
			// The leader's snapshot is durable and raft's log starts from it.
			// Everything committed that raft hands out from now on comes after
			// it, so this is its place in the order.
			c.snapshotInstalled(s)
		}
	}
	c.suspicion.heard(c, m)
	if !c.room.received(c, m) {
		return
	}
	// The only errors are about messages from members that are gone and about
	// proposals, which do not come this way.
	if err := c.rn.Step(m); err != nil {
		c.lg.Debug("message ignored", zap.Stringer("type", m.GetType()), zap.Uint64("from", m.GetFrom()), zap.Error(err))
	}
}

// run does everything that can be done now. It is called after every input.
func (c *core) run() {
	for {
		c.propose()
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
	if err := c.rn.Campaign(); err != nil {
		c.lg.Warn("campaign", zap.Error(err))
	}
}

func (c *core) isLeader() bool { return c.soft.RaftState == raft.StateLeader }

// heardFrom reports whether a member answered this leader within the last
// election timeout.
func (c *core) heardFrom(id uint64) bool {
	if id == c.id {
		return true
	}
	at, ok := c.lastHeard[id]
	return ok && c.now-at <= uint64(c.cfg.ElectionTicks)
}

func (c *core) publish() {
	c.env.publish(view{leader: c.soft.Lead, isLeader: c.isLeader(), members: c.members, settled: c.settled, refusing: c.room.refusing})
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
