package main

import (
	"fmt"
	"slices"
	"strings"
)

// foreign is a directive of redis.conf that is no option here.
type foreign struct {
	why string
	// is has the values that say what is so anyway.
	is []string
	// refuse is set where to go on would let somebody believe in something that is
	// not there: replicas, passwords, bounds. The rest is named in one warning.
	refuse bool
}

// foreignDirectives are all of Redis 7.0's directives that are no options.
func foreignDirectives() map[string]foreign {
	const (
		noAOF        = "there is no append only file: the log is raft's"
		noRDB        = "there is no RDB file: snapshots are raftredis's own, with checksums"
		noReplicas   = "members are kept up to date by raft, and there are no other replicas"
		alike        = "the members of a cluster are all alike (see cluster and join)"
		noSlots      = "every member has all keys: there are no hash slots"
		noEviction   = "nothing is evicted; give keys a time to live"
		noModules    = "there are no modules"
		noEncryption = "private keys must not be encrypted"
		goTLS        = "TLS is Go's, which has no such setting"
		goMemory     = "memory is Go's (see GOGC and GOMEMLIMIT)"
		lazy         = "memory is always freed in the background"
		supervisor   = "leave that to systemd or a container"
		noTimer      = "there is no such timer: work is done when it is due"
	)
	all := map[string]foreign{
		"save":               {why: `no RDB file is written at intervals: every write is in the log (see appendfsync), and snapshots follow its size (see snapshot-bytes); say save ""`, is: []string{""}, refuse: true},
		"appendonly":         {why: "the log is always on (see appendfsync)", is: []string{"yes"}},
		"appendfilename":     {why: "the log is in dir, under names of its own"},
		"appenddirname":      {why: "the log is in dir, under names of its own"},
		"aof-load-truncated": {why: "a torn end of the log is repaired, and any other damage refused"},

		"sanitize-dump-payload": {why: "RESTORE always checks what it is given", is: []string{"yes"}},

		"replicaof":             {why: alike, is: []string{"no one"}, refuse: true},
		"replica-read-only":     {why: "every member takes writes", is: []string{"no"}},
		"replica-announce-ip":   {why: "see cluster-announce-ip", is: []string{""}},
		"replica-announce-port": {why: "see cluster-announce-port", is: []string{"0"}},
		"masterauth":            {why: "members trust each other by tls-cluster", is: []string{""}, refuse: true},
		"masteruser":            {why: "members trust each other by tls-cluster", is: []string{""}, refuse: true},
		"min-replicas-to-write": {why: "every write is on a majority of the members before it is acknowledged, whatever their number", is: []string{"0"}, refuse: true},

		"cluster-enabled": {why: noSlots + " (see cluster)", is: []string{"no"}, refuse: true},

		"maxmemory":         {why: noEviction, is: []string{"0"}, refuse: true},
		"maxmemory-policy":  {why: noEviction, is: []string{"noeviction"}, refuse: true},
		"maxmemory-clients": {why: "see client-output-buffer-limit and client-query-buffer-limit", is: []string{"0"}, refuse: true},

		"daemonize":      {why: supervisor, is: []string{"no"}},
		"supervised":     {why: supervisor, is: []string{"no"}},
		"pidfile":        {why: supervisor, is: []string{""}},
		"oom-score-adj":  {why: supervisor, is: []string{"no"}},
		"syslog-enabled": {why: "the log goes to standard error or to logfile", is: []string{"no"}, refuse: true},

		"aclfile":        {why: "users are state of the cluster: ACL SETUSER changes them for all members, and user lines are for a new one", is: []string{""}, refuse: true},
		"rename-command": {why: "commands have their names", refuse: true},
		"unixsocket":     {why: "clients come over TCP", is: []string{""}, refuse: true},
		"loadmodule":     {why: noModules, refuse: true},

		"bind-source-addr":                  {why: "the system chooses where connections to members come from", is: []string{""}},
		"latency-tracking-info-percentiles": {why: "INFO has 50, 99 and 99.9", is: []string{"50 99 99.9"}},

		"tls-replication":          {why: "see tls-cluster", is: []string{"no"}, refuse: true},
		"tls-ciphers":              {why: goTLS, is: []string{""}, refuse: true},
		"tls-ciphersuites":         {why: goTLS, is: []string{""}, refuse: true},
		"tls-key-file-pass":        {why: noEncryption, is: []string{""}, refuse: true},
		"tls-client-key-file-pass": {why: noEncryption, is: []string{""}, refuse: true},
		"tls-ca-cert-dir":          {why: "name one file (see tls-ca-cert-file)", is: []string{""}, refuse: true},
		"tls-client-cert-file":     {why: "members show each other tls-cert-file", is: []string{""}, refuse: true},
		"tls-client-key-file":      {why: "members show each other tls-cert-file", is: []string{""}, refuse: true},
	}
	// The rest can neither be missed nor mistaken.
	for why, names := range map[string]string{
		noAOF:                     "no-appendfsync-on-rewrite auto-aof-rewrite-percentage auto-aof-rewrite-min-size aof-use-rdb-preamble aof-timestamp-enabled aof-rewrite-incremental-fsync aof-disable-auto-gc aof_rewrite_cpulist",
		noRDB:                     "stop-writes-on-bgsave-error rdbcompression rdbchecksum dbfilename rdb-del-sync-files rdb-save-incremental-fsync bgsave_cpulist",
		noReplicas:                "repl-diskless-sync repl-diskless-sync-delay repl-diskless-sync-max-replicas repl-diskless-load repl-disable-tcp-nodelay repl-backlog-size repl-backlog-ttl repl-ping-replica-period repl-timeout replica-priority replica-announced replica-ignore-disk-write-errors replica-ignore-maxmemory replica-lazy-flush min-replicas-max-lag propagation-error-behavior",
		noSlots:                   "cluster-config-file cluster-allow-reads-when-down cluster-allow-pubsubshard-when-down cluster-allow-replica-migration cluster-migration-barrier cluster-require-full-coverage cluster-replica-no-failover cluster-replica-validity-factor cluster-link-sendbuf-limit cluster-announce-bus-port cluster-announce-hostname cluster-announce-tls-port cluster-preferred-endpoint-type",
		noEviction:                "maxmemory-samples maxmemory-eviction-tenacity lfu-log-factor lfu-decay-time",
		noModules:                 "enable-module-command",
		goTLS:                     "tls-dh-params-file tls-prefer-server-ciphers tls-session-caching tls-session-cache-size tls-session-cache-timeout",
		goMemory:                  "jemalloc-bg-thread disable-thp activerehashing activedefrag active-defrag-ignore-bytes active-defrag-threshold-lower active-defrag-threshold-upper active-defrag-cycle-min active-defrag-cycle-max active-defrag-max-scan-fields",
		lazy:                      "lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del lazyfree-lazy-user-del lazyfree-lazy-user-flush",
		supervisor:                "oom-score-adj-values set-proc-title proc-title-template server_cpulist bio_cpulist shutdown-on-sigint shutdown-on-sigterm ignore-warnings",
		noTimer:                   "hz dynamic-hz active-expire-effort",
		"the node prints no logo": "always-show-logo",
		"clients come over TCP":   "unixsocketperm socket-mark-id",
		"the log goes to standard error or a file":                      "syslog-ident syslog-facility",
		"event loops read and write (see io-threads)":                   "io-threads-do-reads",
		"a crash ends with Go's account of all goroutines":              "crash-log-enabled crash-memcheck-enabled",
		"what CONFIG SET cannot change while the node runs, it refuses": "enable-protected-configs",
	} {
		for name := range strings.FieldsSeq(names) {
			all[name] = foreign{why: why}
		}
	}
	return all
}

// formerName returns the name that Redis has had for a directive since there are
// replicas.
func formerName(name string) string {
	switch {
	case name == "slaveof":
		return "replicaof"
	case strings.HasPrefix(name, "min-slaves-"):
		return strings.Replace(name, "slaves", "replicas", 1)
	case strings.HasPrefix(name, "slave-"), strings.HasPrefix(name, "cluster-slave-"), name == "repl-ping-slave-period":
		return strings.Replace(name, "slave", "replica", 1)
	}
	return name
}

// takeForeign answers a directive that is no option here with an error, or keeps
// it for the warning. fresh are the names that the same source has given.
func (o *options) takeForeign(d directive, f foreign, fresh map[string]bool) error {
	name := formerName(d.name)
	if o.given[name] != "" && !fresh[name] {
		return nil
	}
	so := slices.ContainsFunc(f.is, func(v string) bool { return strings.EqualFold(v, d.value) })
	if !so && f.refuse {
		return fmt.Errorf("%sraftredis has no %s: %s", d.at(), d.shown(), f.why)
	}
	if !so {
		o.addIdle(d.name, f.why)
	}
	fresh[name], o.given[name] = true, d.from()
	return nil
}

// addIdle puts a name into the warning, with the others of the same reason.
func (o *options) addIdle(name, why string) {
	for i, line := range o.idle {
		names, same := strings.CutSuffix(line, ": "+why)
		if !same {
			continue
		}
		if !slices.Contains(strings.Split(names, ", "), name) {
			o.idle[i] = names + ", " + name + ": " + why
		}
		return
	}
	o.idle = append(o.idle, name+": "+why)
}
