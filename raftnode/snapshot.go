package raftnode

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
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
	limits snapshotLimits

	last     uint64    // index of the newest snapshot
	previous uint64    // and of the one before: the WAL is kept from there on
	lastBody byteCount // size of the newest body

	// logBytes is the size of the entries since last, and logBytesThen what it
	// was when the snapshot in progress was asked for.
	logBytes, logBytesThen byteCount
	inProgress             bool
	pending                uint64 // its index
	wanted                 bool   // somebody called Snapshot
	waiting                []chan<- error
	// retryAt is when a snapshot is tried again after one had to be given up, 0 if
	// none had.
	retryAt ticks

	// marks are places in the log about spacing bytes apart, with the bytes before
	// them, so that compaction by bytes need not measure every entry again.
	marks   []mark
	spacing byteCount
	total   byteCount

	// owed are members that need a snapshot and for which one is being taken;
	// sending holds the index of the snapshot that is on its way to a member. The
	// log behind both is kept, or the member would need another one right after.
	owed    map[uint64]owed
	sending map[uint64]uint64
	sent    uint64 // how many have been sent
}

// snapshotLimits are those of Config.
type snapshotLimits struct{ snapshot, maxLog, catchUp byteCount }

func newSnapshots(cfg *Config) snapshots {
	return snapshots{
		limits:  snapshotLimits{byteCount(cfg.SnapshotBytes), byteCount(cfg.MaxLogBytes), byteCount(cfg.CatchUpBytes)},
		spacing: byteCount(cfg.CatchUpBytes) / 64,
	}
}

// owed is a snapshot that a member waits for.
type owed struct {
	index uint64 // the log is kept from here: the snapshot will be at it or behind it
	asked ticks  // when raft last asked for it
}

type mark struct {
	index uint64
	bytes byteCount
}

// pendingSnapshot is a snapshot from the request on until its body is written.
type pendingSnapshot struct {
	position
	members   *membership // as of index, as is confState
	confState *raftpb.ConfState
	captureC  chan commit.Capture
}

// start sets the snapshot that the log begins with.
func (s *snapshots) start(index uint64, body byteCount) {
	s.previous, s.last = s.last, index
	s.lastBody = body
	s.logBytes, s.logBytesThen = 0, 0
	s.marks = nil
}

// appended measures an entry that goes into the log.
// It counts what was overwritten as well: that is in the WAL, too.
func (s *snapshots) appended(e *raftpb.Entry) (size byteCount) {
	size = byteCount(proto.Size(e))
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

// threshold is how much log triggers a snapshot. As much as the last body had, so that
// a large state is not written out for a little log; but not without a bound, since a
// restart has to replay it all.
func (s *snapshots) threshold() byteCount {
	return min(max(s.limits.snapshot, s.lastBody), s.limits.maxLog)
}

// due reports whether it is time for a snapshot. Only one at a time: a second would have
// to say which of them the log is kept for. Somebody who waits for one does not wait for
// the pause after a failure.
func (s *snapshots) due(now ticks) bool {
	return !s.inProgress && (s.wanted || s.logBytes >= s.threshold()) && (len(s.waiting) > 0 || now >= s.retryAt)
}

// want asks for a snapshot as soon as there is something for one.
func (s *snapshots) want() { s.wanted = true }

// wantNow is want, without the pause after a failure.
func (s *snapshots) wantNow() { s.wanted, s.retryAt = true, 0 }

// begin notes that a snapshot at index was asked for.
func (s *snapshots) begin(index uint64) {
	s.inProgress, s.pending = true, index
	s.logBytesThen = s.logBytes
}

// requestSnapshot asks the store for a Capture behind the last entry that was
// handed out, if it is time.
func (c *core) requestSnapshot() {
	s := &c.snapshots
	if !s.due(c.now) {
		return
	}
	if c.handedOut.index <= s.last {
		s.answer(nil) // the newest snapshot has everything
		return
	}
	// Membership and ConfState are those that the entries up to here have made: a node
	// that starts from this snapshot must not apply a change twice, nor miss one.
	p := &pendingSnapshot{
		position:  c.handedOut,
		members:   c.members,
		confState: c.confState,
		captureC:  make(chan commit.Capture, 1),
	}
	c.applying.capture(p)
	s.begin(p.index)
}

// bodyWritten takes the answer of writeBody. The body is durable, under its name; what
// it is, and that it counts, is for the storage goroutine to write, in the order of
// everything else that it writes.
func (c *core) bodyWritten(p pendingSnapshot, size int64, crc uint32, err error) {
	s := &c.snapshots
	switch {
	case errors.Is(err, errOtherCapture), err == nil && p.index <= s.last:
		// The store, or raft itself, has moved on to a snapshot from the leader. A
		// descriptor of this one would name a state that the log does not lead to any
		// more.
		c.lg.Info("snapshot abandoned", zap.Uint64("index", p.index), zap.Error(err))
		s.inProgress = false
		c.requestSnapshot()
		return
	case exhausted(err):
		c.snapshotFailed(p.index, err)
		return
	case err != nil:
		// Anything else that goes wrong on this disk may go wrong for the log as well.
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
		// Not up to this one: it becomes the second newest, and if the newest turns out
		// to be damaged at a start, the log has to lead on from there.
		release: s.last,
	}
	// The WAL ignores the record of a snapshot above the commit index that it knows,
	// and storeAppend may have held that back.
	c.attachHardState(&w)
	c.env.store(w)
}

// saved notes that an own snapshot is durable and in the WAL.
func (s *snapshots) saved(index uint64, body byteCount) {
	s.previous, s.last = s.last, index
	s.lastBody = body
	s.logBytes -= s.logBytesThen // what has come since the Capture counts for the next
}

// snapshotSaved takes the answer of the storage goroutine for an own snapshot:
// it is durable and in the WAL. Only now may raft hear of it, which compacts the log to
// it and sends it to others.
func (c *core) snapshotSaved(snap *raftpb.Snapshot, bodySize int64) {
	s := &c.snapshots
	s.inProgress = false
	index := snap.GetMetadata().GetIndex()
	if index > s.last { // else one of the leader has overtaken it
		_, err := c.storage.CreateSnapshot(index, snap.GetMetadata().GetConfState(), snap.GetData())
		if err != nil && !errors.Is(err, raft.ErrSnapOutOfDate) {
			c.env.stop(fmt.Errorf("snapshot %d: %w", index, err))
			return
		}
		// (To do without it, after an error, is no choice: the log on disk is released up
		// to the snapshot before.)
		s.saved(index, byteCount(max(bodySize, 0)))
		c.lg.Info("snapshot taken", zap.Uint64("member", c.id), zap.Uint64("index", index), zap.Int64("bytes", bodySize))
		c.compact() // it may be long until something else is applied
	}
	s.answer(nil)
}

// failed notes that a snapshot had to be given up.
func (s *snapshots) failed(now ticks) {
	s.inProgress = false
	s.retryAt = now + snapshotRetryTicks
}

// snapshotFailed takes note of an own snapshot for which there was no room on the
// disk or no file descriptor. Nothing of it is left, and nothing depends on it but
// that the log goes on growing: it is tried again.
func (c *core) snapshotFailed(index uint64, err error) {
	c.snapshots.failed(c.now)
	c.lg.Warn("snapshot given up, it will be tried again", zap.Uint64("member", c.id), zap.Uint64("index", index), zap.Error(err))
	c.snapshots.answer(fmt.Errorf("snapshot given up: %w", err))
}

// snapshotRetryTicks is how long a snapshot that had to be given up is left alone.
const snapshotRetryTicks ticks = 200

// tick reports whether a snapshot that was given up is to be tried again.
func (s *snapshots) tick(now ticks) bool {
	if s.retryAt == 0 || now < s.retryAt {
		return false
	}
	s.retryAt = 0
	return true
}

// worthwhile is how much a compaction has to drop: to copy the rest costs as much.
func (s *snapshots) worthwhile() byteCount { return s.limits.catchUp / 4 }

// compactible reports whether it may be worth it to drop something. raft must have some
// snapshot to offer for what is not in the log: without one nothing is dropped, however
// long the log.
func (s *snapshots) compactible() bool {
	return s.last > 0 && len(s.marks) > 0 && s.total-s.marks[0].bytes > s.limits.catchUp+s.worthwhile()
}

// compaction returns up to where the log in memory may be dropped: 0, if it is not
// worth it. What stays is the tail that members a little behind will ask for: CatchUpBytes,
// or, on a leader (followers are those that it has), as much as the slowest member lacks
// up to SnapshotBytes. applied bounds it: what is not applied here exists in memory
// nowhere else.
func (s *snapshots) compaction(at situation, applied uint64, followers []follower) uint64 {
	keepFrom := min(applied, s.tail(s.limits.catchUp))
	most := s.tail(s.limits.snapshot)
	for _, f := range followers {
		// One that lacks more than a snapshot costs gets a snapshot.
		keepFrom = min(keepFrom, max(f.match, most))
	}
	if s.inProgress {
		keepFrom = min(keepFrom, s.pending) // raft wants to know its term
	}
	for to, o := range s.owed {
		if at.now-o.asked > 2*at.election {
			delete(s.owed, to) // gone, or served by now
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
	if n == 0 || s.marks[n-1].bytes-s.marks[0].bytes < s.worthwhile() {
		return 0
	}
	return s.marks[n-1].index
}

// compacted notes that the log in memory begins behind index.
func (s *snapshots) compacted(index uint64) {
	s.marks = shift(s.marks, slices.IndexFunc(s.marks, func(m mark) bool { return m.index == index }))
}

// compact drops applied entries from the log in memory. The log on disk is another
// matter: it reaches back to the snapshot before the newest one.
//
// It is called whenever entries have been applied or a snapshot has been taken, and
// does nothing unless it is worth it.
func (c *core) compact() {
	s := &c.snapshots
	if !s.compactible() {
		return
	}
	var fs []follower
	if c.isLeader() {
		fs = c.followers()
	}
	keepFrom := s.compaction(c.situation(), c.rn.BasicStatus().Applied, fs)
	if keepFrom == 0 {
		return
	}
	// For what raft asks for afterwards and does not find, it sends a snapshot.
	if err := c.storage.Compact(keepFrom); err != nil && !errors.Is(err, raft.ErrCompacted) {
		c.env.stop(fmt.Errorf("compact the log to %d: %w", keepFrom, err))
		return
	}
	s.compacted(keepFrom)
}

// tail returns the index behind which the log has at most n bytes, about.
func (s *snapshots) tail(n byteCount) uint64 {
	for _, m := range s.marks {
		if s.total-m.bytes <= n {
			return m.index
		}
	}
	return math.MaxUint64
}

// snapshotInstalled takes over a snapshot of the leader, which is durable and has
// replaced the log. All that was known up to here, the membership above all, is what the
// descriptor says: the entries that made it so will never come.
func (c *core) snapshotInstalled(snap *raftpb.Snapshot) {
	d, err := decodeDescriptor(snap.GetData())
	if err != nil {
		// It was decoded before raft took it (receiver.Process), and it is durable by
		// now: there is no way back to the log of before.
		c.env.stop(fmt.Errorf("install snapshot: %w", err))
		return
	}
	before := c.members
	meta := snap.GetMetadata()
	c.members = d.membership()
	c.confState = meta.GetConfState()
	c.snapshots.start(meta.GetIndex(), byteCount(max(d.BodySize, 0)))
	// Nothing behind this index was handed out before: raft takes no snapshot at or below
	// its commit index. So the line stays in order.
	c.handedOut = position{meta.GetIndex(), meta.GetTerm()}
	c.applying.pushSnapshot(snap)
	c.linkChanged(before, c.members)
	deliverChanges(c.changes.reached(meta.GetIndex()))
	c.publish()
	c.lg.Info("snapshot installed", zap.Uint64("member", c.id), zap.Uint64("index", meta.GetIndex()), zap.Int64("bytes", d.BodySize))
}

// sendable says whether a snapshot is of use to a member, for which the log in memory
// has to go on behind it, from first on.
func sendable(to uint64, meta *raftpb.SnapshotMetadata, first uint64) bool {
	cs := meta.GetConfState()
	return meta.GetIndex()+1 >= first && (slices.Contains(cs.GetVoters(), to) || slices.Contains(cs.GetLearners(), to))
}

// sendableSnapshot decides about a MsgSnap. A member that came in after the newest
// snapshot was taken is not in it, and would refuse it for that, again and again;
// and one that does not reach the log in memory is of no use. Then the member gets
// a new one: raft asks again at the next heartbeat.
func (c *core) sendableSnapshot(m *raftpb.Message) bool {
	s, to, meta := &c.snapshots, m.GetTo(), m.GetSnapshot().GetMetadata()
	first, err := c.storage.FirstIndex()
	if err != nil {
		c.env.stop(fmt.Errorf("send snapshot: %w", err))
		return false
	}
	if sendable(to, meta, first) {
		s.sends(to, meta.GetIndex())
		return true
	}
	// raft would wait for the end of a snapshot that was never sent, and the member for
	// its entries.
	c.rn.ReportSnapshot(to, raft.SnapshotFailure)
	s.want()
	c.requestSnapshot()
	s.owe(to, c.handedOut.index, c.now)
	return false
}

// owe notes that a member waits for a snapshot that is not there yet, and that will be
// at index or behind. The first one counts, if it asks more than once: the log has to
// lead on from there.
func (s *snapshots) owe(to, index uint64, now ticks) {
	if s.owed == nil {
		s.owed = map[uint64]owed{}
	}
	o, again := s.owed[to]
	if !again {
		o.index = index
	}
	o.asked = now
	s.owed[to] = o
}

// answer tells those who wait what became of the snapshot. Each has room for it.
func (s *snapshots) answer(err error) {
	s.wanted = false
	for _, errC := range s.waiting {
		errC <- err
	}
	s.waiting = nil
}

// sends notes that a snapshot is on its way to a member.
func (s *snapshots) sends(to, index uint64) {
	delete(s.owed, to)
	if s.sending == nil {
		s.sending = map[uint64]uint64{}
	}
	s.sending[to] = index
	s.sent++
}

// snapshotSent takes the network's word on a snapshot that was sent. Until
// then raft sends the member no entries.
func (c *core) snapshotSent(to uint64, status raft.SnapshotStatus) {
	delete(c.snapshots.sending, to)
	c.rn.ReportSnapshot(to, status)
}

// awaitSnapshot takes a snapshot for somebody who waits for it.
func (c *core) awaitSnapshot(errC chan<- error) {
	c.snapshots.want()
	c.snapshots.waiting = append(c.snapshots.waiting, errC)
	c.requestSnapshot()
}

// Snapshot takes a snapshot now and returns once it is durable.
func (n *Node) Snapshot(ctx context.Context) error {
	errC := make(chan error, 1)
	n.inbox.run(func(c *core) { c.awaitSnapshot(errC) })
	select {
	case err := <-errC:
		return err
	case <-ctx.Done():
		return fmt.Errorf("snapshot: %w", ctx.Err())
	case <-n.doneC:
		return commit.ErrStopped
	}
}
