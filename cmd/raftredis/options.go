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

	"github.com/raftredis/raftredis/raftnode"
	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/store/command"
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

	forceFormation  yesNo
	forceNewCluster yesNo

	announceIP   text
	announcePort number
	clusterPort  number
	peerListen   text
	tlsCluster   yesNo

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

	users   userLines
	config  text
	help    bool
	version bool

	clockOffset offset
	failpoint   text

	flags *pflag.FlagSet
	// foreign are the directives of Redis that are no options, and idle those of
	// them that were given, "name, name: reason": for one warning.
	foreign map[string]foreign
	idle    []string
	// limits are the replicated settings.
	limits []*limitValue
	events eventsValue
	// given says where an option's value comes from; what is not in it has its
	// default.
	given map[string]string
	// restart says that the data directory is somebody's: it knows the members.
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

		given:   map[string]string{},
		foreign: foreignDirectives(),
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
	aliases := map[string]string{}
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if now := aliases[name]; now != "" {
			name = now
		}
		return pflag.NormalizedName(name)
	})

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
		if d.Alias != "" {
			aliases[d.Alias] = d.Name
		}
	}
	addFront := func(name string, example ...string) {
		if v := front[name]; v != nil {
			add(v, name, v.directive.Summary, example...)
			delete(front, name)
		}
	}

	group = "The cluster"
	add(&o.id, "id", "this node's id: never 0, never used before in this cluster")
	add(&o.cluster, "cluster", "URLs where the first members reach each other, the same list on every node: by position (the first is id 1) or as id=url. Alone by default. It counts only while --dir is empty",
		"1=http://10.0.0.1:16379,2=http://10.0.0.2:16379,3=http://10.0.0.3:16379")
	addFront("port")
	add(&o.join, "join", "join a running cluster through any of the members in --cluster, instead of starting a new one")
	add(&o.clusterPort, "cluster-port", "port for the other members, where --cluster does not say it; 0 is the client port plus 10000")
	add(&o.peerListen, "peer-listen", "where to listen for the other members, if that is not this node's own URL", "0.0.0.0:16379")
	add(&o.announceIP, "cluster-announce-ip", "host under which clients reach this node, told to the other members; the first of --bind by default")
	add(&o.announcePort, "cluster-announce-port", "port under which clients reach this node; 0 is --port")
	add(&o.tlsCluster, "tls-cluster", "mutual TLS between the members (their URLs are then https)")
	addFront("tls-cert-file")
	addFront("tls-key-file")
	addFront("tls-ca-cert-file")

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
	add(&o.users, "user", "a user of a new cluster (then ACL SETUSER changes them for all members): a name and rules as of ACL SETUSER; may be given several times", "alice on #<sha256 of a password> ~cached:* +@read")
	addFront("tls-port")
	addFront("tls-auth-clients")
	addFront("tls-protocols")
	for _, name := range rest {
		if f := front[name]; f != nil && !observing(name) {
			addFront(name)
		}
	}

	group = "Keyspace events, of a new cluster (then CONFIG SET changes them for all members)"
	add(&o.events, "notify-keyspace-events", "classes of events that are published: K or E for how, A or some of g$lshzxetdnm for what")

	group = "Compact forms, of a new cluster (then CONFIG SET changes them for all members)"
	for _, l := range command.AllLimits() {
		v := &limitValue{limit: l, value: l.Default}
		o.limits = append(o.limits, v)
		add(v, l.Name, "when a collection leaves its compact form: as Redis's directive")
		if l.Alias != "" {
			aliases[l.Alias] = l.Name
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
	add(&o.forceFormation, "force-formation", "form a new cluster although some of --cluster do not answer, if a majority does. "+
		"Should one of those have data, its cluster and what was acknowledged there is cut off for good")
	add(&o.forceNewCluster, "force-new-cluster", "make --dir a cluster of one that keeps the data, and end: the way back when a majority of the members is lost for good. "+
		"The other members' ids are burnt; what they had and this one has not is lost")
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
	args, others := o.withoutForeign(o.group(args))
	if err := o.flags.Parse(args); err != nil {
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
	for _, d := range env {
		if d.name == "config" {
			o.config.value = d.value
		}
	}
	errs := []error{o.take(others), o.take(env)}
	if o.config.value != "" {
		fromFile, err := readConfFile(o.config.value, 0)
		errs = append(errs, err, o.take(fromFile))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return o, o.validate()
}

// withoutForeign takes the directives that are no options here out of grouped
// arguments.
func (o *options) withoutForeign(args []string) (rest []string, others []directive) {
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if _, is := o.foreign[formerName(name)]; is && strings.HasPrefix(arg, "-") && o.flags.Lookup(name) == nil {
			others = append(others, directive{name: name, value: value})
		} else {
			rest = append(rest, arg)
		}
	}
	return rest, others
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
// a directive that repeats within a source follows the rule of its type. The error
// joins one for each that is wrong.
func (o *options) take(source []directive) error {
	fresh := map[string]bool{}
	var errs []error
	for _, d := range source {
		errs = append(errs, o.takeOne(d, fresh))
	}
	return errors.Join(errs...)
}

func (o *options) takeOne(d directive, fresh map[string]bool) error {
	f := o.flags.Lookup(d.name)
	if other, is := o.foreign[formerName(d.name)]; is && f == nil {
		return o.takeForeign(d, other, fresh)
	}
	if f == nil || d.name == "help" || d.name == "version" {
		return o.unknown(d.name, d.where)
	}
	if o.given[f.Name] != "" && !fresh[f.Name] {
		return nil
	}
	if f.Value == &o.users {
		o.users.add(d)
		fresh[f.Name], o.given[f.Name] = true, d.where
		return nil
	}
	value := d.value
	if value == "" && f.NoOptDefVal != "" {
		return fmt.Errorf("%s: %s needs a value: yes or no", d.where, d.name)
	}
	if err := f.Value.Set(value); err != nil {
		return fmt.Errorf("%s: %s %w", d.where, d.name, err)
	}
	fresh[f.Name], o.given[f.Name] = true, d.where
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

// givenLimits are the replicated settings that somebody has given.
func (o *options) givenLimits() map[string]int64 {
	given := map[string]int64{}
	for _, v := range o.limits {
		if o.given[v.limit.Name] != "" {
			given[v.limit.Name] = v.value
		}
	}
	return given
}

// validate checks what concerns several options, or the world outside. The error
// joins one for each thing that is wrong.
func (o *options) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if bool(o.tlsCluster) && (o.front.TLSCertFile == "" || o.front.TLSKeyFile == "" || o.front.TLSCAFile == "") {
		wrong("--tls-cluster needs --tls-cert-file, --tls-key-file and --tls-ca-cert-file")
	}
	if o.nodeTimeout.value < 50*time.Millisecond {
		wrong("--cluster-node-timeout %v is too short: at least 50 ms", o.nodeTimeout.value)
	}
	if o.proposalTimeout.value < time.Millisecond {
		wrong("--proposal-timeout must be at least 1 ms")
	}
	o.peerListen.value = raftnode.NormalizePeerURL(o.peerListen.value)
	if l := o.peerListen.value; l != "" && !strings.Contains(l, "://") {
		o.peerListen.value = o.scheme() + "://" + l
	}
	if l := o.peerListen.value; l != "" {
		if err := checkPeerURL(l, bool(o.tlsCluster)); err != nil {
			wrong("--peer-listen: %w", err)
		}
	}
	if o.dir.value == "" {
		wrong("--dir needs a path")
	}
	if o.pprof.value != "" && !strings.Contains(o.pprof.value, ":") {
		o.pprof.value = ":" + o.pprof.value
	}
	if host, port, err := net.SplitHostPort(o.pprof.value); o.pprof.value != "" {
		if err != nil || port == "" {
			wrong("--pprof must be a port or an address such as 127.0.0.1:6060, not %q", o.pprof.value)
		} else if host == "" {
			o.pprof.value = net.JoinHostPort("127.0.0.1", port)
		}
	}
	return errors.Join(errs...)
}
