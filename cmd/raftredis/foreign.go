package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/raftredis/raftredis/resp/directive"
)

// foreignDirectives are all of Redis 7.0's directives that nobody obeys here, and what was
// an option in an earlier release, each with the reason. One is refused where to go on would let somebody believe in
// something that is not there: replicas, passwords, bounds. The rest is named in
// one warning.
func foreignDirectives() []directive.Directive {
	const (
		noAOF        = "there is no append only file: the log is raft's"
		noRDB        = "there is no RDB file: snapshots are raftredis's own, with checksums"
		noReplicas   = "members are kept up to date by raft, and there are no other replicas"
		alike        = "the members of a cluster are all alike (see cluster and join)"
		noSlots      = "every member has all keys, and raft says who leads"
		noModules    = "there are no modules"
		noEncryption = "private keys must not be encrypted"
		goTLS        = "TLS is Go's, which has no such setting"
		goMemory     = "memory is Go's (see GOGC and GOMEMLIMIT)"
		lazy         = "memory is always freed in the background"
		supervisor   = "leave that to systemd or a container"
		noTimer      = "there is no such timer: work is done when it is due"
	)
	all := []directive.Directive{
		{Name: "save", Why: `no RDB file is written at intervals: every write is in the log (see appendfsync), and snapshots follow its size (see snapshot-bytes); say save ""`, Is: []string{""}, Refuse: true, Shown: true},
		{Name: "appendonly", Why: "the log is always on (see appendfsync)", Is: []string{"yes"}, Shown: true},
		{Name: "appendfilename", Why: "the log is in dir, under names of its own"},
		{Name: "appenddirname", Why: "the log is in dir, under names of its own"},
		{Name: "log-engine", Why: "an option of 0.2.0: the log is a journal, and one of etcd's WAL goes over to it when nobody can go back to 0.1.0", Is: []string{"auto", "journal"}},
		{Name: "aof-load-truncated", Why: "a torn end of the log is repaired, and any other damage refused"},

		{Name: "sanitize-dump-payload", Why: "RESTORE always checks what it is given", Is: []string{"yes"}},

		{Name: "replicaof", Why: alike, Is: []string{"no one"}, Refuse: true},
		{Name: "replica-read-only", Why: "every member takes writes", Is: []string{"no"}},
		{Name: "masterauth", Why: "members know each other by tls-cluster or peer-secret", Is: []string{""}, Refuse: true},
		{Name: "masteruser", Why: "members know each other by tls-cluster or peer-secret", Is: []string{""}, Refuse: true},
		{Name: "min-replicas-to-write", Why: "every write is on a majority of the members before it is acknowledged, whatever their number", Is: []string{"0"}, Refuse: true},

		{Name: "daemonize", Why: supervisor, Is: []string{"no"}},
		{Name: "supervised", Why: supervisor, Is: []string{"no"}},
		{Name: "pidfile", Why: supervisor, Is: []string{""}},
		{Name: "oom-score-adj", Why: supervisor, Is: []string{"no"}},
		{Name: "syslog-enabled", Why: "the log goes to standard error or to logfile", Is: []string{"no"}, Refuse: true},

		{Name: "aclfile", Why: "users are state of the cluster: ACL SETUSER changes them for all members, and user lines are for a new one", Is: []string{""}, Refuse: true, Shown: true},
		{Name: "rename-command", Why: "commands have their names", Refuse: true},
		{Name: "unixsocket", Why: "clients come over TCP", Is: []string{""}, Refuse: true},
		{Name: "loadmodule", Why: noModules, Refuse: true},

		{Name: "bind-source-addr", Why: "the system chooses where connections to members come from", Is: []string{""}},

		{Name: "tls-replication", Why: "see tls-cluster", Is: []string{"no"}, Refuse: true},
		{Name: "tls-ciphers", Why: goTLS, Is: []string{""}, Refuse: true},
		{Name: "tls-ciphersuites", Why: goTLS, Is: []string{""}, Refuse: true},
		{Name: "tls-key-file-pass", Why: noEncryption, Is: []string{""}, Refuse: true},
		{Name: "tls-client-key-file-pass", Why: noEncryption, Is: []string{""}, Refuse: true},
		{Name: "tls-ca-cert-dir", Why: "name one file (see tls-ca-cert-file)", Is: []string{""}, Refuse: true},
		{Name: "tls-client-cert-file", Why: "members show each other tls-cert-file", Is: []string{""}, Refuse: true},
		{Name: "tls-client-key-file", Why: "members show each other tls-cert-file", Is: []string{""}, Refuse: true},
	}
	// The rest can neither be missed nor mistaken.
	for _, same := range []struct{ why, names string }{
		{noAOF, "no-appendfsync-on-rewrite auto-aof-rewrite-percentage auto-aof-rewrite-min-size aof-use-rdb-preamble aof-timestamp-enabled aof-rewrite-incremental-fsync aof-disable-auto-gc aof_rewrite_cpulist"},
		{noRDB, "stop-writes-on-bgsave-error rdbcompression rdbchecksum dbfilename rdb-del-sync-files rdb-save-incremental-fsync bgsave_cpulist"},
		{noReplicas, "repl-diskless-sync repl-diskless-sync-delay repl-diskless-sync-max-replicas repl-diskless-load repl-disable-tcp-nodelay repl-backlog-size repl-backlog-ttl repl-ping-replica-period repl-timeout replica-priority replica-announced replica-ignore-disk-write-errors replica-ignore-maxmemory replica-lazy-flush min-replicas-max-lag propagation-error-behavior"},
		{noSlots, "cluster-config-file cluster-allow-reads-when-down cluster-allow-pubsubshard-when-down cluster-allow-replica-migration cluster-migration-barrier cluster-require-full-coverage cluster-replica-no-failover cluster-replica-validity-factor cluster-link-sendbuf-limit cluster-announce-bus-port"},
		{noModules, "enable-module-command"},
		{goTLS, "tls-dh-params-file tls-prefer-server-ciphers tls-session-caching tls-session-cache-size tls-session-cache-timeout"},
		{goMemory, "jemalloc-bg-thread disable-thp activerehashing activedefrag active-defrag-ignore-bytes active-defrag-threshold-lower active-defrag-threshold-upper active-defrag-cycle-min active-defrag-cycle-max active-defrag-max-scan-fields"},
		{lazy, "lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del lazyfree-lazy-user-del lazyfree-lazy-user-flush"},
		{supervisor, "oom-score-adj-values set-proc-title proc-title-template server_cpulist bio_cpulist shutdown-on-sigint shutdown-on-sigterm ignore-warnings"},
		{noTimer, "hz dynamic-hz active-expire-effort"},
		{"the node prints no logo", "always-show-logo"},
		{"clients come over TCP", "unixsocketperm socket-mark-id"},
		{"the log goes to standard error or a file", "syslog-ident syslog-facility"},
		{"event loops read and write (see io-threads)", "io-threads-do-reads"},
		{"a crash ends with Go's account of all goroutines", "crash-log-enabled crash-memcheck-enabled"},
		{"what CONFIG SET cannot change while the node runs, it refuses", "enable-protected-configs"},
	} {
		for name := range strings.FieldsSeq(same.names) {
			all = append(all, directive.Directive{Name: name, Why: same.why})
		}
	}
	for i := range all {
		all[i].Owner = directive.Nobody
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
func (o *options) takeForeign(d confLine, opt *option, fresh map[string]bool) error {
	name := opt.Name
	if o.given[name] != "" && !fresh[name] {
		return nil
	}
	so := opt.Says(d.value)
	if !so && opt.Refuse {
		return fmt.Errorf("%sraftredis has no %s: %s", d.at(), d.shown(), opt.Why)
	}
	if !so {
		o.addIdle(d.name, opt.Why)
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
