package raftnode

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// Node is one member of a cluster. See doc.go for its goroutines and channels.
type Node struct {
	cfg         Config
	cluster     uint64
	incarnation uint64

	inbox   *inbox
	queue   *storageQueue
	lock    *fileutil.LockedFile // of the data directory
	disk    *disk
	network *network
	view    atomic.Pointer[view]

	commitC chan *commit.Batch
	errorC  chan error

	stopC    chan struct{} // closed: stop, handing over leadership first
	stopOnce sync.Once
	failC    chan struct{} // closed: stop at once, err says why
	failOnce sync.Once
	err      error
	doneC    chan struct{} // closed: everything has ended

	wg       sync.WaitGroup // goroutines that end with endC
	endC     chan struct{}  // closed when the raft goroutine has ended
	storageC chan struct{}  // closed when the storage goroutine has ended
	purgeC   chan struct{}
}

// New starts a node. It returns once the log is replayed and the peer listener is
// bound; the node then catches up and takes part on its own.
//
// The caller sends on proposeC and confChangeC, and stops the node by closing
// proposeC (or with Stop). On commitC come the committed batches, in order, a nil
// one first if there is a snapshot to start from; it is closed when the node has
// stopped. On errorC comes the error that the node died of, if any, and then it is
// closed. snapshotterReady has the Snapshotter for nil batches.
func New(cfg Config, proposeC <-chan *commit.Proposal, confChangeC <-chan *commit.ConfChange) (
	n *Node, commitC <-chan *commit.Batch, errorC <-chan error, snapshotterReady <-chan commit.Snapshotter, err error,
) {
	cfg.EnsureDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, nil, nil, nil, err
	}
	n = &Node{
		cfg:     cfg,
		inbox:   newInbox(),
		queue:   newStorageQueue(),
		commitC: make(chan *commit.Batch, 1),
		errorC:  make(chan error, 1),

		stopC: make(chan struct{}), failC: make(chan struct{}), doneC: make(chan struct{}),
		endC: make(chan struct{}), storageC: make(chan struct{}), purgeC: make(chan struct{}, 1),
	}
	n.view.Store(&view{members: newMembership(), durable: newMembership()})
	c, err := n.start()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	readyC := make(chan commit.Snapshotter, 1)
	readyC <- n.disk

	n.spawn(func() { n.network.runChanges(n.endC) })
	n.spawn(n.runPurge)
	n.spawn(func() { n.watchTransport(n.network.tr.ErrorC) })
	n.spawn(func() { n.runConfChanges(confChangeC) })
	n.spawn(n.runAnnounce)
	if cfg.Durability == EverySec {
		n.spawn(n.runSyncs)
	}
	s := &storer{disk: n.disk, log: c.storage, hard: c.hard, last: c.snapshots.last}
	go n.runStorage(s)
	go n.runRaft(c, proposeC)
	return n, n.commitC, n.errorC, readyC, nil
}

// start does everything of New that can fail.
func (n *Node) start() (c *core, err error) {
	cfg := &n.cfg
	if n.lock, err = lockDir(cfg); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.lock.Close())
		}
	}()
	if err := prepareDir(cfg); err != nil {
		return nil, err
	}
	client, err := newHTTPClient(cfg)
	if err != nil {
		return nil, err
	}
	fresh := !wal.Exist(walDir(cfg))
	var who identity
	var from restored
	var known []commit.Member // while the log does not say
	if fresh {
		who, known, err = n.enroll(client)
		if err != nil {
			return nil, err
		}
		n.disk, err = createDisk(cfg, who)
	} else {
		n.disk, who, from, err = openDisk(cfg)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.disk.close())
		}
	}()
	n.cluster = who.Cluster
	if n.incarnation, err = nextIncarnation(cfg); err != nil {
		return nil, err
	}
	c, err = newCore(cfg, from, n)
	if err != nil {
		return nil, err
	}
	c.reads.incarnation = n.incarnation
	empty := from.snapshot == nil && len(from.entries) == 0
	if empty && !who.Joined {
		if len(cfg.Peers) == 0 {
			return nil, errors.New("raftnode: the log is empty and no initial members are given")
		}
		if err := c.bootstrap(); err != nil {
			return nil, err
		}
	}

	self := cfg.PeerURL
	if own, ok := c.members.members[cfg.ID]; ok && self == "" {
		self = own.PeerURL
	}
	if self == "" && c.members.isRemoved(cfg.ID) {
		return nil, ErrRemoved
	}
	if self == "" {
		self, err = ownURLInLog(cfg.ID, from.entries)
		if err != nil {
			return nil, err
		}
	}
	if cfg.PeerURL == "" {
		cfg.PeerURL = self
	}
	if cfg.ListenURL == "" {
		cfg.ListenURL = self
	}
	ln, err := listen(cfg)
	if err != nil {
		return nil, err
	}
	n.network, err = startNetwork(cfg, who.Cluster, self, ln, receiver{n}, n.peerHandler(), client)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	c.linkChanged(newMembership(), c.members)
	for _, m := range known {
		if m.ID != cfg.ID {
			n.network.link(m)
		}
	}
	c.publish()
	cfg.Logger.Info("raft node started", zap.Uint64("member", cfg.ID), zap.String("cluster", fmt.Sprintf("%x", n.cluster)),
		zap.Uint64("incarnation", n.incarnation), zap.Bool("fresh", fresh), zap.Uint64("snapshot", c.snapshots.last),
		zap.Int("entries", len(from.entries)), zap.String("listen", cfg.ListenURL))
	return c, nil
}

// ownURLInLog finds the own address of a member that is started with nothing but
// its data directory and has no snapshot yet.
func ownURLInLog(id uint64, entries []*raftpb.Entry) (string, error) {
	ms := newMembership()
	for _, e := range entries {
		if e.GetType() != raftpb.EntryConfChange {
			continue
		}
		cc := &raftpb.ConfChange{}
		if err := unmarshalConfChange(e, cc); err != nil {
			return "", err
		}
		ch, err := decodeChange(cc.GetContext())
		if err != nil {
			return "", err
		}
		ms = ms.apply(ch)
	}
	if m, ok := ms.members[id]; ok {
		return m.PeerURL, nil
	}
	return "", fmt.Errorf("raftnode: the peer URL of member %d is neither given nor in its data", id)
}

// Stop stops the node, handing over leadership first if it leads, and returns
// when everything has ended. It may be called more than once.
func (n *Node) Stop() {
	n.stopOnce.Do(func() { close(n.stopC) })
	<-n.doneC
}

func (n *Node) spawn(fn func()) { n.wg.Go(fn) }

// stop implements environment.
func (n *Node) stop(err error) {
	n.failOnce.Do(func() {
		n.err = err
		close(n.failC)
	})
}

// runRaft is the raft goroutine. It owns the core, and it never waits for a disk,
// for the network or for the store.
func (n *Node) runRaft(c *core, proposeC <-chan *commit.Proposal) {
	n.loop(c, proposeC)

	if !n.failed() { // else the core may not be what it should be
		c.flush()
	}
	close(n.endC)
	<-n.storageC
	n.wg.Wait()
	n.network.stop()
	if err := errors.Join(n.disk.close(), n.lock.Close()); err != nil {
		n.stop(err)
	}
	select {
	case <-n.failC:
		n.cfg.Logger.Error("raft node failed", zap.Uint64("member", n.cfg.ID), zap.Error(n.err))
		n.errorC <- n.err
	default:
		n.cfg.Logger.Info("raft node stopped", zap.Uint64("member", n.cfg.ID))
	}
	close(n.doneC)
	close(n.commitC)
	close(n.errorC)
}

func (n *Node) loop(c *core, proposeC <-chan *commit.Proposal) {
	defer func() {
		if r := recover(); r != nil {
			// raft panics when an invariant is broken. The process is main's to
			// end, and the log is safe: nothing goes on from here.
			n.cfg.Logger.Error("raft panicked", zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
			n.stop(fmt.Errorf("raftnode: raft panicked: %v", r))
		}
	}()
	ticker := time.NewTicker(n.cfg.TickInterval)
	defer ticker.Stop()
	stopC := n.stopC
	var handedOverC chan struct{} // not nil while stopping

	c.run()
	for {
		var commitC chan<- *commit.Batch
		head, ok := c.applying.head()
		if ok {
			commitC = n.commitC
		}
		takeC := proposeC
		if c.proposals.full(c) {
			takeC = nil
		}
		tick := false
		select {
		case <-n.inbox.readyC:
		case commitC <- head:
			c.sentHead()
		case p, ok := <-takeC:
			if ok {
				c.proposals.add(p)
				n.takeMore(c, proposeC)
				break
			}
			proposeC = nil
			n.stopOnce.Do(func() { close(n.stopC) })
		case <-c.applying.doneC():
			c.applied()
		case <-ticker.C:
			tick = true
		case <-stopC:
			stopC, proposeC = nil, nil
			handedOverC = n.handOver(c)
		case <-handedOverC:
			return
		case <-n.failC:
			return
		}
		for _, in := range n.inbox.take() {
			if in.msg != nil {
				c.step(in.msg)
			} else {
				in.fn(c)
			}
		}
		if tick {
			c.tick()
		}
		c.run()
	}
}

// takeMore receives what else is waiting on proposeC: it will share an entry.
func (n *Node) takeMore(c *core, proposeC <-chan *commit.Proposal) {
	for !c.proposals.full(c) {
		select {
		case p, ok := <-proposeC:
			if !ok {
				return // the loop will see it
			}
			c.proposals.add(p)
		default:
			return
		}
	}
}

// handOver makes another member the leader, if this one is and there is another.
// The channel closes when that is done or hopeless.
func (n *Node) handOver(c *core) chan struct{} {
	doneC := make(chan struct{})
	if !c.isLeader() || len(c.members.voters()) < 2 {
		close(doneC)
		return doneC
	}
	c.transfer(0, func(err error) {
		if err != nil {
			n.cfg.Logger.Warn("stopping without a successor", zap.Error(err))
		}
		close(doneC)
	})
	return doneC
}

// runStorage is the storage goroutine.
func (n *Node) runStorage(s *storer) {
	defer close(n.storageC)
	for {
		works := n.queue.take()
		if len(works) == 0 {
			select {
			case <-n.queue.readyC:
				continue
			case <-n.endC:
				// What was queued before the raft goroutine ended is written; nobody
				// is left to care for the responses.
				if works = n.queue.take(); len(works) == 0 || n.failed() {
					return
				}
				if _, err := s.process(works); err != nil {
					n.stop(err)
				}
				return
			}
		}
		out, err := s.process(works)
		if err != nil {
			n.stop(err)
			return
		}
		n.respond(out)
		n.queue.done.Add(uint64(len(works)))
		if len(out.snapshots) > 0 {
			select {
			case n.purgeC <- struct{}{}:
			default:
			}
		}
	}
}

// respond delivers what had to wait for the disk. Messages to other members need
// not pass through the raft goroutine again.
func (n *Node) respond(out stored) {
	var self, others []*raftpb.Message
	for _, m := range out.responses {
		if m.GetTo() == n.cfg.ID {
			self = append(self, m)
		} else {
			others = append(others, m)
		}
	}
	if len(others) > 0 {
		n.network.send(others)
	}
	for _, s := range out.snapshots {
		n.inbox.run(func(c *core) {
			d, err := decodeDescriptor(s.GetData())
			if err != nil {
				n.stop(err)
				return
			}
			c.snapshotSaved(s, d.BodySize)
		})
	}
	if len(self) > 0 {
		n.inbox.deliver(self)
	}
	if out.members != nil {
		n.inbox.run(func(c *core) { c.membershipDurable(out.members) })
	}
}

func (n *Node) failed() bool {
	select {
	case <-n.failC:
		return true
	default:
		return false
	}
}

// send implements environment.
func (n *Node) send(msgs []*raftpb.Message) {
	for i, m := range msgs {
		if m.GetType() != raftpb.MsgSnap {
			continue
		}
		// Rare: split the slice around it, and open the file elsewhere.
		n.network.send(msgs[:i])
		n.spawn(func() {
			n.network.sendSnapshot(m, func(s raft.SnapshotStatus) { receiver{n}.ReportSnapshot(m.GetTo(), s) })
		})
		n.send(msgs[i+1:])
		return
	}
	if len(msgs) > 0 {
		n.network.send(msgs)
	}
}

// store, storeIdle, reachable, link, relink, unlink and publish implement
// environment.
func (n *Node) store(w storageWork)      { n.queue.put(w) }
func (n *Node) storeIdle() bool          { return n.queue.idle() }
func (n *Node) reachable(id uint64) bool { return n.network.reachable(id) }
func (n *Node) link(m commit.Member)     { n.network.link(m) }
func (n *Node) relink(m commit.Member)   { n.network.relink(m) }
func (n *Node) unlink(id uint64)         { n.network.unlink(id) }

func (n *Node) publish(v view) { n.view.Store(&v) }

// writeBody implements environment.
func (n *Node) writeBody(p pendingSnapshot) {
	n.spawn(func() {
		var got commit.Capture
		select {
		case got = <-p.captureC:
		case <-n.endC:
			return
		}
		size, crc, err := writeBody(&n.cfg, p, got, n.endC)
		n.inbox.run(func(c *core) { c.bodyWritten(p, size, crc, err) })
	})
}

// runPurge removes old files after each snapshot.
func (n *Node) runPurge() {
	for {
		select {
		case <-n.purgeC:
			if err := n.disk.purge(); err != nil {
				n.stop(err)
				return
			}
		case <-n.endC:
			return
		}
	}
}

// runSyncs syncs the WAL once a second.
func (n *Node) runSyncs() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := n.disk.syncTail(); err != nil {
				n.stop(err)
				return
			}
		case <-n.endC:
			return
		}
	}
}

// watchTransport learns from the other members that this one was removed.
func (n *Node) watchTransport(errorC <-chan error) {
	select {
	case err := <-errorC:
		n.cfg.Logger.Warn("other members refuse this one", zap.Error(err))
		n.stop(ErrRemoved)
	case <-n.endC:
	}
}

// runAnnounce tells the cluster where clients and members reach this node, if it
// does not know.
func (n *Node) runAnnounce() {
	ticker := time.NewTicker(n.cfg.TickInterval * time.Duration(n.cfg.ElectionTicks) / 2)
	defer ticker.Stop()
	for {
		v := n.view.Load()
		m, ok := v.members.members[n.cfg.ID]
		stale := ok && (n.cfg.ClientAddr != "" && m.ClientAddr != n.cfg.ClientAddr ||
			n.cfg.PeerURL != "" && m.PeerURL != n.cfg.PeerURL)
		if stale && v.leader != 0 {
			ctx, cancel := context.WithTimeout(context.Background(), n.cfg.ConfChangeTimeout)
			err := n.changeMembership(ctx, change{Op: commit.Update, Member: commit.Member{
				ID: n.cfg.ID, PeerURL: n.cfg.PeerURL, ClientAddr: n.cfg.ClientAddr,
			}})
			cancel()
			if err != nil {
				n.cfg.Logger.Debug("addresses not announced yet", zap.Error(err))
			}
		}
		select {
		case <-ticker.C:
		case <-n.endC:
			return
		}
	}
}
