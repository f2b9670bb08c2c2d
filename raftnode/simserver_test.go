package raftnode

import (
	"bytes"
	"context"
	"io"
	"testing/synctest"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// simServer is what a real process has on top of raft, on a simulated node: a store
// with the machine in it, a front, and the calls of Node, which reach the simulated
// core through an inbox as they do the real one. Its goroutines run in a synctest
// bubble: they are at rest whenever the simulation goes on, and their clock is the
// bubble's.
type simServer struct {
	n        *simNode
	node     *Node // its calls; nothing of it runs
	store    *store.Store
	front    *resp.Server
	proposeC chan *commit.Proposal
	commitC  chan *commit.Batch
}

func newSimServer(n *simNode) *simServer {
	u := &simServer{n: n, proposeC: make(chan *commit.Proposal, 1024), commitC: make(chan *commit.Batch)}
	inC := make(chan struct{})
	close(inC)
	u.node = &Node{cfg: n.cfg, incarnation: n.starts, cluster: simCluster, inbox: newInbox(), inC: inC, doneC: make(chan struct{})}
	u.node.view.Store(&view{members: newMembership(), settled: newMembership()})

	table, err := command.NewTable(command.Data(), resp.Commands())
	if err != nil {
		panic(err) // they are checked where they are declared
	}
	now := func() time.Time { return time.Now().Add(time.Duration(n.id) * n.s.skew) }
	u.store = store.New(store.Config{Table: table, Member: n.id, ProposalTimeout: simProposalTimeout, Now: now}, u.proposeC)
	n.cfg.Seal, n.cfg.SealLarge = u.store.Seal, u.store.SealLarge
	n.cfg.TellTime, n.cfg.HearTime = u.store.TellTime, u.store.HearTime
	n.cfg.Level, n.cfg.TellLevel = uint64(command.Latest), u.store.TellLevel
	ready := make(chan commit.Snapshotter, 1)
	ready <- u
	u.store.Start(u.node, u.commitC, ready)

	opts := resp.Options{
		Config: resp.DefaultConfig(), Store: u.store, Table: table, Version: "sim", RunID: "0", Forms: true, Now: now,
		Cluster: struct {
			*Node
			commit.Changes
		}{Node: u.node},
	}
	opts.Config.Port, opts.Config.Driver = 0, "goroutine" // it is handed its connections
	if u.front, err = resp.New(opts); err == nil {
		err = u.front.Start()
	}
	if err != nil {
		panic(err)
	}
	synctest.Wait() // it has loaded the snapshot that it starts from
	return u
}

const simProposalTimeout = time.Second

// Load implements commit.Snapshotter.
func (u *simServer) Load() (*commit.Snapshot, error) {
	d := u.n.disk
	if d.loadable == 0 {
		return nil, nil
	}
	return &commit.Snapshot{
		Index: d.loadable, Term: d.descriptors[d.loadable].GetMetadata().GetTerm(), Body: io.NopCloser(bytes.NewReader(d.bodies[d.loadable])),
	}, nil
}

// crash takes the process down: connections break, and nobody is answered.
func (u *simServer) crash() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = u.front.Close(ctx)
	close(u.node.doneC)
	u.store.Close()
}

// take has the store apply a batch, or load the snapshot, and compares its state with
// that of who was there first.
func (u *simServer) take(b *commit.Batch) {
	n, s := u.n, u.n.s
	synctest.Wait() // reads that may be run see the state before
	if b != nil {
		for _, e := range b.Entries {
			n.logged(e)
		}
	}
	select {
	case u.commitC <- b:
	case err := <-u.store.ErrorC():
		s.failf("%d: %v", n.id, err)
		return
	}
	if b != nil {
		select {
		case <-n.core.applying.doneC():
			n.core.applied()
		case err := <-u.store.ErrorC():
			s.failf("%d: %v", n.id, err)
			return
		}
	}
	synctest.Wait() // who has an answer has passed it on; of a snapshot, that it is loaded
	index, digest, err := u.store.Digest(context.Background())
	if err != nil {
		s.failf("%d: %v", n.id, err)
		return
	}
	if first, ok := s.digests[index]; !ok {
		s.digests[index] = digest
	} else if first != digest {
		s.failf("%d has state %s at %d, another has %s", n.id, digest, index, first)
	} else {
		s.agreed++
	}
}

// inputs takes in what the store and the front ask of the core, and reports whether
// there was anything.
func (u *simServer) inputs() bool {
	n, some := u.n, false
	for _, in := range u.node.inbox.take() {
		some = true
		n.do(func() { in.fn(n.core) })
	}
	n.do(func() {
		for !n.core.proposals.full() {
			select {
			case p := <-u.proposeC:
				some = true
				n.core.offer(p)
			default:
				return
			}
		}
	})
	return some
}
