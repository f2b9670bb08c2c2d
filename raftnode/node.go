package raftnode

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
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
	bulk    *bulk
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
		bulk:    newBulk(),
		commitC: make(chan *commit.Batch, 1),
		errorC:  make(chan error, 1),

		stopC: make(chan struct{}), failC: make(chan struct{}), doneC: make(chan struct{}),
		endC: make(chan struct{}), storageC: make(chan struct{}), purgeC: make(chan struct{}, 1),
	}
	n.view.Store(&view{members: newMembership(), settled: newMembership()})
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
