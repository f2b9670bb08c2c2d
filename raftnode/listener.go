package raftnode

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

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
	bound, err := net.Listen("tcp", u.Host)
	if err != nil {
		return nil, fmt.Errorf("listen for peers on %s: %w", cfg.ListenURL, err)
	}
	guard := newPeerGuard(bound)
	ln := net.Listener(guard)
	if cfg.PeerTLS != (TLS{}) {
		config, err := tlsInfo(cfg.PeerTLS).ServerConfig() // its certificate is read anew for each connection
		if err != nil {
			return nil, errors.Join(fmt.Errorf("peer TLS: %w", err), bound.Close())
		}
		config.VerifyConnection = memberOnly
		ln = tls.NewListener(ln, config)
	}
	l := &peerListener{lg: cfg.Logger, served: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc(rafthttp.RaftPrefix, l.serveRaft)
	mux.HandleFunc(rafthttp.RaftPrefix+"/", l.serveRaft)
	mux.Handle("/", own)
	l.server = &http.Server{
		Handler:           guard.knows(mux),
		ConnContext:       guard.connContext,
		ReadHeaderTimeout: strangerTime, // and of a TLS handshake
		ErrorLog:          log.New(&peerHTTPLog{lg: cfg.Logger.Named("peer-http")}, "", 0),
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

// peerHTTPLog is what the HTTP server writes its complaints to: about each connection that
// is none of a member, as fast as they come. One in a while is told.
type peerHTTPLog struct {
	lg   *zap.Logger
	last atomic.Int64 // Unix seconds
}

// Write implements io.Writer.
func (l *peerHTTPLog) Write(line []byte) (int, error) {
	now := time.Now().Unix() //nolint:forbidigo // when something is logged is no state
	if last := l.last.Load(); now-last >= 10 && l.last.CompareAndSwap(last, now) {
		l.lg.Warn("a connection to the peer port has failed", zap.ByteString("why", bytes.TrimSpace(line)))
	}
	return len(line), nil
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
