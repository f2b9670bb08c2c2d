package main

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/resp/directive"
	"github.com/raftredis/raftredis/store"
)

// option is a directive with the place that its value has while options are read.
type option struct {
	directive.Directive

	value   pflag.Value // nil: Owner is Nobody
	group   string      // heading in --help
	example string
}

// registry is every directive that there is, composed from the lists of the four
// owners: package resp's, the state machine's, main's own below, and foreign.go's,
// which nobody obeys. Flags, file, environment, --help, node.conf and what CONFIG
// knows of main's follow from it.
type registry struct {
	all    []option           // in the order of --help
	byName map[string]*option // aliases too
}

// find returns the directive that a user means by name, or nil. Names that Redis
// has given up count only for what nobody obeys: an option has an Alias for them.
func (r *registry) find(name string) *option {
	if opt := r.byName[name]; opt != nil {
		return opt
	}
	if former := formerName(name); former != name {
		if opt := r.byName[former]; opt != nil && (opt.Owner == directive.Nobody || opt.Alias == former) {
			return opt
		}
	}
	return nil
}

// table composes the registry. It is all that says in which order --help goes.
func (o *options) table() *registry {
	front := o.frontOptions()
	take := func(name string) option {
		at := slices.IndexFunc(front, func(f option) bool { return f.Name == name })
		f := front[at] // a wrong name panics, in every test
		front = slices.Delete(front, at, at+1)
		return f
	}
	r := &registry{byName: map[string]*option{}}
	in := func(group string, options ...option) {
		for _, opt := range options {
			opt.group = group
			r.all = append(r.all, opt)
		}
	}

	in("The cluster",
		own(&o.id, "id", "this node's id: never 0, never used before in this cluster").startOnly().remember(),
		own(&o.cluster, "cluster", "URLs where the first members reach each other, the same list on every node: by position (the first is id 1) or as id=url. Alone by default. It counts only while --dir is empty").
			like("1=http://10.0.0.1:16379,2=http://10.0.0.2:16379,3=http://10.0.0.3:16379").startOnly(),
		take("port"),
		own(&o.join, "join", "join a running cluster through any of the members in --cluster, instead of starting a new one").startOnly(),
		own(&o.clusterPort, "cluster-port", "port for the other members, where --cluster does not say it; 0 is the client port plus 10000").remember(),
		own(&o.peerListen, "peer-listen", "where to listen for the other members, if that is not this node's own URL").like("0.0.0.0:16379").startOnly().remember(),
		own(&o.announceIP, "cluster-announce-ip", "host under which clients reach this node, told to the other members; the first of --bind by default").alias("replica-announce-ip").remember(),
		own(&o.announcePort, "cluster-announce-port", "port under which clients reach this node; 0 is --port").alias("replica-announce-port").remember(),
		own(&o.announceTLS, "cluster-announce-tls-port", "port under which clients reach it over TLS; 0 is --tls-port").remember(),
		own(&o.announceName, "cluster-announce-hostname", "name of this node's host that clients are told besides").remember(),
		take("cluster-enabled"),
		take("cluster-allow-cross-slot"),
		take("cluster-preferred-endpoint-type"),
		take("sentinel-master-name"),
		own(&o.tlsCluster, "tls-cluster", "mutual TLS between the members (their URLs are then https)").remember(),
		own(&o.peerSecret, "peer-secret", "instead of tls-cluster: a secret that all members share, from which each makes its certificate. At least 16 characters; better in the file or the environment than here").startOnly(),
		take("tls-cert-file"),
		take("tls-key-file"),
		take("tls-ca-cert-file"),
	)
	in("Data and guarantees",
		own(&o.dir, "dir", "data directory; it belongs to one node").redis("the directory that it is started in"),
		own(&o.appendfsync, "appendfsync", "when the log is forced to disk: before a write is acknowledged, once a second, or when the system likes").redis("everysec"),
		own(&o.snapshotBytes, "snapshot-bytes", "bytes of log between two snapshots"),
		own(&o.catchUpBytes, "snapshot-catch-up-bytes", "bytes of log that are kept in memory for members that are a little behind"),
		take("read-mode"),
		take("replica-serve-stale-data"),
		own(&o.proposalTimeout, "proposal-timeout", "how long a write may wait for its outcome before its client gets an error"),
		own(&o.clusterLevel, "cluster-level", "the highest level that the cluster may come to while this node is a member: with 1, say, all can go back to the release that knows no more. By itself it comes to what all members know").mutable(),
		own(&o.nodeTimeout, "cluster-node-timeout", "a leader that was silent for so long (to twice so long) is replaced").redis("15000"),
	)
	in("Clients",
		take("bind").like("127.0.0.1,10.0.0.1"),
		take("protected-mode"),
		take("requirepass"),
		own(&o.users, "user", "a user of a new cluster (then ACL SETUSER changes them for all members): a name and rules as of ACL SETUSER; may be given several times").
			like("alice on #<sha256 of a password> ~cached:* +@read").startOnly(),
		take("tls-port"),
		take("tls-auth-clients"),
		take("tls-protocols"),
	)
	var observing []option
	for _, f := range front {
		if isObserving(f.Name) {
			observing = append(observing, f)
		} else {
			in("Clients", f)
		}
	}
	in("Keyspace events, of a new cluster (then CONFIG SET changes them for all members)",
		option{Directive: resp.EventsDirective(), value: &o.events},
	)
	in("Compact forms, of a new cluster (then CONFIG SET changes them for all members)", stateOptions()...)
	in("Observing",
		own(&o.loglevel, "loglevel", "how much to log").mutable(),
		own(&o.logfile, "logfile", "file to append the log to, opened again when it was renamed and on SIGHUP; standard error by default"),
		own(&o.logFormat, "log-format", "lines of the log for people, or one JSON object a line").startOnly(),
	)
	in("Observing", observing...)
	in("Observing",
		own(&o.http, "http", "serve a page about this node and its cluster over HTTP there, and /metrics, /readyz, /livez and /debug/pprof; without a host, on 127.0.0.1. The page asks for a user and password as clients are").alias("pprof").like("6060").startOnly(),
		own(&o.otlpEndpoint, "otlp-endpoint", "send what /metrics shows to an OpenTelemetry collector there, over HTTP; OpenTelemetry's variables (OTEL_METRIC_EXPORT_INTERVAL ...) say how often and how").like("http://127.0.0.1:4318").startOnly(),
	)
	in("Starting",
		own(&o.config, "config", "file with one option a line, in the format of redis.conf; also as the first argument").startOnly(),
		own(&o.forceFormation, "force-formation", "form a new cluster although some of --cluster do not answer, if a majority does. "+
			"Should one of those have data, its cluster and what was acknowledged there is cut off for good").startOnly(),
		own(&o.forceNewCluster, "force-new-cluster", "make --dir a cluster of one that keeps the data, and end: the way back when a majority of the members is lost for good. "+
			"The other members' ids are burnt; what they had and this one has not is lost").startOnly(),
	)
	in("Testing",
		own(&o.clockOffset, "clock-offset", "how far the clock of this node is off").startOnly().hidden(),
		own(&o.failpoint, "failpoint", "step of the persist path, on whose n-th passing the process dies").startOnly().hidden(),
	)
	for _, d := range foreignDirectives() {
		in("", option{Directive: d})
	}

	for i := range r.all {
		for _, name := range r.all[i].Names() {
			r.byName[name] = &r.all[i]
		}
	}
	return r
}

// own makes an option of main's. Its value is its grammar.
func own(value pflag.Value, name, summary string) option {
	return option{value: value, Directive: directive.Directive{
		Name: name, Owner: directive.Process, Default: value.String(), Summary: summary, Immutable: true,
	}}
}

func (opt option) alias(name string) option   { opt.Alias = name; return opt }
func (opt option) startOnly() option          { opt.StartOnly = true; return opt }
func (opt option) remember() option           { opt.Remember = true; return opt }
func (opt option) hidden() option             { opt.Hidden = true; return opt }
func (opt option) mutable() option            { opt.Immutable = false; return opt }
func (opt option) redis(def string) option    { opt.Redis = def; return opt }
func (opt option) like(example string) option { opt.example = example; return opt }

func (o *options) frontOptions() []option {
	var all []option
	for _, d := range resp.Directives() {
		all = append(all, option{Directive: d.Directive, value: &frontValue{config: &o.front, directive: d}})
	}
	return all
}

func stateOptions() []option {
	var all []option
	for _, d := range resp.StateDirectives() {
		v := &stateValue{directive: d}
		if err := v.Set(d.Default); err != nil {
			panic("default of " + d.Name + ": " + err.Error())
		}
		all = append(all, option{Directive: d, value: v})
	}
	return all
}

// isObserving says which of the front's settings --help lists with logs and
// metrics.
func isObserving(name string) bool {
	for _, prefix := range []string{"slowlog-", "latency-", "enable-debug"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// settings is what CONFIG GET and CONFIG SET know beyond the front's own and the
// state machine's: main's, and a few of nobody's that programs ask for
// (redis-benchmark does).
func (o *options) settings(log *logs, s *store.Store) []resp.Setting {
	var all []resp.Setting
	for i := range o.registry.all {
		opt := &o.registry.all[i]
		setting := resp.Setting{Directive: opt.Directive}
		switch {
		case opt.Owner == directive.Nobody && opt.Shown:
			setting.Immutable = true
			setting.Get = func() string { return opt.Is[0] }
		case opt.Owner != directive.Process || opt.StartOnly:
			continue
		case opt.Immutable:
			setting.Get = opt.value.String
		case opt.value == &o.clusterLevel:
			setting.Get = func() string { return formatLevel(s.KeptLevel()) }
			setting.Set = func(v string) error { return keepLevel(s, v) }
		default: // loglevel
			setting.Get, setting.Set = log.level, log.setLevel
		}
		all = append(all, setting)
	}
	return all
}
