package resp

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/raftredis/raftredis/resp/directive"
	"github.com/raftredis/raftredis/store/command"
)

// Directives returns the front's settings: the one place in which they are
// declared. Texts of errors are Redis's.
func Directives() []Directive {
	return []Directive{
		text("bind", "127.0.0.1 -::1", "addresses to listen on for clients", func(c *Config, v string) error {
			c.Bind = strings.Fields(v)
			return nil
		}, func(c *Config) string { return strings.Join(c.Bind, " ") }).immutable().redis("* -::*").remember(),
		number("port", "6379", 0, 65535, "TCP port for clients, 0 for none", func(c *Config) *int { return &c.Port }).immutable().remember(),
		number("tls-port", "0", 0, 65535, "TLS port for clients, 0 for none", func(c *Config) *int { return &c.TLSPort }).remember(),
		path("tls-cert-file", "certificate of this node; it, the key and the authority are read again when the files change", func(c *Config) *string { return &c.TLSCertFile }).remember(),
		path("tls-key-file", "its private key", func(c *Config) *string { return &c.TLSKeyFile }).remember(),
		path("tls-ca-cert-file", "authority that the certificates of members and of clients come from", func(c *Config) *string { return &c.TLSCAFile }).remember(),
		enum("tls-auth-clients", "yes", []string{"no", "yes", "optional"}, "whether clients of --tls-port must have a certificate as well", func(c *Config) *string { return &c.TLSAuthClients }),
		text("tls-protocols", "", "versions of TLS that clients may speak: TLSv1.2 TLSv1.3 by default", func(c *Config, v string) error {
			if _, _, err := parseProtocols(v); err != nil {
				return err
			}
			c.TLSProtocols = v
			return nil
		}, func(c *Config) string { return c.TLSProtocols }),
		number("tcp-backlog", "511", 0, math.MaxInt32, "connections that may wait to be accepted", func(c *Config) *int { return &c.TCPBacklog }).immutable(),
		number("tcp-keepalive", "300", 0, math.MaxInt32, "seconds between probes of an idle connection, 0 for none", func(c *Config) *int { return &c.TCPKeepalive }),
		number("timeout", "0", 0, math.MaxInt32, "seconds after which an idle client is closed, 0 for never", func(c *Config) *int { return &c.Timeout }),
		number("maxclients", "10000", 1, math.MaxUint32, "clients that may be connected at once", func(c *Config) *int { return &c.MaxClients }),
		yesno("protected-mode", "yes", "refuse clients of other hosts while there is no password", func(c *Config) *bool { return &c.ProtectedMode }),
		text("requirepass", "", "password of the default user, of a new cluster (then CONFIG SET and ACL SETUSER change it for all members)", func(c *Config, v string) error {
			c.RequirePass = v
			return nil
		}, func(c *Config) string { return c.RequirePass }),
		enum("acl-pubsub-default", "resetchannels", []string{"allchannels", "resetchannels"}, "what users begin with that are made on this node: all Pub/Sub channels or none", func(c *Config) *string { return &c.ACLPubSubDefault }),
		number("acllog-max-len", "128", 0, math.MaxInt64, "refusals that ACL LOG keeps", func(c *Config) *int64 { return &c.ACLLogMaxLen }),
		memory("client-query-buffer-limit", "1gb", 1<<20, math.MaxInt64, "bytes of one client's unfinished commands", func(c *Config) *int64 { return &c.QueryBufLimit }),
		memory("proto-max-bulk-len", "512mb", 1<<20, 512<<20, "bytes of one argument", func(c *Config) *int64 { return &c.MaxBulkLen }),
		text("client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
			"replies that may wait for a client: class, hard limit, soft limit, seconds",
			setOutputLimits, func(c *Config) string { return c.OutputLimits.String() }),
		text("maxmemory-clients", "0", "memory of all clients together beyond which the largest are closed: bytes or a percentage of maxmemory, 0 for any", setClientMemory, formatClientMemory),
		enum("read-mode", "local", []string{"local", "linearizable"}, "how reads are served unless a connection says READONLY or READWRITE", func(c *Config) *string { return &c.ReadMode }),
		yesno("replica-serve-stale-data", "yes", "serve local reads while there is no leader", func(c *Config) *bool { return &c.ServeStale }).alias("slave-serve-stale-data"),
		enum("enable-debug-command", "no", []string{"no", "yes", "local"}, "allow DEBUG: not at all, to all, or to clients of this host", func(c *Config) *string { return &c.DebugCommand }).immutable(),
		number("slowlog-log-slower-than", "10000", -1, math.MaxInt64, "microseconds beyond which a command is logged, -1 for never", func(c *Config) *Micros { return &c.SlowlogSlower }),
		number("slowlog-max-len", "128", 0, math.MaxInt64, "entries that the slow log keeps", func(c *Config) *int64 { return &c.SlowlogMaxLen }),
		number("latency-monitor-threshold", "0", 0, math.MaxInt64, "milliseconds beyond which an event is remembered, 0 for never", func(c *Config) *Millis { return &c.LatencyLimit }),
		number("tracking-table-max-keys", "1000000", 0, math.MaxInt64, "keys that are remembered for clients which cache them, 0 for any number", func(c *Config) *int64 { return &c.TrackingKeys }),
		number("busy-reply-threshold", "5000", 0, math.MaxInt64, "milliseconds after which a script that has not written keeps this node busy for its other clients, 0 for never", func(c *Config) *Millis { return &c.BusyThreshold }).alias("lua-time-limit"),
		yesno("latency-tracking", "yes", "keep a histogram of each command's latency", func(c *Config) *bool { return &c.LatencyTracking }),
		text("latency-tracking-info-percentiles", "50 99 99.9", "percentiles of commands' latencies that INFO shows", setPercentiles, func(c *Config) string { return formatPercentiles(c.Percentiles) }),
		yesno("cluster-enabled", "no", "tell clients that this is Redis Cluster and keep to its rules, such as only database 0; its commands are there in any case", func(c *Config) *bool { return &c.ClusterEnabled }).immutable(),
		yesno("cluster-allow-cross-slot", "yes", "with cluster-enabled, let commands have keys of several slots, which Redis Cluster refuses", func(c *Config) *bool { return &c.CrossSlot }),
		enum("cluster-preferred-endpoint-type", "ip", []string{"ip", "hostname", "unknown-endpoint"}, "what CLUSTER SLOTS and SHARDS tell clients to connect to", func(c *Config) *string { return &c.EndpointType }),
		text("sentinel-master-name", "mymaster", "name under which clients of Sentinel ask for the leader", func(c *Config, v string) error {
			if v == "" || strings.ContainsAny(v, " \t\r\n\x00") {
				return errors.New("the name must be a word")
			}
			c.SentinelMaster = v
			return nil
		}, func(c *Config) string { return c.SentinelMaster }),
		number("databases", "16", 16, 16, "databases to SELECT from", func(c *Config) *int { return &c.Databases }).immutable(),
		number("shutdown-timeout", "10", 0, math.MaxInt32, "seconds that clients get to take their last replies", func(c *Config) *int { return &c.ShutdownTimeout }),
		number("io-threads", "0", 0, 128, "event loops for clients, 0 to follow the number of CPUs", func(c *Config) *int { return &c.IOThreads }).immutable().redis("1"),
		enum("io-driver", "auto", []string{"auto", "epoll", "goroutine"}, "how connections are driven", func(c *Config) *string { return &c.Driver }).immutable(),
	}
}

func (d Directive) immutable() Directive { d.Immutable = true; return d }

// remember: the directive says where this node is, which does not change with a restart.
func (d Directive) remember() Directive { d.Remember = true; return d }

func (d Directive) alias(name string) Directive { d.Alias = name; return d }

// redis notes that Redis's default is another one.
func (d Directive) redis(def string) Directive { d.Redis = def; return d }

func text(name, def, summary string, set func(*Config, string) error, get func(*Config) string) Directive {
	d := directive.Directive{Name: name, Owner: directive.Front, Kind: directive.Text, Default: def, Summary: summary}
	return Directive{Directive: d, get: get, set: set}
}

func path(name, summary string, field func(*Config) *string) Directive {
	return text(name, "", summary, func(c *Config, v string) error {
		*field(c) = v
		return nil
	}, func(c *Config) string { return *field(c) })
}

func yesno(name, def, summary string, field func(*Config) *bool) Directive {
	d := directive.Directive{Name: name, Owner: directive.Front, Kind: directive.YesNo, Default: def, Summary: summary}
	return Directive{
		Directive: d,
		get: func(c *Config) string {
			if *field(c) {
				return "yes"
			}
			return "no"
		},
		set: func(c *Config, v string) error { return put(d.Bool, v, field(c)) },
	}
}

func enum(name, def string, values []string, summary string, field func(*Config) *string) Directive {
	d := directive.Directive{Name: name, Owner: directive.Front, Kind: directive.Enum, Default: def, Values: values, Summary: summary}
	return Directive{
		Directive: d,
		get:       func(c *Config) string { return *field(c) },
		set:       func(c *Config, v string) error { return put(d.OneOf, v, field(c)) },
	}
}

func number[T ~int | ~int64](name, def string, low, high int64, summary string, field func(*Config) *T) Directive {
	return integer(directive.Number, name, def, low, high, summary, field)
}

func memory(name, def string, low, high int64, summary string, field func(*Config) *int64) Directive {
	return integer(directive.Memory, name, def, low, high, summary, field)
}

func integer[T ~int | ~int64](kind directive.Kind, name, def string, low, high int64, summary string, field func(*Config) *T) Directive {
	d := directive.Directive{Name: name, Owner: directive.Front, Kind: kind, Default: def, Min: low, Max: high, Summary: summary}
	return Directive{
		Directive: d,
		get:       func(c *Config) string { return strconv.FormatInt(int64(*field(c)), 10) },
		set: func(c *Config, v string) error {
			n, err := d.Int(v)
			if err == nil {
				*field(c) = T(n)
			}
			return err
		},
	}
}

// put stores what parse makes of v, unless that fails.
func put[T any](parse func(string) (T, error), v string, at *T) error {
	value, err := parse(v)
	if err == nil {
		*at = value
	}
	return err
}

// setPercentiles reads numbers that single spaces part.
func setPercentiles(c *Config, v string) error {
	var all []float64
	if v != "" {
		for _, word := range strings.Split(v, " ") {
			p, err := strconv.ParseFloat(word, 64)
			switch {
			case err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(p):
				return errors.New("Invalid latency-tracking-info-percentiles parameters")
			case p < 0 || p > 100:
				return errors.New("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
			}
			all = append(all, p)
		}
	}
	c.Percentiles = all
	return nil
}

func formatPercentiles(all []float64) string {
	words := make([]string, len(all))
	for i, p := range all {
		words[i] = formatPercentile(p)
	}
	return strings.Join(words, " ")
}

// formatPercentile is C's %f without what it has of zeros at the end.
func formatPercentile(p float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(p, 'f', 6, 64), "0"), ".")
}

// setOutputLimits reads groups of four words; classes that are not named keep
// what they have.
func setOutputLimits(c *Config, v string) error {
	words := strings.Fields(v)
	if len(words) == 0 || len(words)%4 != 0 {
		return errors.New("Wrong number of arguments in buffer limit configuration.")
	}
	limits := c.OutputLimits
	for ; len(words) > 0; words = words[4:] {
		l := limits.class(words[0])
		if l == nil {
			return errors.New("Invalid client class specified in buffer limit configuration.")
		}
		hard, ok1 := directive.ParseMemory(words[1])
		soft, ok2 := directive.ParseMemory(words[2])
		seconds, ok3 := command.ParseInt([]byte(words[3]))
		if !ok1 || !ok2 || !ok3 || seconds < 0 {
			return errors.New("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
		}
		*l = OutputLimit{Hard: hard, Soft: soft, SoftSeconds: seconds}
	}
	c.OutputLimits = limits
	return nil
}

func (l *OutputLimits) class(name string) *OutputLimit {
	switch strings.ToLower(name) {
	case "normal":
		return &l.Normal
	case "slave", "replica":
		return &l.Replica
	case "pubsub":
		return &l.PubSub
	default:
		return nil
	}
}

// String returns the limits as CONFIG GET shows them.
func (l OutputLimits) String() string {
	return fmt.Sprintf("normal %d %d %d slave %d %d %d pubsub %d %d %d",
		l.Normal.Hard, l.Normal.Soft, l.Normal.SoftSeconds,
		l.Replica.Hard, l.Replica.Soft, l.Replica.SoftSeconds,
		l.PubSub.Hard, l.PubSub.Soft, l.PubSub.SoftSeconds)
}
