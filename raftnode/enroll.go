package raftnode

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// enroll decides what a node without a log is to be, one of the first members of a
// new cluster or one that joins, and writes it down. What a node without a list was
// on the way to, it goes on with.
func (n *Node) enroll() error {
	cfg, o := &n.cfg, n.origin
	switch {
	case o.State == stagePrepared && cfg.Join:
		return fmt.Errorf("%w: %s was prepared to form a cluster with %v: start it without --join, or with an empty data directory if that cluster never came to be",
			ErrWrongDir, cfg.Dir, o.Peers)
	case o.State == stagePrepared && len(cfg.Peers) > 0 && !slices.Equal(cfg.sortedPeers(), o.Peers):
		return fmt.Errorf("%w: %s was prepared to form a cluster with %v, not with %v: start it with that list, or with an empty data directory if that cluster never came to be",
			ErrWrongDir, cfg.Dir, o.Peers, cfg.sortedPeers())
	case len(cfg.Peers) == 0:
		cfg.Peers, cfg.Join = o.Peers, o.State == stageJoining
		cfg.EnsureDefaults()
	}
	if len(cfg.Peers) == 0 {
		return errors.New("raftnode: the data directory is empty and no members are given")
	}
	if cfg.PeerURL == "" {
		return fmt.Errorf("raftnode: member %d is not in its own list of members", cfg.ID)
	}
	setDefault(&cfg.ListenURL, cfg.PeerURL)
	switch {
	case o.State == stagePrepared:
		return nil
	case cfg.Join:
		o.State = stageJoining
		if o.Instance == 0 {
			o.Instance = rand.Uint64() | 1
		}
	default:
		o.State = stageForming
	}
	o.Peers = cfg.sortedPeers()
	return o.write(cfg)
}

// runFormation brings a cluster about together with its other first members, and
// then starts what New starts otherwise.
func (n *Node) runFormation(f *formation, proposeC <-chan *commit.Proposal) {
	c, err := n.form(f, proposeC)
	if c != nil {
		n.waits.Store(nil)
		n.run(c, proposeC)
		return
	}
	if err != nil {
		n.stop(err) // before those who wait are told that it has ended
	}
	close(n.endC)
	n.wg.Wait()
	err = n.release()
	close(n.readyC)
	n.ended(err)
}

// form returns the core when the cluster is formed, and nil when the node is to end:
// with an error if it must not start, without one if it was asked to stop.
func (n *Node) form(f *formation, proposeC <-chan *commit.Proposal) (*core, error) {
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	type answer struct {
		from, epoch uint64
		stance      stance
		err         error
	}
	answerC := make(chan answer, len(f.peers))
	open := map[uint64]bool{} // asked, and has not answered
	ask := func() {
		for _, p := range f.others() {
			if open[p.ID] {
				continue
			}
			open[p.ID] = true
			epoch := f.epoch
			asking.Go(func() {
				s, err := askStance(ctx, n.client, n.cfg.dialURL(p.URL), n.cfg.ID)
				answerC <- answer{p.ID, epoch, s, err}
			})
		}
	}
	ticker := time.NewTicker(2 * n.cfg.TickInterval)
	defer ticker.Stop()
	report := waitReport{lg: n.cfg.Logger}
	var early earlyProposals
	ask()
	for {
		v := f.decide()
		switch {
		case v.err != nil:
			return nil, v.err
		case v.start != 0:
			c, err := n.found(v.start)
			if err == nil {
				early.pass(c)
			}
			return c, err
		case v.prepare != 0:
			n.origin.State, n.origin.Cluster = stagePrepared, v.prepare
			if err := n.origin.write(&n.cfg); err != nil {
				return nil, err
			}
			f.agreed(v.prepare)
			n.stance.Store(new(f.stance()))
			ask()
			continue
		}
		n.waits.Store(&v.waits)
		report.wait(v.waits)
		select {
		case a := <-answerC:
			delete(open, a.from)
			if a.err != nil {
				f.missed(a.from, a.epoch, a.err)
			} else {
				f.heard(a.from, a.epoch, a.stance)
			}
		case <-ticker.C:
			ask()
		case p, ok := <-proposeC:
			if !ok {
				n.stopOnce.Do(func() { close(n.stopC) })
				return nil, nil
			}
			early.add(p)
		case <-n.stopC:
			return nil, nil
		}
	}
}

// earlyProposals are requests that come before there is a cluster: few, because
// clients are not let in yet.
type earlyProposals []*commit.Proposal

// maxEarlyProposals are kept. Others are forgotten, which they may be: nobody has
// taken them, so whoever sent one sends it again or withdraws it.
const maxEarlyProposals = 1024

func (e *earlyProposals) add(p *commit.Proposal) {
	*e = slices.DeleteFunc(*e, func(o *commit.Proposal) bool { return o == p || o.Withdrawn() })
	if len(*e) < maxEarlyProposals {
		*e = append(*e, p)
	}
}

func (e *earlyProposals) pass(c *core) {
	for _, p := range *e {
		c.offer(p)
	}
}

// waitReport logs for whom a node waits: at first after a moment, in which all is
// well in most cases, then every few seconds.
type waitReport struct {
	lg   *zap.Logger
	next time.Time
}

const (
	waitBeforeReport   = time.Second
	waitBetweenReports = 5 * time.Second
)

func (r *waitReport) wait(what string) {
	switch now := time.Now(); { //nolint:forbidigo // when something is logged is no state
	case r.next.IsZero():
		r.next = now.Add(waitBeforeReport)
	case now.After(r.next):
		r.next = now.Add(waitBetweenReports)
		r.lg.Warn(what)
	}
}

// found makes this node a member of a cluster that is being founded.
func (n *Node) found(cluster uint64) (*core, error) {
	who := identity{Version: 1, Cluster: cluster, Member: n.cfg.ID}
	if n.origin.State != stagePrepared { // alone
		n.origin.State, n.origin.Cluster = stagePrepared, cluster
		if err := n.origin.write(&n.cfg); err != nil {
			return nil, err
		}
	}
	from, err := foundingLog(n.origin.Peers)
	if err != nil {
		return nil, err
	}
	if n.disk, err = createDisk(&n.cfg, who, from); err != nil {
		return nil, err
	}
	return n.enter(who, from, nil)
}

// resume makes a node out of what its disk holds.
func (n *Node) resume(who identity, from restored) (*core, error) {
	o := n.origin
	if o.Cluster != 0 && o.Cluster != who.Cluster {
		return nil, fmt.Errorf("%w: the log in %s is of cluster %x, but the directory belongs to cluster %x; %s",
			ErrWrongDir, n.cfg.Dir, who.Cluster, o.Cluster, newIDWayOut(n.cfg.ID))
	}
	switch {
	case !from.empty():
	case o.State == stagePrepared:
		// The crash came between making the log and writing its first entries: it has
		// not voted yet.
		log, err := foundingLog(o.Peers)
		if err != nil {
			return nil, err
		}
		if err := n.disk.save(log.hard, log.entries, true); err != nil {
			return nil, fmt.Errorf("write the first entries: %w", err)
		}
		from = log
	case !who.Joined || o.HasLog:
		return nil, lostLog(&n.cfg, o, "its log is empty")
	}
	if c := from.committed(); c < o.Committed {
		return nil, lostLog(&n.cfg, o, fmt.Sprintf("its log knows of commits up to index %d, although it had come to %d already: "+
			"it was cut, or is an old copy", c, o.Committed))
	} else if c > o.Committed {
		// The kernel may have had it, and no disk: a promise comes after what it promises.
		if err := n.disk.log.sync(); err != nil {
			return nil, err
		}
		o.Committed = c
		if err := n.reserve.spend(func() error { return o.write(&n.cfg) }); err != nil {
			return nil, err
		}
	}
	return n.enter(who, from, nil)
}

// foundingLog is what every log begins with: the members that the cluster was founded
// with, in the order of their ids. It is in no need of a vote, as they have all agreed
// on it.
func foundingLog(sorted []Peer) (restored, error) {
	var from restored
	for i, p := range sorted {
		ch := change{Op: addVoter, Member: commit.Member{ID: p.ID, PeerURL: p.URL}}
		data, err := proto.Marshal(ch.confChange())
		if err != nil {
			return from, fmt.Errorf("found the cluster: %w", err)
		}
		from.entries = append(from.entries, &raftpb.Entry{
			Type: raftpb.EntryConfChange.Enum(), Term: new(uint64(1)), Index: new(uint64(i + 1)), Data: data,
		})
	}
	from.hard = &raftpb.HardState{Term: new(uint64(1)), Vote: new(uint64(0)), Commit: new(uint64(len(sorted)))}
	return from, nil
}

// join asks the members that it was told of to take this node in as a learner.
// The leader makes it a voter once it has caught up.
func (n *Node) join() (*core, error) {
	cfg := &n.cfg
	ctx, cancel := context.WithTimeout(context.Background(), cfg.JoinTimeout)
	defer cancel()
	none := errors.New("no member answered")
	last := none
	for {
		for _, p := range cfg.Peers {
			if p.URL == cfg.PeerURL {
				continue
			}
			cm, err := n.joinThrough(ctx, cfg.dialURL(p.URL))
			switch {
			case err == nil:
				return n.joined(cm)
			case errors.Is(err, ErrRemoved), errors.Is(err, ErrDataLost), errors.Is(err, ErrIDUsed), errors.Is(err, ErrBadURL), errors.Is(err, ErrTooOld):
				return nil, fmt.Errorf("join: %w", err) // no other member will say anything else
			}
			if errors.Is(last, none) || !errors.Is(err, context.DeadlineExceeded) {
				last = err // that time is up says less than what a member answered
			}
			cfg.Logger.Info("not joined yet", zap.String("through", p.URL), zap.Error(err))
		}
		select {
		case <-time.After(cfg.TickInterval * time.Duration(cfg.ElectionTicks) / 2):
		case <-ctx.Done():
			return nil, fmt.Errorf("join: %w", last)
		}
	}
}

// joined makes this node a learner of a cluster that has taken it in.
func (n *Node) joined(cm *clusterMembers) (c *core, err error) {
	who := identity{Version: 1, Cluster: cm.Cluster, Member: n.cfg.ID, Joined: true}
	if n.disk, err = createDisk(&n.cfg, who, restored{}); err != nil {
		return nil, err
	}
	// The log will say who they are; until then somebody has to be told of this node.
	return n.enter(who, restored{}, cm.Members)
}

func (n *Node) joinThrough(ctx context.Context, peerURL string) (*clusterMembers, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ConfChangeTimeout)
	defer cancel()
	cm, err := getMembers(ctx, n.client, peerURL)
	if err != nil {
		return nil, err
	}
	if cm.Level > n.cfg.Level {
		return nil, tooOld(cm.Level, n.cfg.ID, n.cfg.Level)
	}
	if slices.Contains(cm.Removed, n.cfg.ID) {
		return nil, fmt.Errorf("%w: member %d was removed, its id cannot come back: start it with a new --id", ErrRemoved, n.cfg.ID)
	}
	me := commit.Member{ID: n.cfg.ID, PeerURL: n.cfg.PeerURL, Learner: true, Instance: n.origin.Instance}
	ch := change{Op: commit.AddLearner, Member: me}
	var leader string
	for _, m := range cm.Members {
		switch {
		case m.ID == me.ID && m.PeerURL == me.PeerURL && m.Instance == me.Instance:
			return cm, nil // an earlier attempt got that far
		case m.ID == me.ID && m.PeerURL != me.PeerURL:
			return nil, fmt.Errorf("%w: member %d is at %s, and this node is at %s: choose another --id, or RAFT UPDATE where that member is",
				ErrIDUsed, m.ID, m.PeerURL, me.PeerURL)
		case m.ID == me.ID && !unclaimed(m):
			// Whoever says so, however old its news are: a claim is never taken back.
			return nil, fmt.Errorf("%w: member %d (%s) has taken part before, and this data directory is empty; %s",
				ErrDataLost, m.ID, m.PeerURL, newIDWayOut(m.ID))
		case m.ID == me.ID:
			ch.Op = commit.Update // added beforehand: now it is this directory that is the member
		}
		if m.ID == cm.Leader {
			leader = n.cfg.dialURL(m.PeerURL)
		}
	}
	if leader == "" {
		return nil, fmt.Errorf("%w at %s", commit.ErrNoLeader, peerURL)
	}
	_, err = postChange(ctx, n.client, leader, cm.Cluster, n.cfg.Level, ch)
	return cm, err
}
