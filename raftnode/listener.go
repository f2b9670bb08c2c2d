package raftnode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	"go.uber.org/zap"
)

// peerListener is where other members reach this node: the endpoints of peerhttp.go
// from the start on, and rafthttp once there is a raft node behind it.
type peerListener struct {
	lg     *zap.Logger
	server *http.Server
	raft   atomic.Pointer[http.Handler]
	served chan struct{} // closed when the server has ended
}

// listenForPeers binds the listener and serves own. Stuck connections are given up
// after the timeouts that rafthttp is made for.
func listenForPeers(cfg *Config, own http.Handler) (*peerListener, error) {
	u, err := url.Parse(cfg.ListenURL)
	if err != nil {
		return nil, fmt.Errorf("listen URL: %w", err)
	}
	tls := tlsInfo(cfg.PeerTLS)
	opts := []transport.ListenerOption{transport.WithTimeout(rafthttp.ConnReadTimeout, rafthttp.ConnWriteTimeout)}
	if !tls.Empty() {
		opts = append(opts, transport.WithTLSInfo(&tls))
	}
	ln, err := transport.NewListenerWithOpts(u.Host, u.Scheme, opts...)
	if err != nil {
		return nil, fmt.Errorf("listen for peers on %s: %w", cfg.ListenURL, err)
	}
	l := &peerListener{lg: cfg.Logger, served: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc(rafthttp.RaftPrefix, l.serveRaft)
	mux.HandleFunc(rafthttp.RaftPrefix+"/", l.serveRaft)
	mux.Handle("/", own)
	l.server = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          zap.NewStdLog(cfg.Logger.Named("peer-http")),
	}
	go l.serve(ln)
	return l, nil
}

func (l *peerListener) serve(ln net.Listener) {
	defer close(l.served)
	if err := l.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		l.lg.Error("peer listener", zap.Error(err))
	}
}

// serveRaft lets rafthttp answer, which checks the cluster id of every request. As
// long as this node is not in a cluster, nothing that others send reaches it.
func (l *peerListener) serveRaft(w http.ResponseWriter, r *http.Request) {
	h := l.raft.Load()
	if h == nil {
		http.Error(w, "this node is not in a cluster yet", http.StatusServiceUnavailable)
		return
	}
	(*h).ServeHTTP(w, r)
}

// close ends all connections.
func (l *peerListener) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := l.server.Shutdown(ctx); err != nil {
		l.lg.Debug("peer connections cut off", zap.Error(err), zap.NamedError("close", l.server.Close()))
	}
	<-l.served
}
