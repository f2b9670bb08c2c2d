package resp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/resp/driver"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// databases is what SELECT may choose from; the store has as many.
const databases = 16

// Options is what a Server needs.
type Options struct {
	Config Config
	Store  *store.Store
	// Cluster is what this node knows of the others, and has them do.
	Cluster commit.Cluster
	Table   *command.Table // all commands, Commands() among them: the store's own

	// PeersUseTLS says that the links between members use the certificate of the
	// TLS directives, by the names that its files had at the start.
	PeersUseTLS bool

	// MostClients is the most that maxclients may be set to, because there are no
	// more file descriptors. 0: not known.
	MostClients int

	// Version and RunID are for INFO.
	Version string
	RunID   string

	// PeerTraffic returns the bytes received from and sent to other members since
	// the start. Nil: none.
	PeerTraffic func() (in, out int64)

	// Tasks is what goes on in this node that takes long, for whoever asks. Nil: nothing.
	Tasks *commit.Tasks

	// Settings are the directives of other parts, for CONFIG GET and SET.
	Settings []Setting

	// Rewrite puts values that CONFIG SET has changed into the configuration
	// file. Nil: there is none.
	Rewrite func(changed map[string]string) error

	// Users are those of the configuration. They are for a cluster in which nobody
	// has said anything about users yet.
	Users []UserLine

	// Forms says that the node is of a new cluster, so that what the options say of
	// users is in force from the start. Any other node has to find out first.
	Forms bool

	// Stop asks main to shut the node down, as SHUTDOWN does. snapshot says that
	// one is to be taken first.
	Stop func(snapshot bool)

	// Freed is called, by any goroutine, when much memory is not needed any more that
	// replies have taken. It must not block. Nil: nobody wants to know.
	Freed func()

	Now    func() time.Time // nil: time.Now
	Logger *zap.Logger      // nil: none
}

// UserLine is a user of the configuration: a line of redis.conf.
type UserLine struct {
	Name  string
	Rules []string // as of ACL SETUSER
	Where string   // file and line, for errors
}

// Server is the front of one node: it listens for clients and runs their
// commands against one store.
type Server struct {
	opts     Options
	store    *store.Store
	cluster  commit.Cluster
	commands map[string]*cmd
	bySpec   map[*command.Spec]*cmd
	execCmd  *cmd
	others   []Setting // the directives that are not this package's: of other parts, and of the state
	log      *zap.Logger
	started  time.Time

	cfg     atomic.Pointer[Config]
	cfgMu   sync.Mutex // serializes CONFIG SET
	changed map[string]string

	stats    stats
	slowlog  slowlog
	aclLog   aclLog
	access   *access
	latency  latencyMonitor
	pause    atomic.Pointer[pause]
	monitors atomic.Int64
	coarse   atomic.Int64 // ms, a tenth of a second behind at most
	nextID   atomic.Int64
	rates    rates // of commands, and bytes from and to clients, in 1.6 s
	peers    rates // of bytes from and to other members, in 16 s
	base     atomic.Pointer[baseline]
	downFrom atomic.Int64 // since when the node has not been ready, ms, 0 if it is
	peak     atomic.Int64 // most bytes that the state was seen to need

	handing     atomic.Bool  // leadership is being handed over for a client
	clientsHold atomic.Int64 // memory of all clients, as of their last runs, while it is limited
	evictC      chan struct{}
	saving      atomic.Int64 // snapshots being taken for SAVE and BGSAVE
	backups     atomic.Int64 // being read by clients
	saveErr     atomic.Bool  // the last of them failed

	mu           sync.Mutex
	clients      map[int64]*conn
	listeners    []net.Listener // of the plain port
	tlsListeners []net.Listener
	closing      bool

	secrets secrets
	lookout *lookout // for changes that subscribers of Sentinel's channels are told of

	plain driver.Driver // of plain TCP connections
	tls   driver.Driver
	group sync.WaitGroup
	stopC chan struct{}
}

// New returns a server that does not listen yet.
func New(opts Options) (*Server, error) {
	if opts.Freed == nil {
		opts.Freed = func() {}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.PeerTraffic == nil {
		opts.PeerTraffic = func() (in, out int64) { return 0, 0 }
	}
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	cmds, err := newCommands(opts.Table)
	if err != nil {
		return nil, fmt.Errorf("resp: %w", err)
	}
	access, err := newAccess(opts.Table, &opts.Config, opts.Users)
	if err != nil {
		return nil, err
	}
	access.known.Store(opts.Forms)
	s := &Server{
		access: access,
		opts:   opts, store: opts.Store, cluster: opts.Cluster, commands: cmds, bySpec: make(map[*command.Spec]*cmd), execCmd: cmds["exec"], log: opts.Logger,
		started: opts.Now(),
		clients: make(map[int64]*conn),
		changed: make(map[string]string),
		stopC:   make(chan struct{}),
		evictC:  make(chan struct{}, 1),
		lookout: newLookout(),
	}
	s.eachCommand(func(cm *cmd) { s.bySpec[cm.spec] = cm })
	s.others = slices.Concat(opts.Settings, s.replicated())
	s.secrets.log, s.secrets.now = s.log, s.now
	cfg := opts.Config
	if cfg.TLSPort != 0 {
		state, err := readTLS(cfg.tlsSettings())
		if err != nil {
			return nil, fmt.Errorf("resp: %w", err)
		}
		s.secrets.use(state)
	}
	s.cfg.Store(&cfg)
	s.base.Store(&baseline{})
	s.store.LimitTracking(int(cfg.TrackingKeys))
	s.store.OnScript(s.scriptLog, s.calledInside)
	s.coarse.Store(s.now().UnixMilli())
	s.store.OnUsers(s.usersChanged)
	return s, nil
}

func (s *Server) config() *Config { return s.cfg.Load() }

func (s *Server) now() time.Time { return s.opts.Now() }

// nanotime is a clock for durations.
func (s *Server) nanotime() int64 { return int64(time.Since(s.started)) }

func (s *Server) hasLeader() bool {
	id, _ := s.cluster.Leader()
	return id != 0
}

// Start listens on all configured addresses and serves in the background.
func (s *Server) Start() error {
	cfg := s.config()
	var err error
	opts := driver.Options{Connect: s.connect, Logger: s.log, Panicked: func(v any) { s.panicked("connection", v) }}
	s.tls = driver.NewGoroutines(opts)
	if cfg.Driver == "goroutine" {
		s.plain = driver.NewGoroutines(opts)
	} else if s.plain, err = driver.NewEpoll(opts, cfg.IOThreads); err != nil {
		return fmt.Errorf("resp: %w", err)
	}
	if s.listeners, err = s.listen(cfg.Bind, cfg.Port, s.plain, nil); err == nil {
		s.tlsListeners, err = s.listen(cfg.Bind, cfg.TLSPort, s.tls, s.tlsConfig())
	}
	if err != nil {
		s.closeListeners()
		s.plain.Stop()
		return err
	}
	s.group.Add(1)
	go s.cron()
	return nil
}

func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{GetConfigForClient: s.secrets.forClient}
}

// listen opens a port on all addresses, and none for port 0. As in redis.conf, an
// address with a minus in front may be missing on this machine.
func (s *Server) listen(addrs []string, port int, d driver.Driver, tlsConfig *tls.Config) (all []net.Listener, err error) {
	if port == 0 {
		return nil, nil
	}
	if len(addrs) == 0 {
		addrs = []string{"*"}
	}
	for _, addr := range addrs {
		optional := strings.HasPrefix(addr, "-")
		host, network := strings.TrimPrefix(addr, "-"), "tcp"
		switch host {
		case "*":
			host, network = "0.0.0.0", "tcp4"
		case "::*":
			host, network = "::", "tcp6"
		}
		l, err := net.Listen(network, net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			if optional && !driver.AddrInUse(err) {
				continue
			}
			closeAll(all)
			return nil, fmt.Errorf("resp: listen for clients: %w", err)
		}
		if tlsConfig != nil {
			l = tls.NewListener(l, tlsConfig)
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("resp: none of the addresses to bind to is there: %s", strings.Join(addrs, " "))
	}
	for _, l := range all {
		s.group.Add(1)
		go s.accept(l, d)
	}
	return all, nil
}

// moveTLS listens on another TLS port, or on none for 0. Clients that are there
// stay.
func (s *Server) moveTLS(cfg *Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return net.ErrClosed
	}
	fresh, err := s.listen(cfg.Bind, cfg.TLSPort, s.tls, s.tlsConfig())
	if err != nil {
		return err
	}
	closeAll(s.tlsListeners)
	s.tlsListeners = fresh
	return nil
}

// Addrs returns the addresses that the server listens on.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addrs []net.Addr
	for _, l := range slices.Concat(s.listeners, s.tlsListeners) {
		addrs = append(addrs, l.Addr())
	}
	return addrs
}

func (s *Server) accept(l net.Listener, d driver.Driver) {
	defer s.group.Done()
	for {
		nc, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, most likely: a client that leaves makes room.
			s.log.Warn("accept a client", zap.Error(err))
			select {
			case <-s.stopC:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		s.admit(nc, d)
	}
}

// Serve takes over a connection that was not accepted here: an inherited socket, or one
// end of a pipe. It returns at once. The server must have been started.
func (s *Server) Serve(nc net.Conn) { s.admit(nc, s.tls) }

// admit hands an accepted connection to its driver, or sends it away.
func (s *Server) admit(nc net.Conn, d driver.Driver) {
	cfg := s.config()
	s.stats.connections.Add(1)
	refuse := ""
	switch {
	case s.clientCount() >= cfg.MaxClients:
		refuse = errMaxClients
	case cfg.ProtectedMode && s.openToAll() && !isLoopback(nc.RemoteAddr()):
		refuse = errProtected
	}
	if refuse != "" {
		s.stats.rejected.Add(1)
		// Whether the client reads it or not: it must not hold up the others.
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		if _, isTLS := nc.(*tls.Conn); !isTLS {
			_, _ = nc.Write([]byte("-" + refuse + "\r\n"))
		}
		_ = nc.Close()
		return
	}
	if tc := driver.TCPConn(nc); tc != nil {
		_ = tc.SetNoDelay(true)
		if cfg.TCPKeepalive > 0 {
			_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{
				Enable: true, Idle: time.Duration(cfg.TCPKeepalive) * time.Second,
				Interval: time.Duration(max(1, cfg.TCPKeepalive/3)) * time.Second, Count: 3,
			})
		} else {
			_ = tc.SetKeepAlive(false)
		}
	}
	if err := d.Add(nc); err != nil {
		s.log.Warn("take over a client", zap.Error(err))
		_ = nc.Close()
	}
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// connect makes the state machine of an accepted connection, for its driver.
func (s *Server) connect(l driver.Link, nc net.Conn, fd int) driver.Conn {
	remote := nc.RemoteAddr()
	c := newConn(s, l, remote.String(), nc.LocalAddr().String(), fd, isLoopback(remote))
	_, c.tls = nc.(*tls.Conn)
	return c
}

// remember adds a connection to those that CLIENT LIST shows.
func (s *Server) remember(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.clients[c.id] = c
	return true
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[c.id] != c {
		return
	}
	delete(s.clients, c.id)
	if c.monitor {
		s.monitors.Add(-1)
	}
	if c.out.large.Load() {
		s.opts.Freed()
	}
}

func (s *Server) clientCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// eachClient calls visit for every connection, in the order of ids.
func (s *Server) eachClient(visit func(*conn)) {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.clients))
	for _, c := range s.clients {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	sortClients(conns)
	for _, c := range conns {
		visit(c)
	}
}

// recovered keeps a panic in one command from ending the node: after is called,
// which should end the connection.
func (s *Server) recovered(what string, after func()) {
	if r := recover(); r != nil {
		s.panicked(what, r)
		after()
	}
}

// panicked logs a panic. It is called by whoever has recovered from it.
func (s *Server) panicked(what string, value any) {
	s.log.Error("panic", zap.String("in", what), zap.Any("panic", value), zap.ByteString("stack", debug.Stack()))
}

// cron does what has to be done now and then: move the coarse clock, close idle
// clients and those that do not read their replies.
func (s *Server) cron() {
	defer s.group.Done()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-s.stopC:
			return
		case <-s.evictC:
			s.evictClients()
			n--
			continue
		case <-tick.C:
		}
		s.evictClients()
		now := s.now().UnixMilli()
		s.coarse.Store(now)
		s.rates.sample(now, s.stats.commands.Load(), s.stats.netIn.Load(), s.stats.netOut.Load())
		if p := s.pause.Load(); p != nil && now >= p.until {
			s.unpause(p)
		}
		s.tellChanges(now)
		if s.store.Ready() {
			s.downFrom.Store(0)
		} else {
			s.downFrom.CompareAndSwap(0, now)
		}
		if n%10 == 0 {
			s.closeIdle(now)
			in, out := s.opts.PeerTraffic()
			s.peers.sample(now, 0, in, out)
		}
	}
}

func (s *Server) closeIdle(now int64) {
	cfg := s.config()
	if cfg.Timeout == 0 && cfg.OutputLimits == (OutputLimits{}) {
		return
	}
	s.eachClient(func(c *conn) {
		c.face.mu.Lock()
		idle, blocked, listens := now-c.face.active, c.face.blocked, c.face.listens()
		c.face.mu.Unlock()
		if cfg.Timeout > 0 && !blocked && !listens && !c.isMonitor() && idle > int64(cfg.Timeout)*1000 {
			c.link.Kill()
			return
		}
		if c.overOutputLimit(closedNow) {
			c.link.Kill()
		}
	})
}

// Close stops listening, lets clients take the replies to what they have sent,
// for as long as ctx allows, and closes their connections.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.closing = true
	s.mu.Unlock()
	s.closeListeners()
	err := s.drain(ctx)
	s.eachClient(func(c *conn) { c.link.Kill() })
	close(s.stopC)
	if s.plain != nil {
		s.plain.Stop()
		s.tls.Stop()
	}
	s.group.Wait()
	return err
}

func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeAll(s.listeners)
	closeAll(s.tlsListeners)
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// drain waits until no connection has a command on its way or a reply unsent.
func (s *Server) drain(ctx context.Context) error {
	for {
		busy := false
		s.eachClient(func(c *conn) { busy = busy || c.busy() })
		if !busy {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
