package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/raftredis/raftredis/resp"
)

// envPrefix begins the environment variable of every option: --read-mode is
// RAFTREDIS_READ_MODE.
const envPrefix = "RAFTREDIS_"

// options is everything that a user can say. Where an option is said several
// times, the command line wins over the environment, the environment over the
// file, and the file over the default.
type options struct {
	id      number
	cluster text
	join    yesNo

	announceIP   text
	announcePort number
	clusterPort  number
	peerListen   text
	tlsCluster   yesNo
	tlsCert      text
	tlsKey       text
	tlsCA        text

	tlsAuthClients oneOf

	// front is the settings of package resp, which declares them itself.
	front resp.Config

	dir           text
	appendfsync   oneOf
	snapshotBytes memory
	catchUpBytes  memory

	proposalTimeout period
	nodeTimeout     period

	loglevel oneOf
	logfile  text
	pprof    text

	config  text
	help    bool
	version bool

	clockOffset offset
	failpoint   text

	flags *pflag.FlagSet
	// given says where an option's value comes from; what is not in it has its
	// default.
	given map[string]string
	// restart says that the data directory has a log: it knows the members.
	restart bool
}

// Annotations of a flag, for --help.
const (
	groupKey   = "group"
	testGroup  = "Testing" // the group that --help does not show
	exampleKey = "example"
)

// newOptions returns the options with their defaults and declares the flags.
func newOptions() *options {
	o := &options{
		id:      number{1, 1, math.MaxInt64},
		cluster: text{kind: "urls"},

		announceIP:   text{kind: "host"},
		announcePort: number{0, 0, 65535},
		clusterPort:  number{0, 0, 65535},
		peerListen:   text{kind: "address"},
		tlsCert:      text{kind: "file"},
		tlsKey:       text{kind: "file"},
		tlsCA:        text{kind: "file"},

		tlsAuthClients: oneOf{"yes", []string{"yes", "no", "optional"}},

		front: resp.DefaultConfig(),

		dir:           text{"./raftredis-data", "path"},
		appendfsync:   oneOf{"always", []string{"always", "everysec", "no"}},
		snapshotBytes: 64 << 20,
		catchUpBytes:  16 << 20,

		proposalTimeout: period{5 * time.Second, time.Millisecond},
		nodeTimeout:     period{500 * time.Millisecond, time.Millisecond},

		loglevel: oneOf{"notice", []string{"debug", "verbose", "notice", "warning", "nothing"}},
		logfile:  text{kind: "file"},
		pprof:    text{kind: "address"},

		config:    text{kind: "file"},
		failpoint: text{kind: "name[=n]"},

		given: map[string]string{},
	}
	o.declare()
	return o
}

// declare makes the flags, in the order in which --help shows them.
func (o *options) declare() {
	fs := pflag.NewFlagSet("raftredis", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {} // main prints errors, and --help is an option like others
	o.flags = fs

	group := ""
	add := func(v pflag.Value, name, usage string, example ...string) {
		f := fs.VarPF(v, name, "", usage)
		if b, ok := v.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			f.NoOptDefVal = "yes" // --join alone
		}
		f.Annotations = map[string][]string{groupKey: {group}, exampleKey: example}
	}
	front := map[string]*frontValue{}
	var rest []string
	for _, d := range resp.Directives() {
		front[d.Name] = &frontValue{config: &o.front, directive: d}
		rest = append(rest, d.Name)
	}
	addFront := func(name string, example ...string) {
		if v := front[name]; v != nil {
			add(v, name, v.directive.Summary, example...)
			delete(front, name)
		}
	}

	group = "The cluster"
	add(&o.id, "id", "this node's id: never 0, never used before in this cluster")
	add(&o.cluster, "cluster", "URLs where the members reach each other, the same list on every node: by position (the first is id 1) or as id=url. Alone by default",
		"1=http://10.0.0.1:16379,2=http://10.0.0.2:16379,3=http://10.0.0.3:16379")
	addFront("port")
	add(&o.join, "join", "join a running cluster through any of the members in --cluster, instead of starting a new one")
	add(&o.clusterPort, "cluster-port", "port for the other members, where --cluster does not say it; 0 is the client port plus 10000")
	add(&o.peerListen, "peer-listen", "where to listen for the other members, if that is not this node's own URL", "0.0.0.0:16379")
	add(&o.announceIP, "cluster-announce-ip", "host under which clients reach this node, told to the other members; the first of --bind by default")
	add(&o.announcePort, "cluster-announce-port", "port under which clients reach this node; 0 is --port")
	add(&o.tlsCluster, "tls-cluster", "mutual TLS between the members (their URLs are then https)")
	add(&o.tlsCert, "tls-cert-file", "certificate of this node")
	add(&o.tlsKey, "tls-key-file", "its private key")
	add(&o.tlsCA, "tls-ca-cert-file", "authority that the members' certificates come from")

	group = "Data and guarantees"
	add(&o.dir, "dir", "data directory; it belongs to one node")
	add(&o.appendfsync, "appendfsync", "when the log is forced to disk: before a write is acknowledged, once a second, or when the system likes")
	add(&o.snapshotBytes, "snapshot-bytes", "bytes of log between two snapshots")
	add(&o.catchUpBytes, "snapshot-catch-up-bytes", "bytes of log that are kept in memory for members that are a little behind")
	addFront("read-mode")
	addFront("replica-serve-stale-data")
	add(&o.proposalTimeout, "proposal-timeout", "how long a write may wait for its outcome before its client gets an error")
	add(&o.nodeTimeout, "cluster-node-timeout", "a leader that was silent for so long (to twice so long) is replaced")

	group = "Clients"
	addFront("bind", "127.0.0.1,10.0.0.1")
	addFront("protected-mode")
	addFront("requirepass")
	addFront("tls-port")
	add(&o.tlsAuthClients, "tls-auth-clients", "whether clients of --tls-port must have a certificate as well")
	for _, name := range rest {
		if f := front[name]; f != nil && !observing(name) {
			addFront(name)
		}
	}

	group = "Observing"
	add(&o.loglevel, "loglevel", "how much to log")
	add(&o.logfile, "logfile", "file to append the log to, opened again when it was renamed and on SIGHUP; standard error by default")
	for _, name := range rest {
		addFront(name)
	}
	add(&o.pprof, "pprof", "serve /debug/pprof, /metrics and /readyz over HTTP there; without a host, on 127.0.0.1", "6060")

	group = "Starting"
	add(&o.config, "config", "file with one option a line, in the format of redis.conf; also as the first argument")
	fs.BoolVarP(&o.help, "help", "h", false, "print this")
	fs.BoolVarP(&o.version, "version", "v", false, "print the version")

	group = testGroup
	add(&o.clockOffset, "clock-offset", "how far the clock of this node is off")
	add(&o.failpoint, "failpoint", "step of the persist path, on whose n-th passing the process dies")
	for _, name := range []string{"clock-offset", "failpoint", "help", "version"} {
		fs.Lookup(name).Hidden = true
	}
}

// observing says which of the front's settings --help lists with logs and
// metrics.
func observing(name string) bool {
	for _, prefix := range []string{"slowlog-", "latency-", "enable-debug"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// frontValue makes a flag of one of the front's settings.
type frontValue struct {
	config    *resp.Config
	directive resp.Directive
}

func (v *frontValue) String() string { return v.directive.Get(v.config) }

// Type names the value in --help.
func (v *frontValue) Type() string {
	switch d := v.directive; d.Kind {
	case resp.Enum:
		return strings.Join(d.Values, "|")
	case resp.YesNo:
		return "yes|no"
	case resp.Memory:
		return "bytes"
	case resp.Number:
		return "n"
	default:
		return "text"
	}
}

// IsBoolFlag lets a switch stand alone on the command line.
func (v *frontValue) IsBoolFlag() bool { return v.directive.Kind == resp.YesNo }

func (v *frontValue) Set(s string) error {
	d := v.directive
	if d.Name == "bind" {
		s = strings.ReplaceAll(s, ",", " ")
	}
	err := d.Set(v.config, s)
	if err == nil {
		return nil
	}
	if near := nearest(strings.ToLower(s), d.Values); near != "" {
		return fmt.Errorf("%w, not %q: did you mean %q?", err, s, near)
	}
	return fmt.Errorf("%w, not %q", err, s)
}

// parseOptions reads the command line (without the program's name), the
// environment and the file that either of them names.
func parseOptions(args, environ []string) (*options, error) {
	o := newOptions()
	if err := o.flags.Parse(o.group(args)); err != nil {
		return nil, o.explain(err)
	}
	if o.help || o.version {
		return o, nil
	}
	o.flags.Visit(func(f *pflag.Flag) { o.given[f.Name] = "--" + f.Name })
	if err := o.takeFile(o.flags.Args()); err != nil {
		return nil, err
	}
	env := readEnv(environ)
	var fromFile []directive
	for _, d := range env {
		if d.name == "config" {
			o.config.value = d.value
		}
	}
	if o.config.value != "" {
		var err error
		if fromFile, err = readConfFile(o.config.value, 0); err != nil {
			return nil, err
		}
	}
	if err := o.take(env); err != nil {
		return nil, err
	}
	if err := o.take(fromFile); err != nil {
		return nil, err
	}
	return o, o.validate()
}

// group joins each option with the words behind it, as redis-server does: --bind
// 127.0.0.1 ::1 and --protected-mode no are one option each. Only what stands
// before the first option is not an option's.
func (o *options) group(args []string) []string {
	var out []string
	open, words := "", 0 // the option that takes words, and how many it has
	for _, arg := range args {
		name, value, assigned := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch known := o.flags.Lookup(name) != nil; {
		case arg == "-h" || arg == "-v" || arg == "--help" || arg == "--version":
			out, open = append(out, arg), ""
		case strings.HasPrefix(arg, "--") || known && strings.HasPrefix(arg, "-"):
			out, open, words = append(out, "--"+name), name, 0
			if assigned {
				out[len(out)-1] += "=" + value
				words = 1
			}
		case open == "":
			out = append(out, arg)
		case words == 0:
			out[len(out)-1] += "=" + arg
			words++
		default:
			out[len(out)-1] += " " + arg
			words++
		}
	}
	return out
}

// takeFile accepts the configuration file as the one argument that is not an
// option, as redis-server does.
func (o *options) takeFile(args []string) error {
	for _, a := range args {
		if o.config.value != "" || !looksLikeFile(a) {
			return fmt.Errorf("argument %q is neither an option nor a configuration file", a)
		}
		o.config.value = a
		o.given["config"] = "the first argument"
	}
	return nil
}

func looksLikeFile(arg string) bool {
	if strings.ContainsAny(arg, "/.") {
		return net.ParseIP(arg) == nil
	}
	_, err := os.Stat(arg)
	return err == nil
}

// take sets what is not set yet. Directives of one source are taken together:
// a directive that repeats within a source follows the rule of its type.
func (o *options) take(source []directive) error {
	fresh := map[string]bool{}
	for _, d := range source {
		f := o.flags.Lookup(d.name)
		if f == nil || d.name == "help" || d.name == "version" {
			return o.unknown(d.name, d.where)
		}
		if o.given[d.name] != "" && !fresh[d.name] {
			continue
		}
		value := d.value
		if value == "" && f.NoOptDefVal != "" {
			return fmt.Errorf("%s: %s needs a value: yes or no", d.where, d.name)
		}
		if err := f.Value.Set(value); err != nil {
			return fmt.Errorf("%s: %s %w", d.where, d.name, err)
		}
		fresh[d.name], o.given[d.name] = true, d.where
	}
	return nil
}

// readEnv collects RAFTREDIS_* in the order of their names.
func readEnv(environ []string) []directive {
	var all []directive
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(key, envPrefix) || fromKubernetes(key, value) {
			continue
		}
		all = append(all, directive{
			name:  strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(key, envPrefix)), "_", "-"),
			value: value,
			where: "environment variable " + key,
		})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all
}

// fromKubernetes recognises the variables that Kubernetes sets in every
// container when there is a service named raftredis: RAFTREDIS_PORT is then
// tcp://10.0.0.1:6379, and no option of ours.
func fromKubernetes(key, value string) bool {
	rest := strings.TrimPrefix(key, envPrefix)
	return strings.HasPrefix(rest, "SERVICE_") || strings.HasPrefix(rest, "PORT_") ||
		rest == "PORT" && strings.Contains(value, "://")
}

// explain turns pflag's errors into ours.
func (o *options) explain(err error) error {
	var none *pflag.NotExistError
	var bad *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &none):
		if short := none.GetSpecifiedShortnames(); short != "" {
			return fmt.Errorf("there is no option -%s; --help lists them all", short)
		}
		return o.unknown(none.GetSpecifiedName(), "")
	case errors.As(err, &bad):
		return fmt.Errorf("--%s %w", bad.GetFlag().Name, bad.Unwrap())
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value: %s", missing.GetFlag().Name, missing.GetFlag().Value.Type())
	}
	return err
}

// unknown is the error for a name that is no option.
func (o *options) unknown(name, where string) error {
	if where != "" {
		where += ": "
	} else {
		name = "--" + name
	}
	bare := strings.TrimLeft(name, "-")
	if why := redisOnly[bare]; why != "" {
		return fmt.Errorf("%sraftredis has no %s: %s", where, name, why)
	}
	var names []string
	o.flags.VisitAll(func(f *pflag.Flag) {
		if f.Annotations[groupKey] == nil || f.Annotations[groupKey][0] != testGroup {
			names = append(names, f.Name)
		}
	})
	if near := nearest(strings.ToLower(bare), names); near != "" {
		return fmt.Errorf("%sthere is no option %s: did you mean %s?", where, name, strings.Replace(name, bare, near, 1))
	}
	return fmt.Errorf("%sthere is no option %s; --help lists them all", where, name)
}

// redisOnly explains directives that a user of Redis may look for and that have
// no meaning here.
var redisOnly = map[string]string{
	"maxmemory":             "nothing is evicted; give keys a time to live",
	"maxmemory-policy":      "nothing is evicted; give keys a time to live",
	"appendonly":            "the log is always on (see --appendfsync)",
	"appendfilename":        "the log is in --dir",
	"dbfilename":            "snapshots are in --dir",
	"save":                  "snapshots follow the size of the log (see --snapshot-bytes)",
	"rdbcompression":        "snapshots are raftredis's own",
	"rdbchecksum":           "snapshots always carry a checksum",
	"replicaof":             "the members of a cluster are all alike (see --cluster and --join)",
	"slaveof":               "the members of a cluster are all alike (see --cluster and --join)",
	"replica-read-only":     "every member takes writes",
	"slave-read-only":       "every member takes writes",
	"masterauth":            "members trust each other by --tls-cluster",
	"min-replicas-to-write": "every write is on a majority of the members before it is acknowledged",
	"cluster-enabled":       "see --cluster",
	"cluster-config-file":   "the membership is in --dir",
	"daemonize":             "leave that to systemd or a container",
	"supervised":            "leave that to systemd or a container",
	"pidfile":               "leave that to systemd or a container",
}

// validate checks what concerns several options, or the world outside.
func (o *options) validate() error {
	tls := 0
	for _, f := range []text{o.tlsCert, o.tlsKey, o.tlsCA} {
		if f.value != "" {
			tls++
		}
	}
	if bool(o.tlsCluster) && tls != 3 {
		return errors.New("--tls-cluster needs --tls-cert-file, --tls-key-file and --tls-ca-cert-file")
	}
	if o.nodeTimeout.value < 50*time.Millisecond {
		return fmt.Errorf("--cluster-node-timeout %v is too short: at least 50 ms", o.nodeTimeout.value)
	}
	if o.proposalTimeout.value < time.Millisecond {
		return errors.New("--proposal-timeout must be at least 1 ms")
	}
	if l := o.peerListen.value; l != "" && !strings.Contains(l, "://") {
		o.peerListen.value = o.scheme() + "://" + l
	}
	if l := o.peerListen.value; l != "" {
		if err := checkPeerURL(l, bool(o.tlsCluster)); err != nil {
			return fmt.Errorf("--peer-listen: %w", err)
		}
	}
	if o.dir.value == "" {
		return errors.New("--dir needs a path")
	}
	if o.pprof.value != "" && !strings.Contains(o.pprof.value, ":") {
		o.pprof.value = ":" + o.pprof.value
	}
	if host, port, err := net.SplitHostPort(o.pprof.value); o.pprof.value != "" {
		if err != nil || port == "" {
			return fmt.Errorf("--pprof must be a port or an address such as 127.0.0.1:6060, not %q", o.pprof.value)
		}
		if host == "" {
			o.pprof.value = net.JoinHostPort("127.0.0.1", port)
		}
	}
	return nil
}
