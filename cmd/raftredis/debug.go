package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/resp/page"
	"github.com/raftredis/raftredis/store"
)

// How much of what blocks is looked at: one contention in so many, and one
// blocking event in so many nanoseconds of blocking. Low enough to be left on.
const (
	mutexFraction = 100
	blockRate     = 100_000
)

// monitor is the listener behind --http (the page, profiles, metrics, readiness) and what is sent by itself. The
// page is for users, as the front is; so are profiles, but for whoever is on this
// machine. Metrics, readiness and liveness are for programs, and for anybody who reaches the
// address, hence loopback unless the user names another one.
type monitor struct {
	server  *http.Server // nil without --http
	sends   *telemetry   // nil without --otlp-endpoint
	page    *page.Page
	tasks   *commit.Tasks
	watched atomic.Pointer[watched]     // nil until the node has started
	front   atomic.Pointer[resp.Server] // nil until clients are let in
}

// watched is what a monitor shows.
type watched struct {
	store   *store.Store
	cluster commit.Cluster
}

// startDebug opens the listener, and sends metrics to a collector. Both are there before the
// node is, so that a long start can be looked at as well.
func (p *part) startDebug() (_ *monitor, err error) {
	m := &monitor{page: page.New(page.Options{Hosts: p.o.hosts(), Starting: p.starting}), tasks: p.tasks}
	registry := prometheus.NewRegistry()
	if err := registry.Register(m); err != nil {
		return nil, err
	}
	// The default registry has what Go, the process, etcd's WAL and its transport
	// count.
	all := prometheus.Gatherers{registry, prometheus.DefaultGatherer}
	if p.o.otlpEndpoint.value != "" {
		if m.sends, err = p.startTelemetry(all); err != nil {
			return nil, err
		}
	}
	if p.o.http.value == "" {
		return m, nil
	}
	listener, err := net.Listen("tcp", p.o.http.value)
	if err != nil {
		return nil, fmt.Errorf("--http: %w", err)
	}
	runtime.SetMutexProfileFraction(mutexFraction)
	runtime.SetBlockProfileRate(blockRate)

	mux := http.NewServeMux()
	mux.Handle("/", m.page)
	for path, profile := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.Handle(path, m.forProfilers(profile))
	}
	mux.HandleFunc("/readyz", m.ready)
	mux.HandleFunc("/livez", live)
	mux.Handle("/metrics", promhttp.HandlerFor(all, promhttp.HandlerOpts{}))

	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	p.log.Info("debug listener", zap.String("address", listener.Addr().String()))
	go func() {
		if err := m.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("debug listener", zap.Error(err))
		}
	}()
	return m, nil
}

// starting says what takes long of a start, for the page that is not there yet.
func (p *part) starting() (words []string) {
	for _, t := range p.tasks.List(commit.TaskPatience) {
		words = append(words, t.String())
	}
	return words
}

// hosts are the names of this machine under which browsers may ask for the page.
func (o *options) hosts() []string {
	all := []string{o.announceIP.value, o.announceName.value}
	if name, err := os.Hostname(); err == nil {
		all = append(all, name)
	}
	return all
}

// forProfilers has profiles, which show the command line and cost time, taken on this
// machine by anybody, so that a start that takes too long can be looked at, and from
// elsewhere by users who may see the configuration.
func (m *monitor) forProfilers(profile http.Handler) http.Handler {
	here, elsewhere := m.page.Guard(profile), m.page.Guard(profile, "CONFIG", "GET", "loglevel")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && from.Addr().Unmap().IsLoopback() {
			here.ServeHTTP(w, r)
			return
		}
		elsewhere.ServeHTTP(w, r)
	})
}

// open has the page ask the front, which has been started.
func (m *monitor) open(s *resp.Server) { m.page.Open(s.Serve) }

// watch is called once there is something to watch.
func (m *monitor) watch(s *store.Store, c commit.Cluster) { m.watched.Store(&watched{s, c}) }

// show is called once clients are let in.
func (m *monitor) show(s *resp.Server) { m.front.Store(s) }

func (m *monitor) close() {
	if m.sends != nil {
		m.sends.close()
	}
	if m.server == nil {
		return
	}
	m.page.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if m.server.Shutdown(ctx) != nil {
		_ = m.server.Close() // somebody is taking a long profile; the node is gone
	}
}

// live answers 200 for as long as the process does. A node that cannot go on ends by itself,
// and one that waits for others must not be killed for it.
func live(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") }

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
