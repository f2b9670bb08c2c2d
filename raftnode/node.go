package raftnode

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// Node is one member of a cluster. See doc.go for its goroutines and channels.
type Node struct {
	cfg         Config
	incarnation uint64

	inbox    *inbox
	queue    *storageQueue
	lock     *fileutil.LockedFile // of the data directory
	reserve  *reserve
	origin   *origin
	originMu sync.Mutex // of origin, once goroutines run
	client   *http.Client
	listener *peerListener
	view     atomic.Pointer[view]
	stance   atomic.Pointer[stance] // what others are told; Asker is left out
	waits    atomic.Pointer[string] // for whom, while it is not in a cluster

	// Set when inC closes: this node is in a cluster.
	cluster uint64
	disk    *disk
	network *network
	bulk    *bulk
	inC     chan struct{}

	incoming incoming

	syncs commit.Histogram            // see commit.Status
	usage atomic.Pointer[commit.Disk] // nil: not known yet

	commitC chan *commit.Batch
	errorC  chan error
	readyC  chan commit.Snapshotter // closed if the node never gets into a cluster

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
// bound; the node then catches up and takes part on its own. If it is one of the
// first members of a cluster and its directory is empty, it returns before the
// cluster is formed: see Waiting.
//
// The caller sends on proposeC and confChangeC, and stops the node by closing
// proposeC (or with Stop). On commitC come the committed batches, in order, a nil
// one first if there is a snapshot to start from; it is closed when the node has
// stopped. On errorC comes the error that the node died of, if any, and then it is
// closed. snapshotterReady has the Snapshotter for nil batches once the node is in
// a cluster.
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
		readyC:  make(chan commit.Snapshotter, 1),
		inC:     make(chan struct{}),

		incoming: incoming{tasks: cfg.Tasks},

		stopC: make(chan struct{}), failC: make(chan struct{}), doneC: make(chan struct{}),
		endC: make(chan struct{}), storageC: make(chan struct{}), purgeC: make(chan struct{}, 1),
	}
	n.view.Store(&view{members: newMembership(), settled: newMembership()})
	c, f, err := n.start()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	n.spawn(func() { n.runConfChanges(confChangeC) })
	if f != nil {
		go n.runFormation(f, proposeC)
	} else {
		n.run(c, proposeC)
	}
	return n, n.commitC, n.errorC, n.readyC, nil
}

// run starts the goroutines of a node that is in a cluster.
func (n *Node) run(c *core, proposeC <-chan *commit.Proposal) {
	close(n.inC)
	n.readyC <- n.disk
	n.spawn(func() { n.network.runChanges(n.endC) })
	n.spawn(n.runPurge)
	free, low := n.reserve.look(spare{ready: true}) // it is on its way, and there is room for both
	c.diskChecked(free, low)
	n.measure(free)
	n.spawn(func() { n.runReserve(free, low) })
	n.spawn(func() { n.watchTransport(n.network.tr.ErrorC) })
	n.spawn(n.runAnnounce)
	n.spawn(n.runLevel)
	if n.cfg.Durability == EverySec {
		n.spawn(n.runSyncs)
	}
	s := &storer{syncs: &n.syncs, disk: n.disk, log: c.storage, hard: c.hard, last: c.snapshots.last}
	go n.runStorage(s)
	go n.runRaft(c, proposeC)
}

// start does everything of New that can fail. It returns the core of a node that is
// in a cluster, or the formation of one that is not.
func (n *Node) start() (c *core, f *formation, err error) {
	cfg := &n.cfg
	if n.lock, err = lockDir(cfg); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.release())
		}
	}()
	if err := prepareDir(cfg); err != nil {
		return nil, nil, err
	}
	n.reserve = newReserve(cfg)
	if cfg.PeerSecret != "" {
		if cfg.PeerTLS, err = secretTLS(cfg); err != nil {
			return nil, nil, err
		}
	}
	if n.client, err = newHTTPClient(cfg); err != nil {
		return nil, nil, err
	}
	var hasLog bool
	if n.origin, hasLog, err = findOrigin(cfg); err != nil {
		return nil, nil, err
	}
	if !hasLog {
		if err := n.enroll(); err != nil {
			return nil, nil, err
		}
	}
	var who identity
	var from restored
	if hasLog { // before anything in the directory changes
		if n.disk, who, from, err = openDisk(cfg, n.reserve, n.origin.Version); err != nil {
			return nil, nil, err
		}
	}
	err = n.reserve.spend(func() (err error) {
		n.incarnation, err = nextIncarnation(cfg)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if hasLog {
		c, err = n.resume(who, from)
		return c, nil, err
	}
	// Before anybody is told the own URL: nothing is decided yet if it cannot be had.
	f = newFormation(cfg.ID, n.origin.Peers, n.origin.Cluster, cfg.ForceFormation, rand.Uint64)
	n.stance.Store(new(f.stance()))
	if n.listener, err = listenForPeers(cfg, n.peerHandler()); err != nil {
		return nil, nil, err
	}
	switch {
	case n.origin.State == stageJoining:
		c, err = n.join()
		return c, nil, err
	case len(f.peers) == 1: // there is nobody to agree with
		v := f.decide()
		c, err = n.found(max(v.prepare, v.start))
		return c, nil, err
	}
	return nil, f, nil
}

// enter makes this node a part of its cluster: from here on it may vote. known are
// members to talk to while the log does not name any.
func (n *Node) enter(who identity, from restored, known []commit.Member) (*core, error) {
	cfg := &n.cfg
	n.cluster, n.origin.Cluster = who.Cluster, who.Cluster
	if n.origin.State != stageMember || !n.origin.HasLog && !from.empty() {
		n.origin.State, n.origin.HasLog = stageMember, !from.empty()
		if err := n.reserve.spend(func() error { return n.origin.write(cfg) }); err != nil {
			return nil, err
		}
	}
	if err := n.reserve.spend(func() error { return n.disk.promiseRun(n.incarnation) }); err != nil {
		return nil, err
	}
	n.stance.Store(&stance{Member: cfg.ID, State: isMember, Cluster: who.Cluster})
	c, err := newCore(cfg, from, n)
	if err != nil {
		return nil, err
	}
	c.reads.incarnation = n.incarnation

	ms, ownURL, err := from.membership(cfg.ID)
	if err != nil {
		return nil, err
	}
	n.compareList(ms)
	self, err := n.ownURL(c, ownURL)
	if err != nil {
		return nil, err
	}
	setDefault(&cfg.ListenURL, self)
	if strings.HasPrefix(self, "https://") && cfg.PeerTLS == (TLS{}) {
		return nil, fmt.Errorf("raftnode: the members of this cluster talk over TLS (%s): this one needs certificates, or the peers' secret", self)
	}
	if cfg.PeerTLS == (TLS{}) && exposed(cfg.ListenURL) {
		cfg.Logger.Warn("anybody who reaches the peer port can read, change and delete everything: "+
			"members do not ask each other who they are; set tls-cluster or peer-secret, and keep the port private until then",
			zap.String("listen", cfg.ListenURL))
	}
	if n.listener == nil {
		if n.listener, err = listenForPeers(cfg, n.peerHandler()); err != nil {
			return nil, err
		}
	}
	if n.network, err = startNetwork(cfg, who.Cluster, self, n.listener, receiver{n}, &n.incoming, n.client); err != nil {
		return nil, err
	}
	c.linkChanged(newMembership(), c.members)
	for _, m := range known {
		if m.ID != cfg.ID {
			n.network.link(m)
		}
	}
	c.publish()
	cfg.Logger.Info("raft node started", zap.Uint64("member", cfg.ID), zap.String("cluster", fmt.Sprintf("%x", n.cluster)),
		zap.Uint64("incarnation", n.incarnation), zap.Uint64("snapshot", c.snapshots.last),
		zap.Int("entries", len(from.entries)), zap.String("listen", cfg.ListenURL))
	return c, nil
}

// ownURL is where the other members reach this one: as the data has it, and before
// it says anything as the list has it.
func (n *Node) ownURL(c *core, inLog string) (string, error) {
	if inLog != "" {
		return inLog, nil
	}
	for _, peers := range [][]Peer{n.cfg.Peers, n.origin.Peers} {
		if i := slices.IndexFunc(peers, func(p Peer) bool { return p.ID == n.cfg.ID }); i >= 0 {
			return peers[i].URL, nil
		}
	}
	if c.members.isRemoved(n.cfg.ID) {
		return "", ErrRemoved
	}
	return "", fmt.Errorf("raftnode: the peer URL of member %d is neither given nor in its data", n.cfg.ID)
}

// compareList says that a list of members is not what the data directory has: the
// list counts only for a directory that is empty. After a member was replaced it
// differs in every unit file, and that must not keep anybody from starting.
func (n *Node) compareList(ms *membership) {
	if n.cfg.Join || len(n.cfg.Peers) == 0 || len(ms.members) == 0 {
		return
	}
	var known []Peer
	for _, m := range ms.list() {
		known = append(known, Peer{m.ID, m.PeerURL})
	}
	if given := n.cfg.sortedPeers(); !slices.Equal(given, known) {
		n.cfg.Logger.Info("the list of members is ignored, the data directory knows the cluster",
			zap.Any("given", given), zap.Any("known", known))
	}
}

// release gives back what a node holds that has no goroutines.
func (n *Node) release() error {
	var errs []error
	if n.network != nil {
		n.network.stop()
	}
	if n.listener != nil {
		n.listener.close()
	}
	if n.client != nil {
		n.client.CloseIdleConnections()
	}
	if n.disk != nil {
		errs = append(errs, n.disk.close())
	}
	return errors.Join(append(errs, n.lock.Close())...)
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

// ended tells everybody that the node has stopped.
func (n *Node) ended(err error) {
	if err != nil {
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
