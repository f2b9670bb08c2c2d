package raftnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	stats "go.etcd.io/etcd/server/v3/etcdserver/api/v2stats"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// dialTimeout bounds a connection attempt to a peer that does not even refuse.
const dialTimeout = time.Second

// network is rafthttp with the two things it lacks: it never blocks the caller,
// and it carries our own endpoints on the same listener (peerhttp.go).
type network struct {
	lg     *zap.Logger
	cfg    *Config
	self   string // own peer URL
	tr     *rafthttp.Transport
	client *http.Client

	mu sync.Mutex
	// While a peer is being removed, rafthttp holds the lock that Send needs
	// until that peer's goroutines have ended, which takes up to 5 s if the
	// network is stuck. Messages wait here meanwhile.
	removing bool
	backlog  []*raftpb.Message
	ops      []func() // changes of the peers, in order
	opsC     chan struct{}
}

// maxBacklog messages wait for a removal; raft repairs the loss of the others.
const maxBacklog = 4096

func tlsInfo(t TLS) transport.TLSInfo {
	if t == (TLS{}) {
		return transport.TLSInfo{}
	}
	return transport.TLSInfo{
		CertFile: t.CertFile, KeyFile: t.KeyFile, TrustedCAFile: t.CAFile, ClientCertAuth: true, ServerName: t.name,
	}
}

// newHTTPClient makes a client for the endpoints of peerhttp.go.
func newHTTPClient(cfg *Config) (*http.Client, error) {
	rt, err := transport.NewTransport(tlsInfo(cfg.PeerTLS), dialTimeout)
	if err != nil {
		return nil, fmt.Errorf("peer TLS: %w", err)
	}
	rt.ExpectContinueTimeout = dialTimeout // for those requests that wait for leave
	return &http.Client{Transport: rt}, nil
}

// startNetwork lets messages of this cluster, and no other, in and out.
func startNetwork(cfg *Config, cluster uint64, self string, ln *peerListener, r rafthttp.Raft, in *incoming, client *http.Client) (*network, error) {
	urls, err := types.NewURLs([]string{cfg.dialURL(self)})
	if err != nil {
		return nil, fmt.Errorf("own peer URL: %w", err)
	}
	id := types.ID(cfg.ID)
	// rafthttp logs every message that it drops: with one member out of reach that
	// is tens of lines a second, for as long as it lasts. And its prober says every few
	// seconds what the leader says once (measureLags).
	lg := cfg.Logger.Named("peers").WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return withoutProber{zapcore.NewSamplerWithOptions(c, 10*time.Second, 3, 1000)}
	}))
	nw := &network{
		lg: cfg.Logger, cfg: cfg, self: self, client: client,
		tr: &rafthttp.Transport{
			Logger:      lg,
			DialTimeout: dialTimeout,
			TLSInfo:     tlsInfo(cfg.PeerTLS),
			ID:          id,
			URLs:        urls,
			ClusterID:   types.ID(cluster),
			Raft:        r,
			Snapshotter: snap.New(cfg.Logger, snapDir(cfg)),
			ServerStats: stats.NewServerStats("", ""),
			LeaderStats: stats.NewLeaderStats(lg, id.String()),
			ErrorC:      make(chan error, 1),
		},
		opsC: make(chan struct{}, 1),
	}
	if err := nw.tr.Start(); err != nil {
		return nil, fmt.Errorf("start transport: %w", err)
	}
	peers := nw.tr.Handler()
	mux := http.NewServeMux()
	mux.Handle("/", peers)
	mux.Handle(rafthttp.RaftStreamPrefix+"/", plainStreams(peers))
	mux.Handle(rafthttp.RaftSnapshotPrefix, in.watch(cluster, cfg.ID, peers))
	ln.raft.Store(new(http.Handler(mux)))
	return nw, nil
}

// withoutProber makes debugging of what rafthttp's prober finds.
type withoutProber struct{ zapcore.Core }

// With implements zapcore.Core.
func (w withoutProber) With(f []zapcore.Field) zapcore.Core { return withoutProber{w.Core.With(f)} }

// Check implements zapcore.Core.
func (w withoutProber) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Level == zapcore.WarnLevel && strings.HasPrefix(e.Message, "prober detected") {
		e.Level = zapcore.DebugLevel
	}
	if !w.Enabled(e.Level) {
		return ce
	}
	return w.Core.Check(e, ce)
}

// send never blocks.
func (nw *network) send(msgs []*raftpb.Message) {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	if nw.removing {
		if len(nw.backlog)+len(msgs) <= maxBacklog {
			nw.backlog = append(nw.backlog, msgs...)
		}
		return
	}
	nw.tr.Send(msgs)
}

// reachable reports whether the links to a member work, as far as rafthttp knows.
func (nw *network) reachable(id uint64) bool {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	if nw.removing { // rafthttp's lock is taken
		return true
	}
	if p := nw.tr.Get(types.ID(id)); p == nil {
		return true
	}
	return !nw.tr.ActiveSince(types.ID(id)).IsZero()
}

// since is when the links to a member began to work, the zero time if they do not.
func (nw *network) since(id uint64) time.Time {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	if nw.removing { // rafthttp's lock is taken
		return time.Time{}
	}
	return nw.tr.ActiveSince(types.ID(id))
}

// sendSnapshot sends a MsgSnap with the body of its index, straight from the
// file. The transport reports what became of it.
func (nw *network) sendSnapshot(m *raftpb.Message, report func(raft.SnapshotStatus)) {
	index := m.GetSnapshot().GetMetadata().GetIndex()
	f, err := os.Open(bodyPath(nw.cfg, index))
	if err != nil {
		nw.lg.Warn("cannot send snapshot", zap.Uint64("index", index), zap.Uint64("to", m.GetTo()), zap.Error(err))
		report(raft.SnapshotFailure)
		return
	}
	fi, err := f.Stat()
	if err != nil {
		err = errors.Join(err, f.Close())
		nw.lg.Warn("cannot send snapshot", zap.Uint64("index", index), zap.Uint64("to", m.GetTo()), zap.Error(err))
		report(raft.SnapshotFailure)
		return
	}
	if nw.tr.Get(types.ID(m.GetTo())) == nil { // then rafthttp would report nothing
		nw.lg.Info("no link to send a snapshot", zap.Uint64("to", m.GetTo()), zap.NamedError("close", f.Close()))
		report(raft.SnapshotFailure)
		return
	}
	task := nw.cfg.Tasks.Begin(commit.SendSnapshot, m.GetTo(), fi.Size(), "bytes")
	nw.tr.SendSnapshot(snap.NewMessage(m, &sending{task.Reader(f), f, task}, fi.Size()))
}

// sending is the body of a snapshot on its way to a member. rafthttp closes it, whatever
// becomes of it.
type sending struct {
	io.Reader
	f    *os.File
	task *commit.Running
}

// Close implements io.Closer.
func (s *sending) Close() error {
	s.task.End()
	return s.f.Close()
}

// change queues a change of the peers: they take effect in order, on a goroutine
// of their own.
func (nw *network) change(op func()) {
	nw.mu.Lock()
	nw.ops = append(nw.ops, op)
	nw.mu.Unlock()
	select {
	case nw.opsC <- struct{}{}:
	default:
	}
}

func (nw *network) link(m commit.Member) {
	nw.change(func() { nw.tr.AddPeer(types.ID(m.ID), []string{nw.cfg.dialURL(m.PeerURL)}) })
}

func (nw *network) relink(m commit.Member) {
	nw.change(func() { nw.tr.UpdatePeer(types.ID(m.ID), []string{nw.cfg.dialURL(m.PeerURL)}) })
}

func (nw *network) unlink(id uint64) {
	nw.change(func() {
		nw.mu.Lock()
		nw.removing = true
		nw.mu.Unlock()
		nw.tr.RemovePeer(types.ID(id))
		nw.mu.Lock()
		nw.removing = false
		nw.tr.Send(nw.backlog)
		nw.backlog = nil
		nw.mu.Unlock()
	})
}

// runChanges is the goroutine of change.
func (nw *network) runChanges(stopC <-chan struct{}) {
	for {
		nw.mu.Lock()
		ops := nw.ops
		nw.ops = nil
		nw.mu.Unlock()
		for _, op := range ops {
			op()
		}
		if len(ops) > 0 {
			continue
		}
		select {
		case <-nw.opsC:
		case <-stopC:
			return
		}
	}
}

// stop ends the links to the other members. REQUIRES: runChanges has ended.
func (nw *network) stop() { nw.tr.Stop() }

// receiver is the Node as rafthttp sees it. None of its methods may block: Send
// calls some of them on the raft goroutine.
type receiver struct{ n *Node }

// removedSender makes rafthttp tell a removed member so.
type removedSender struct{}

func (removedSender) Error() string                   { return "the member has been removed" }
func (e removedSender) WriteTo(w http.ResponseWriter) { http.Error(w, e.Error(), http.StatusForbidden) }

// Process takes a message from another member.
func (r receiver) Process(_ context.Context, m *raftpb.Message) error {
	n := r.n
	if n.view.Load().settled.isRemoved(m.GetFrom()) {
		return removedSender{}
	}
	if m.GetTo() != n.cfg.ID || m.GetFrom() == 0 || m.GetFrom() == n.cfg.ID ||
		raft.IsLocalMsg(m.GetType()) && m.GetType() != msgCommitted || raft.IsLocalMsgTarget(m.GetFrom()) {
		return nil // misdirected, or an attempt to speak for our own storage
	}
	if m.GetType() == raftpb.MsgSnap {
		// Once raft has accepted it, the old log is gone: what is damaged must be
		// found out now. The leader will send it again.
		d, err := decodeDescriptor(m.GetSnapshot().GetData())
		if err != nil {
			return err
		}
		defer n.cfg.LongWork()()
		index := m.GetSnapshot().GetMetadata().GetIndex()
		err = checkBody(&n.cfg, index, d)
		if err == nil {
			// Once raft has it, it must be possible to write what refers to it.
			err = n.reserve.checkBody()
		}
		if err != nil {
			// rafthttp would keep the damaged one over a good one.
			err = errors.Join(err, os.Remove(bodyPath(&n.cfg, index)))
			return fmt.Errorf("snapshot %d from member %d refused: %w", index, m.GetFrom(), err)
		}
		n.inbox.deliver([]*raftpb.Message{m}) // took too long to get here to drop it now
		return nil
	}
	if !n.inbox.receive(m) {
		n.cfg.Logger.Warn("message dropped, the node is overloaded", zap.Stringer("type", m.GetType()))
	}
	return nil
}

// IsIDRemoved makes rafthttp refuse streams to removed members, which is how they
// find out.
func (r receiver) IsIDRemoved(id uint64) bool { return r.n.view.Load().settled.isRemoved(id) }

func (r receiver) ReportUnreachable(id uint64) {
	r.n.inbox.run(func(c *core) { c.unreachable(id) })
}

func (r receiver) ReportSnapshot(id uint64, status raft.SnapshotStatus) {
	r.n.inbox.run(func(c *core) { c.snapshotSent(id, status) })
}
