package resp

import "github.com/raftredis/raftredis/resp/directive"

// Config is the directives that the front obeys. A value never changes once the
// server has it: CONFIG SET builds a new one and swaps it in, so that a
// connection reads a consistent set without a lock.
type Config struct {
	Bind             []string // addresses to listen on
	Port             int      // 0: no plain listener
	TLSPort          int      // 0: no TLS listener
	TLSCertFile      string
	TLSKeyFile       string
	TLSCAFile        string
	TLSAuthClients   string // "yes", "no" or "optional"
	TLSProtocols     string // words as in redis.conf; empty: TLS 1.2 and later
	TCPBacklog       int
	TCPKeepalive     int // seconds, 0: off
	Timeout          int // seconds after which an idle client is closed, 0: never
	MaxClients       int
	ProtectedMode    bool
	RequirePass      string // what this node was last told; the default user's password is state
	ACLLogMaxLen     int64
	ACLPubSubDefault string // "allchannels" or "resetchannels"
	QueryBufLimit    int64  // bytes of unparsed input that one client may have
	MaxBulkLen       int64
	ClientMemory     int64 // bytes of all clients together, 0: any; below 0: percent of maxmemory
	OutputLimits     OutputLimits
	ReadMode         string // "local" or "linearizable"
	ServeStale       bool
	DebugCommand     string // "no", "yes" or "local"
	SlowlogSlower    Micros // negative: off
	SlowlogMaxLen    int64
	LatencyLimit     Millis // 0: off
	BusyThreshold    Millis // that a script may take before others are told, 0: never
	LatencyTracking  bool
	Percentiles      []float64 // of latencies, in INFO
	TrackingKeys     int64     // most keys that CLIENT TRACKING remembers for all clients, 0: any number
	Databases        int
	ClusterEnabled   bool   // clients are told that this is Redis Cluster, and its rules hold
	CrossSlot        bool   // a command may have keys of several slots, where the rules hold
	EndpointType     string // what of a member's address CLUSTER prefers: "ip", "hostname" or "unknown-endpoint"
	SentinelMaster   string // the name that SENTINEL knows this cluster by
	ShutdownTimeout  int    // seconds that clients get for their last replies
	IOThreads        int    // event loops, 0: one for each two CPUs
	Driver           string
}

// Micros is a span of time as some directives and replies of Redis count it. What is
// measured here is in nanoseconds: only reached compares the two.
type Micros int64

// Millis is the same for others.
type Millis int64

// microsOf cuts nanoseconds to what replies show.
func microsOf(ns int64) Micros { return Micros(ns / 1e3) }

// millisOf cuts nanoseconds to what replies show.
func millisOf(ns int64) Millis { return Millis(ns / 1e6) }

// reached reports whether ns nanoseconds are slow by slowlog-log-slower-than. It
// divides, because a limit of any size is allowed.
func (m Micros) reached(ns int64) bool { return m >= 0 && microsOf(ns) >= m }

// reached reports whether ns nanoseconds are an event by latency-monitor-threshold, or
// keep the node busy by busy-reply-threshold.
func (m Millis) reached(ns int64) bool { return m > 0 && millisOf(ns) >= m }

// OutputLimit bounds the replies that wait for a client that does not read
// them: more than Hard bytes at any time, or more than Soft bytes for
// SoftSeconds on end, and the client is closed. 0 is no limit.
type OutputLimit struct {
	Hard, Soft  int64
	SoftSeconds int64
}

// OutputLimits is client-output-buffer-limit's value, by class of client.
type OutputLimits struct {
	Normal, Replica, PubSub OutputLimit
}

// DefaultConfig returns every directive at its default.
func DefaultConfig() Config {
	var c Config
	for _, d := range Directives() {
		if err := d.Set(&c, d.Default); err != nil {
			panic("resp: default of " + d.Name + ": " + err.Error())
		}
	}
	return c
}

// Directive is one of the front's settings, with the field of a Config that it is
// about.
type Directive struct {
	directive.Directive

	get func(*Config) string
	set func(*Config, string) error
}

// Get returns the directive's value as redis.conf would write it.
func (d *Directive) Get(c *Config) string { return d.get(c) }

// Set parses and checks value and puts it into c. The error's text is the one
// that Redis gives.
func (d *Directive) Set(c *Config, value string) error { return d.set(c, value) }

// Setting is a directive of another owner than the front, with its value. CONFIG
// GET answers with Get's value; CONFIG SET calls Set, unless the directive is
// Immutable.
type Setting struct {
	directive.Directive

	Get func() string
	Set func(value string) error
}
