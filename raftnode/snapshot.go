package raftnode

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// snapshots decides when a snapshot is taken and what may be dropped after it.
//
// The way of an own snapshot, none of which blocks raft or the store:
//
//	raft goroutine     a batch goes out with CaptureC          (requestSnapshot)
//	store              applies the batch, answers with a Capture
//	background         body file: temp, fsync, rename, dir fsync    (writeBody)
//	storage goroutine  descriptor, dir fsync, WAL record, release WAL locks
//	raft goroutine     tells raft                           (snapshotSaved)
//	background         removes old WAL and snapshot files
//
// The order matters: a descriptor never names a body that may be missing, and
// raft never starts from a snapshot that the WAL does not vouch for.
type snapshots struct {
	last     uint64 // index of the newest snapshot
	previous uint64 // and of the one before: the WAL is kept from there on
	lastBody uint64 // size of the newest body

	// logBytes is the size of the entries since last, and logBytesThen what it
	// was when the snapshot in progress was asked for.
	logBytes, logBytesThen uint64
	inProgress             bool
	pending                uint64 // its index
	wanted                 bool   // somebody called Snapshot
	waiting                []chan<- error
	// retryAt is c.now when a snapshot is tried again after one had to be given up,
	// 0 if none had.
	retryAt uint64

	// marks are places in the log about spacing bytes apart, with the bytes before
	// them, so that compaction by bytes need not measure every entry again.
	marks   []mark
	spacing uint64
	total   uint64

	// owed are members that need a snapshot and for which one is being taken;
	// sending holds the index of the snapshot that is on its way to a member. The
	// log behind both is kept, or the member would need another one right after.
	owed    map[uint64]owed
	sending map[uint64]uint64
	sent    uint64 // how many have been sent
}

// owed is a snapshot that a member waits for.
type owed struct {
	index uint64 // the log is kept from here
	asked uint64 // c.now when raft last asked for it
}

type mark struct{ index, bytes uint64 }

// pendingSnapshot is a snapshot from the request on until its body is written.
type pendingSnapshot struct {
	position
	members   *membership // as of index, as is confState
	confState *raftpb.ConfState
	captureC  chan commit.Capture
}

// start sets the snapshot that the log begins with.
func (s *snapshots) start(index uint64, bodySize int64) {
	s.previous, s.last = s.last, index
	s.lastBody = uint64(max(bodySize, 0))
	s.logBytes, s.logBytesThen = 0, 0
	s.marks = nil
}

// appended measures an entry that goes into the log.
func (s *snapshots) appended(e *raftpb.Entry) (size uint64) {
	size = uint64(proto.Size(e))
	for len(s.marks) > 0 && s.marks[len(s.marks)-1].index >= e.GetIndex() {
		s.marks = s.marks[:len(s.marks)-1] // overwritten by a new leader
	}
	if len(s.marks) == 0 || s.total-s.marks[len(s.marks)-1].bytes >= s.spacing {
		s.marks = append(s.marks, mark{e.GetIndex(), s.total})
	}
	s.logBytes += size
	s.total += size
	return size
}

// threshold is the number of log bytes that trigger a snapshot.
func (s *snapshots) threshold(cfg *Config) uint64 {
	return min(max(cfg.SnapshotBytes, s.lastBody), cfg.MaxLogBytes)
}

// requestSnapshot asks the store for a Capture behind the last entry that was
// handed out, if it is time.
func (c *core) requestSnapshot() {
	s := &c.snapshots
	if s.inProgress || !s.wanted && s.logBytes < s.threshold(c.cfg) || len(s.waiting) == 0 && c.now < s.retryAt {
		return
	}
	if c.handedOut.index <= s.last {
		s.answer(nil) // the newest snapshot has everything
		return
	}
	p := &pendingSnapshot{
		position:  c.handedOut,
		members:   c.members,
		confState: c.confState,
		captureC:  make(chan commit.Capture, 1),
	}
	a := &c.applying
	if n := len(a.unsent); n > 0 && a.unsent[n-1].batch == nil && a.unsent[n-1].snapshot == nil {
		a.unsent[n-1].capture = p
	} else {
		a.push(applyBatch{capture: p})
	}
	s.inProgress, s.pending = true, p.index
	s.logBytesThen = s.logBytes
}

// bodyWritten takes the answer of writeBody.
func (c *core) bodyWritten(p pendingSnapshot, size int64, crc uint32, err error) {
	s := &c.snapshots
	switch {
	case errors.Is(err, errOtherCapture), err == nil && p.index <= s.last:
		// The store, or raft itself, has moved on to a snapshot from the leader.
		c.lg.Info("snapshot abandoned", zap.Uint64("index", p.index), zap.Error(err))
		s.inProgress = false
		c.requestSnapshot()
		return
	case exhausted(err):
		c.snapshotFailed(p.index, err)
		return
	case err != nil:
		c.env.stop(fmt.Errorf("write snapshot %d: %w", p.index, err))
		return
	}
	w := storageWork{
		ownSnapshot: &raftpb.Snapshot{
			Data: p.members.describe(size, crc),
			Metadata: &raftpb.SnapshotMetadata{
				ConfState: p.confState,
				Index:     new(p.index),
				Term:      new(p.term),
			},
		},
		release: s.last, // becomes the second newest
	}
	c.attachHardState(&w)
	c.env.store(w)
}

// snapshotSaved takes the answer of the storage goroutine for an own snapshot:
// it is durable and in the WAL.
func (c *core) snapshotSaved(snap *raftpb.Snapshot, bodySize int64) {
	s := &c.snapshots
	s.inProgress = false
	index := snap.GetMetadata().GetIndex()
	if index > s.last {
		_, err := c.storage.CreateSnapshot(index, snap.GetMetadata().GetConfState(), snap.GetData())
		if err != nil && !errors.Is(err, raft.ErrSnapOutOfDate) {
			c.env.stop(fmt.Errorf("snapshot %d: %w", index, err))
			return
		}
		s.previous, s.last = s.last, index
		s.lastBody = uint64(bodySize)
		s.logBytes -= s.logBytesThen
		c.lg.Info("snapshot taken", zap.Uint64("member", c.id), zap.Uint64("index", index), zap.Int64("bytes", bodySize))
		c.compact() // it may be long until something else is applied
	}
	s.answer(nil)
}

// snapshotFailed takes note of an own snapshot for which there was no room on the
// disk or no file descriptor. Nothing of it is left, and nothing depends on it but
// that the log goes on growing: it is tried again.
func (c *core) snapshotFailed(index uint64, err error) {
	s := &c.snapshots
	s.inProgress = false
	s.retryAt = c.now + snapshotRetryTicks
	c.lg.Warn("snapshot given up, it will be tried again", zap.Uint64("member", c.id), zap.Uint64("index", index), zap.Error(err))
	s.answer(fmt.Errorf("snapshot given up: %w", err))
}

// snapshotRetryTicks is how long a snapshot that had to be given up is left alone.
const snapshotRetryTicks = 200

// tick tries a snapshot again.
func (s *snapshots) tick(c *core) {
	if s.retryAt != 0 && c.now >= s.retryAt {
		s.retryAt = 0
		c.requestSnapshot()
	}
}

// compact drops applied entries from the log in memory, but for the tail that
// members a little behind will ask for: CatchUpBytes, or, on a leader, as much as
// the slowest member lacks up to SnapshotBytes. The log on disk is another matter:
// it reaches back to the snapshot before the newest one.
//
// It is called whenever entries have been applied or a snapshot has been taken, and
// does nothing unless it is worth it.
func (c *core) compact() {
	s := &c.snapshots
	worth := c.cfg.CatchUpBytes / 4
	if s.last == 0 { // raft must have some snapshot to offer for what is not in the log
		return
	}
	if len(s.marks) == 0 || s.total-s.marks[0].bytes <= c.cfg.CatchUpBytes+worth {
		return
	}
	keepFrom := min(c.rn.BasicStatus().Applied, s.tail(c.cfg.CatchUpBytes))
	if c.isLeader() {
		most := s.tail(c.cfg.SnapshotBytes)
		c.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
			if id != c.id {
				keepFrom = min(keepFrom, max(pr.Match, most))
			}
		})
	}
	if s.inProgress {
		keepFrom = min(keepFrom, s.pending) // raft wants to know its term
	}
	for to, o := range s.owed {
		if c.now-o.asked > uint64(2*c.cfg.ElectionTicks) {
			delete(s.owed, to)
			continue
		}
		keepFrom = min(keepFrom, o.index)
	}
	for _, index := range s.sending {
		keepFrom = min(keepFrom, index)
	}
	n := 0
	for n < len(s.marks) && s.marks[n].index <= keepFrom {
		n++
	}
	if n == 0 || s.marks[n-1].bytes-s.marks[0].bytes < worth {
		return
	}
	keepFrom = s.marks[n-1].index
	if err := c.storage.Compact(keepFrom); err != nil && !errors.Is(err, raft.ErrCompacted) {
		c.env.stop(fmt.Errorf("compact the log to %d: %w", keepFrom, err))
		return
	}
	s.marks = shift(s.marks, n-1)
}

// tail returns the index behind which the log has at most n bytes, about.
func (s *snapshots) tail(n uint64) uint64 {
	for _, m := range s.marks {
		if s.total-m.bytes <= n {
			return m.index
		}
	}
	return math.MaxUint64
}

// snapshotInstalled takes over a snapshot of the leader, which is durable and has
// replaced the log.
func (c *core) snapshotInstalled(snap *raftpb.Snapshot) {
	d, err := decodeDescriptor(snap.GetData())
	if err != nil {
		c.env.stop(fmt.Errorf("install snapshot: %w", err))
		return
	}
	before := c.members
	meta := snap.GetMetadata()
	c.members = d.membership()
	c.confState = meta.GetConfState()
	c.snapshots.start(meta.GetIndex(), d.BodySize)
	c.handedOut = position{meta.GetIndex(), meta.GetTerm()}
	c.applying.pushSnapshot(snap)
	c.linkChanged(before, c.members)
	c.changes.reached(meta.GetIndex())
	c.publish()
	c.lg.Info("snapshot installed", zap.Uint64("member", c.id), zap.Uint64("index", meta.GetIndex()), zap.Int64("bytes", d.BodySize))
}

// sendableSnapshot decides about a MsgSnap. A member that came in after the newest
// snapshot was taken is not in it, and would refuse it for that, again and again;
// and one that does not reach the log in memory is of no use. Then the member gets
// a new one: raft asks again at the next heartbeat.
func (c *core) sendableSnapshot(m *raftpb.Message) bool {
	s, to, meta := &c.snapshots, m.GetTo(), m.GetSnapshot().GetMetadata()
	cs := meta.GetConfState()
	first, err := c.storage.FirstIndex()
	if err != nil {
		c.env.stop(fmt.Errorf("send snapshot: %w", err))
		return false
	}
	if meta.GetIndex()+1 >= first && (slices.Contains(cs.GetVoters(), to) || slices.Contains(cs.GetLearners(), to)) {
		delete(s.owed, to)
		s.sendingSnapshot(to, meta.GetIndex())
		return true
	}
	c.rn.ReportSnapshot(to, raft.SnapshotFailure)
	s.wanted = true
	c.requestSnapshot()
	if s.owed == nil {
		s.owed = map[uint64]owed{}
	}
	o, again := s.owed[to]
	if !again {
		o.index = c.handedOut.index
	}
	o.asked = c.now
	s.owed[to] = o
	return false
}

func (s *snapshots) answer(err error) {
	s.wanted = false
	for _, errC := range s.waiting {
		errC <- err
	}
	s.waiting = nil
}

// sendingSnapshot notes that a snapshot is on its way to a member.
func (s *snapshots) sendingSnapshot(to, index uint64) {
	if s.sending == nil {
		s.sending = map[uint64]uint64{}
	}
	s.sending[to] = index
	s.sent++
}

// snapshotSent takes the network's word on a snapshot that was sent.
func (c *core) snapshotSent(to uint64, status raft.SnapshotStatus) {
	delete(c.snapshots.sending, to)
	c.rn.ReportSnapshot(to, status)
}

// Snapshot takes a snapshot now and returns once it is durable.
func (n *Node) Snapshot(ctx context.Context) error {
	errC := make(chan error, 1)
	n.inbox.run(func(c *core) {
		c.snapshots.wanted = true
		c.snapshots.waiting = append(c.snapshots.waiting, errC)
		c.requestSnapshot()
	})
	select {
	case err := <-errC:
		return err
	case <-ctx.Done():
		return fmt.Errorf("snapshot: %w", ctx.Err())
	case <-n.doneC:
		return commit.ErrStopped
	}
}
