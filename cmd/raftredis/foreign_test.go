package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/resp/directive"
)

// TestEveryDirectiveOfRedis: each is an option, or there is a reason why not.
func TestEveryDirectiveOfRedis(t *testing.T) {
	names, err := os.ReadFile("testdata/redis-7.0-directives.txt")
	if err != nil {
		t.Fatal(err)
	}
	o := newOptions()
	known := map[string]bool{"include": true, "log-engine": true} // the latter of 0.2.0
	for name := range strings.FieldsSeq(string(names)) {
		opt := o.registry.find(name)
		known[formerName(name)] = true
		switch {
		case name == "include":
		case opt == nil:
			t.Errorf("%s is neither an option nor explained", name)
		case opt.Owner == directive.Nobody && opt.Why == "":
			t.Errorf("%s has no reason", name)
		}
	}
	declared := map[string]bool{}
	for i := range o.registry.all {
		opt := &o.registry.all[i]
		if opt.Owner == directive.Nobody && !known[opt.Name] {
			t.Errorf("neither Redis 7.0 nor an earlier release has %s", opt.Name)
		}
		for _, name := range opt.Names() {
			if declared[name] {
				t.Errorf("%s is declared twice", name)
			}
			declared[name] = true
		}
	}
}

// TestDebiansFile: what Debian installs as /etc/redis/redis.conf (its comments are
// left out) is a configuration as it is.
func TestDebiansFile(t *testing.T) {
	o, err := parseOptions([]string{"testdata/debian-redis.conf", "--supervised", "systemd", "--daemonize", "no"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.dir.value != "/var/lib/redis" || o.logfile.value != "/var/log/redis/redis-server.log" || o.appendfsync.value != "everysec" || o.front.TCPKeepalive != 300 {
		t.Errorf("dir %s, logfile %s, appendfsync %s, tcp-keepalive %d", o.dir.value, o.logfile.value, o.appendfsync.value, o.front.TCPKeepalive)
	}
	if got := o.givenLimits(); len(got) != 10 || got["list-max-listpack-size"] != -2 {
		t.Errorf("limits %v", got)
	}
	var names []string
	for _, line := range o.idle {
		some, why, _ := strings.Cut(line, ": ")
		if why == "" {
			t.Errorf("no reason: %s", line)
		}
		names = append(names, strings.Split(some, ", ")...)
	}
	for _, name := range []string{"supervised", "appendonly", "rdbcompression", "replica-read-only", "hz"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not in the warning", name)
		}
	}
	for _, name := range []string{"daemonize", "oom-score-adj", "notify-keyspace-events", "port"} {
		if slices.Contains(names, name) {
			t.Errorf("%s is in the warning, though what it says is so", name)
		}
	}
}

// TestForeignDirectives: what would let somebody believe in something that is not
// there is an error, and all errors of a file are told at once.
func TestForeignDirectives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.conf")
	parse := func(content string, args ...string) (*options, error) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return parseOptions(append([]string{path}, args...), nil)
	}
	for _, line := range []string{
		`save ""`, "replicaof no one", "SLAVEOF no one", "maxmemory 1gb", "maxmemory-policy allkeys-lru", "maxmemory-clients 0", "cluster-enabled yes", "slave-announce-ip 10.0.0.1", "replica-announce-port 7", `masterauth ""`,
		"min-slaves-to-write 0", "appendonly yes", `notify-keyspace-events ""`, "slave-serve-stale-data no", "hash-max-ziplist-value 1kb", "log-engine journal", "log-engine auto",
	} {
		if o, err := parse(line); err != nil || len(o.idle) != 0 {
			t.Errorf("%s: %v, %q", line, err, o.idle)
		}
	}
	for _, line := range []string{"appendonly no", "slave-read-only yes", "slave-priority 10", "hz 100", "log-engine etcd", "save \"\"\nhz 1\nhz 2"} {
		if o, err := parse(line); err != nil || len(o.idle) != 1 {
			t.Errorf("%s: %v, %q", line, err, o.idle)
		}
	}
	wrong := []string{
		"save 900 1", "replicaof 10.0.0.1 6379", "slaveof 10.0.0.1 6379", "maxmemory 1q", "maxmemory-policy allkeys", "maxmemory-clients 1%%", `masteruser a`,
		"masterauth secret", "min-replicas-to-write 1", "aclfile /etc/users", `rename-command CONFIG ""`, "unixsocket /run/redis.sock",
		"notify-keyspace-events KEAy", "syslog-enabled yes", "tls-ciphers HIGH", "loadmodule x.so", // no such thing here
		"nonsense 1", `requirepass "a`, "port 99999", "hash-max-listpack-entries -1", "join", "include /nowhere.conf", // mistakes
	}
	_, err := parse(strings.Join(wrong, "\n"))
	if err == nil {
		t.Fatal("taken for good")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(wrong) {
		t.Errorf("%d errors in %d lines:\n%v", len(lines), len(wrong), err)
	}
	for i, line := range wrong {
		if name := strings.Fields(line)[0]; !strings.Contains(err.Error(), name) {
			t.Errorf("line %d, %s, is not in\n%v", i+1, line, err)
		}
	}
	if _, err := parse("save 900 1", "--save", ""); err != nil {
		t.Errorf("the command line says otherwise: %v", err)
	}
	if _, err := parse("", "--replicaof", "10.0.0.1 6379"); err == nil || !strings.Contains(err.Error(), "raftredis has no --replicaof") {
		t.Errorf("on the command line: %v", err)
	}
}

// TestDefaults: an option that Redis has too has its default, or says which other
// one Redis has. The file is what CONFIG GET of a redis-server without options
// answers.
func TestDefaults(t *testing.T) {
	file, err := os.ReadFile("testdata/redis-7.0-defaults.txt")
	if err != nil {
		t.Fatal(err)
	}
	redis := map[string]string{}
	for line := range strings.Lines(string(file)) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		redis[name] = value
	}
	o := newOptions()
	for i := range o.registry.all {
		opt := &o.registry.all[i]
		theirs, is := redis[opt.Name]
		if opt.Owner == directive.Nobody {
			continue
		}
		if n, ok := directive.ParseMemory(opt.Default); ok && opt.Kind == directive.Memory {
			opt.Default = strconv.FormatInt(n, 10)
		}
		switch {
		case !is && opt.Redis != "":
			t.Errorf("Redis has no %s", opt.Name)
		case !is || opt.Default == theirs && opt.Redis == "":
		case opt.Redis != theirs || opt.Default == opt.Redis:
			t.Errorf("%s: default %q, Redis's %q, said to be %q", opt.Name, opt.Default, theirs, opt.Redis)
		}
	}
}
