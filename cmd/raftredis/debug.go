package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/store"
)

// How much of what blocks is looked at: one contention in so many, and one
// blocking event in so many nanoseconds of blocking. Low enough to be left on.
const (
	mutexFraction = 100
	blockRate     = 100_000
)

// monitor is the listener behind --pprof: profiles, metrics, readiness. It has
// no authentication, hence loopback unless the user names another address.
type monitor struct {
	server  *http.Server
	tasks   *commit.Tasks
	watched atomic.Pointer[watched]     // nil until the node has started
	front   atomic.Pointer[resp.Server] // nil until clients are let in
}

// watched is what a monitor shows.
type watched struct {
	store   *store.Store
	cluster commit.Cluster
}

// startDebug opens the listener. It is there before the node is, so that a long
// start can be looked at as well.
func (p *part) startDebug() (*monitor, error) {
	m := &monitor{tasks: p.tasks}
	if p.o.pprof.value == "" {
		return m, nil
	}
	listener, err := net.Listen("tcp", p.o.pprof.value)
	if err != nil {
		return nil, fmt.Errorf("--pprof: %w", err)
	}
	runtime.SetMutexProfileFraction(mutexFraction)
	runtime.SetBlockProfileRate(blockRate)

	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/readyz", m.ready)
	registry := prometheus.NewRegistry()
	if err := registry.Register(m); err != nil {
		return nil, err
	}
	// The default registry has what Go, the process, etcd's WAL and its transport
	// count.
	mux.Handle("/metrics", promhttp.HandlerFor(prometheus.Gatherers{registry, prometheus.DefaultGatherer}, promhttp.HandlerOpts{}))

	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	p.log.Info("debug listener", zap.String("address", listener.Addr().String()))
	go func() {
		if err := m.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("debug listener", zap.Error(err))
		}
	}()
	return m, nil
}

// watch is called once there is something to watch.
func (m *monitor) watch(s *store.Store, c commit.Cluster) { m.watched.Store(&watched{s, c}) }

// show is called once clients are let in.
func (m *monitor) show(s *resp.Server) { m.front.Store(s) }

func (m *monitor) close() {
	if m.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if m.server.Shutdown(ctx) != nil {
		_ = m.server.Close() // somebody is taking a long profile; the node is gone
	}
}

// ready answers 200 while this node is ready (store.Readiness), and otherwise 503
// with the reason.
func (m *monitor) ready(w http.ResponseWriter, _ *http.Request) {
	watched := m.watched.Load()
	if watched == nil {
		http.Error(w, "the node is starting", http.StatusServiceUnavailable)
		return
	}
	if r := watched.store.Readiness(); !r.Ready() {
		http.Error(w, r.Reason, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
