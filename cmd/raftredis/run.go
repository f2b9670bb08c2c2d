package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode"
	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// part is what main builds and joins: one member of one group, and its front.
type part struct {
	o           *options
	log         *logs
	threads     *threads
	freed       freed
	table       *command.Table
	proposeC    chan *commit.Proposal
	confChangeC chan *commit.ConfChange
	node        *raftnode.Node
	errorC      <-chan error
	store       *store.Store
	server      *resp.Server
	tasks       *commit.Tasks
	stopC       chan bool // SHUTDOWN asks here; true: take a snapshot first
}

// proposeDepth is how many proposals may wait between store and raft node. It
// only evens out scheduling: the bounds that count are in bytes.
const proposeDepth = 1024

// run is the life of a node: it returns when the node was asked to stop (nil) or
// cannot go on.
func run(o *options, signalC <-chan os.Signal) (err error) {
	if err := o.recall(); err != nil {
		return err
	}
	log, err := openLogs(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.close()) }()
	if o.forceNewCluster {
		return o.newCluster(log, os.Stdout)
	}
	if len(o.idle) > 0 {
		log.Warn("directives that have no meaning here", zap.Strings("ignored", o.idle))
	}
	if err := o.checkTLS(log); err != nil {
		return err
	}

	p := &part{o: o, log: log, threads: fewThreads(), freed: make(freed, 1), stopC: make(chan bool, 1), tasks: commit.NewTasks(o.now)}
	defer p.reportTasks()()
	paceGC(p.freed, p.threads.lend)
	monitor, err := p.startDebug()
	if err != nil {
		return err
	}
	defer monitor.close()
	if err := p.start(); err != nil {
		return err
	}
	monitor.watch(p.store, p.cluster())
	snapshot, err := false, p.serve()
	if err == nil {
		monitor.open(p.server)
		monitor.show(p.server)
		snapshot, err = p.live(signalC)
	}
	return errors.Join(err, p.stop(err == nil, snapshot))
}

// live returns when the node was asked to stop, or why it cannot go on. snapshot
// says that one is to be taken before the end. Clients are let in from the start,
// and told to wait (LOADING) for as long as the store says so.
func (p *part) live(signalC <-chan os.Signal) (snapshot bool, err error) {
	const eager, idle = 5 * time.Millisecond, 100 * time.Millisecond
	look := time.NewTicker(eager)
	defer look.Stop()
	var was store.Readiness
	limits, wanted, seeded := p.o.givenLimits(), false, false
	for {
		select {
		case s := <-signalC:
			p.log.Info("stopping", zap.String("signal", s.String()))
			return false, nil
		case snapshot = <-p.stopC:
			p.log.Info("stopping", zap.String("because", "SHUTDOWN"))
			return snapshot, nil
		case err = <-p.errorC:
			return false, fmt.Errorf("the raft node stopped: %w", orStopped(err))
		case err = <-p.store.ErrorC():
			return false, fmt.Errorf("the state machine stopped: %w", err)
		case <-look.C:
		}
		is := p.store.Readiness()
		if is.Serving == was.Serving {
			continue
		}
		was = is
		if is.Serving {
			look.Reset(idle)
			how := zap.Skip()
			if is.Reason != "" {
				how = zap.String("but", is.Reason)
			}
			p.log.Info("ready for clients", zap.Strings("addresses", addresses(p.server)), zap.Int64("id", p.o.id.value),
				zap.String("dir", p.o.dir.value), zap.String("version", version()), how)
			if !seeded {
				seeded = true
				go p.server.SeedUsers() // it ends with the server at the latest
			}
			if len(limits) > 0 {
				// Not before: what the cluster has is state, and only now known.
				go p.server.WantLimits(limits, !p.o.restart && !bool(p.o.join)) // it ends with the store at the latest
				limits = nil
			}
			if events := p.o.given["notify-keyspace-events"]; events != "" && !wanted {
				wanted = true
				go p.server.WantEvents(p.o.events.classes, !p.o.restart && !bool(p.o.join))
			}
		} else {
			look.Reset(eager)
			p.log.Warn("clients have to wait (LOADING)", zap.String("because", is.Reason))
		}
	}
}

// orStopped: errorC is closed without an error when the node stops by itself.
func orStopped(err error) error {
	if err == nil {
		return commit.ErrStopped
	}
	return err
}

// start builds the three parts and joins them with the channels:
//
//	resp -> store -> proposeC -> raftnode -> commitC -> store -> resp
//	resp -> confChangeC -> raftnode
func (p *part) start() error {
	o := p.o
	peers, err := o.peers()
	if err != nil {
		return err
	}
	if p.table, err = command.NewTable(command.Data(), resp.Commands()); err != nil {
		return err
	}
	if err := resp.CheckUsers(p.table, &o.front, o.users.all); err != nil {
		return err
	}

	p.proposeC = make(chan *commit.Proposal, proposeDepth)
	p.confChangeC = make(chan *commit.ConfChange)

	p.store = store.New(store.Config{
		Table:           p.table,
		Member:          uint64(o.id.value),
		ProposalTimeout: o.proposalTimeout.value,
		Now:             o.now,
		Tasks:           p.tasks,
		KeepLevel:       o.keptLevel(),
		Forms:           !o.restart && !bool(o.join),
		Logger:          p.log.Named("store"),
	}, p.proposeC)

	cfg := o.raftConfig(peers)
	cfg.LongWork = p.threads.lend
	cfg.Seal, cfg.SealLarge = p.store.Seal, p.store.SealLarge
	cfg.TellTime, cfg.HearTime = p.store.TellTime, p.store.HearTime
	cfg.Tasks = p.tasks
	cfg.TellLevel = p.store.TellLevel
	cfg.Logger = p.log.Named("raft")
	node, commitC, errorC, snapshotterReady, err := raftnode.New(cfg, p.proposeC, p.confChangeC)
	if err != nil {
		return friendlier(err, o)
	}
	p.node, p.errorC = node, errorC
	p.store.Start(node, commitC, snapshotterReady)
	if !o.restart {
		// Now, and not when clients are let in: a restart must find out whose the
		// directory is even if this start does not get any further. Not earlier, because
		// in a directory without anything else it is a trace of data that is lost.
		if err := o.remember(); err != nil {
			return errors.Join(err, p.stop(false, false))
		}
	}
	return nil
}

// cluster is what the front may ask for: the node, and the channel on which it takes
// changes of the membership.
type cluster struct {
	*raftnode.Node
	commit.Changes
}

var _ commit.Cluster = cluster{}

func (p *part) cluster() commit.Cluster { return cluster{p.node, commit.Changes(p.confChangeC)} }

// serve opens the front.
func (p *part) serve() error {
	o := p.o
	id := make([]byte, 20)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	limit, err := openFilesLimit()
	if err != nil {
		return err
	}
	members, err := o.peers() // a node that waits for the others knows them from its list only
	if err != nil {
		return err
	}
	cfg := o.raftConfig(nil)
	most, err := o.fitClients(p.log.Logger, limit, cfg.Descriptors, max(len(p.node.Members()), len(members)))
	if err != nil {
		return err
	}
	options := resp.Options{
		Config:      o.front,
		MostClients: most,
		Store:       p.store,
		Cluster:     p.cluster(),
		Table:       p.table,
		Version:     release,
		RunID:       hex.EncodeToString(id),
		Settings:    o.settings(p.log, p.store),
		Users:       o.users.all,
		Forms:       !o.restart && !bool(o.join),

		PeerTraffic: peerTraffic,
		Stop: func(snapshot bool) {
			select {
			case p.stopC <- snapshot:
			default: // it is stopping already
			}
		},
		PeersUseTLS: bool(o.tlsCluster),
		Freed:       p.freed.tell,
		Tasks:       p.tasks,
		Now:         o.now,
		Logger:      p.log.Named("resp"),
	}
	if o.config.value != "" {
		options.Rewrite = func(changed map[string]string) error { return rewriteConf(o.config.value, changed) }
	}
	if p.server, err = resp.New(options); err != nil {
		return err
	}
	if err := p.server.Start(); err != nil {
		p.server = nil
		return err
	}
	return o.remember()
}

// stopTimeout bounds each step of stopping that waits for other members.
const stopTimeout = 5 * time.Second

// stop ends the parts in the order in which nobody loses anything: leadership
// goes to another member while clients can still be served through it, clients
// get the replies to what they have sent, and then the log is closed.
func (p *part) stop(healthy, snapshot bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if healthy && snapshot {
		if err := p.node.Snapshot(ctx); err != nil {
			p.log.Warn("no snapshot before the end", zap.Error(err))
		}
	}
	if healthy && p.node.IsLeader() && len(p.node.Members()) > 1 {
		if err := p.node.Transfer(ctx, 0); err != nil {
			p.log.Warn("no successor", zap.Error(err))
		}
	}
	if p.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(p.o.front.ShutdownTimeout)*time.Second)
		if !healthy {
			cancel() // replies that wait for the log will not come
		}
		if err := p.server.Close(ctx); err != nil && healthy {
			p.log.Warn("clients were cut off", zap.Error(err))
		}
		cancel()
	}
	p.store.Close()
	close(p.proposeC) // stops raft, as in raftexample
	p.node.Stop()
	p.log.Info("stopped")
	return nil
}

// raftConfig says what the raft node is to be.
func (o *options) raftConfig(peers []raftnode.Peer) raftnode.Config {
	cfg := raftnode.Config{
		ID:    uint64(o.id.value),
		Dir:   o.dir.value,
		Peers: peers,
		Join:  bool(o.join),

		ForceFormation: bool(o.forceFormation),

		ListenURL:     o.peerListen.value,
		PeerSecret:    o.peerSecret.value,
		ClientAddr:    o.clientAddr(),
		ClientTLSPort: int(o.clientTLSPort()),
		Hostname:      o.announceName.value,
		SnapshotBytes: uint64(o.snapshotBytes),
		CatchUpBytes:  uint64(o.catchUpBytes),
		TickInterval:  o.nodeTimeout.value / electionTicks,
		ElectionTicks: electionTicks,
		Failpoint:     o.failpointHook(),
		Level:         uint64(command.Latest),
		JournalLevel:  uint64(command.Level2),
	}
	// As long as there is no state machine: what its directory may begin with.
	cfg.TellLevel = func() (uint64, uint64) {
		return uint64(cmp.Or(o.keptLevel(), command.Latest)), uint64(command.Level1)
	}
	switch o.appendfsync.value {
	case "always":
		cfg.Durability = raftnode.Always
	case "everysec":
		cfg.Durability = raftnode.EverySec
	case "no":
		cfg.Durability = raftnode.No
	}
	if o.tlsCluster {
		cfg.PeerTLS = raftnode.TLS{CertFile: o.front.TLSCertFile, KeyFile: o.front.TLSKeyFile, CAFile: o.front.TLSCAFile}
	}
	return cfg
}

// electionTicks divide --cluster-node-timeout. A leader sends a heartbeat every
// tick.
const electionTicks = 10

// checkTLS reads what TLS needs before anything depends on it. A certificate whose
// time is over is no reason not to start: who checks it is for others to say.
func (o *options) checkTLS(log *logs) error {
	if o.front.TLSPort == 0 && !bool(o.tlsCluster) {
		return nil
	}
	warning, err := resp.CheckTLS(&o.front, o.now())
	if warning != "" {
		log.Warn(warning)
	}
	return err
}

// now is the clock of this node.
func (o *options) now() time.Time { return time.Now().Add(o.clockOffset.value) }

func addresses(s *resp.Server) []string {
	var all []string
	for _, a := range s.Addrs() {
		all = append(all, a.String())
	}
	return all
}

// friendlier adds what a user can do about an error.
func friendlier(err error, o *options) error {
	switch {
	case errors.Is(err, raftnode.ErrWrongDir) && o.given["dir"] == "":
		return fmt.Errorf("%w (each node needs a --dir of its own)", err)
	case strings.Contains(err.Error(), "address already in use"):
		return fmt.Errorf("%w (another node, or another program, listens there; see --cluster and --cluster-port)", err)
	case strings.Contains(err.Error(), "cannot assign requested address"):
		return fmt.Errorf("%w (if this node has moved: RAFT UPDATE on another member, and --peer-listen here)", err)
	}
	return err
}
