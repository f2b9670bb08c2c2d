package resp

import "strings"

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
	OutputLimits     OutputLimits
	ReadMode         string // "local" or "linearizable"
	ServeStale       bool
	DebugCommand     string // "no", "yes" or "local"
	SlowlogSlower    int64  // microseconds, negative: off
	SlowlogMaxLen    int64
	LatencyLimit     int64 // milliseconds, 0: off
	BusyThreshold    int64 // milliseconds that a script may take before others are told, 0: never
	LatencyTracking  bool
	TrackingKeys     int64 // most keys that CLIENT TRACKING remembers for all clients, 0: any number
	Databases        int
	ShutdownTimeout  int // seconds that clients get for their last replies
	IOThreads        int // event loops, 0: one for each two CPUs
	Driver           string
}

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

// Kind is what a directive's value looks like.
type Kind string

// The kinds of directives.
const (
	YesNo  Kind = "yes|no"
	Number Kind = "number"
	Memory Kind = "memory" // bytes, 1gb, 64mb ...
	Enum   Kind = "enum"   // one of Values
	Text   Kind = "text"   // words, where the directive allows several
)

// Directive is one setting, named as in redis.conf. The table that Directives
// returns is the only place that such a setting is declared in: flags,
// configuration file, environment, CONFIG GET and CONFIG SET follow from it.
type Directive struct {
	Name      string
	Alias     string // Redis's other name for it: slave-... for replica-...
	Kind      Kind
	Default   string
	Values    []string // of an Enum
	Min, Max  int64    // of a Number or Memory
	Immutable bool     // CONFIG SET may not change it
	Secret    bool     // never to be logged
	Summary   string   // one line for --help

	get func(*Config) string
	set func(*Config, string) error
}

// Get returns the directive's value as redis.conf would write it.
func (d *Directive) Get(c *Config) string { return d.get(c) }

// Set parses and checks value and puts it into c. The error's text is the one
// that Redis gives.
func (d *Directive) Set(c *Config, value string) error { return d.set(c, value) }

// Is reports whether name, in any case, names the directive.
func (d *Directive) Is(name string) bool {
	return strings.EqualFold(name, d.Name) || d.Alias != "" && strings.EqualFold(name, d.Alias)
}

// Extra is a directive that belongs to another part of the program. CONFIG GET
// answers with Get's value; CONFIG SET calls Set, or refuses if there is none.
type Extra struct {
	Name string
	Get  func() string
	Set  func(value string) error
}
