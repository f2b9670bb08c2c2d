package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/resp/directive"
)

func TestDefaultsAreOneNodeOnLoopback(t *testing.T) {
	o, err := parseOptions(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	peers, err := o.peers()
	if err != nil {
		t.Fatal(err)
	}
	if len(peers) != 1 || peers[0].ID != 1 || peers[0].URL != "http://127.0.0.1:16379" {
		t.Errorf("peers %v", peers)
	}
	if got := o.clientAddr(); got != "127.0.0.1:6379" {
		t.Errorf("client address %s", got)
	}
	if o.dir.value != "./raftredis-data" || o.appendfsync.value != "always" || o.front.ReadMode != "local" {
		t.Errorf("dir %s, appendfsync %s, read mode %s", o.dir.value, o.appendfsync.value, o.front.ReadMode)
	}
}

// TestSourcesOfOptions is also the order in which they win: command line,
// environment, file, default.
func TestSourcesOfOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "raftredis.conf")
	conf := `
# a comment
port 7001
bind 127.0.0.1 ::1
requirepass "a \"quoted\" # \x41"
timeout 30
snapshot-bytes 1mb
read-mode linearizable
client-output-buffer-limit normal 1mb 0 0
client-output-buffer-limit pubsub 2mb 0 0
`
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parseOptions([]string{file, "--port", "7003"}, []string{
		"RAFTREDIS_PORT=7002", "RAFTREDIS_TIMEOUT=60", "OTHER=x",
		"RAFTREDIS_SERVICE_HOST=10.0.0.1", "RAFTREDIS_PORT_6379_TCP=tcp://10.0.0.1:6379",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"port", o.front.Port, 7003},
		{"timeout", o.front.Timeout, 60},
		{"requirepass", o.front.RequirePass, `a "quoted" # A`},
		{"bind", strings.Join(o.front.Bind, " "), "127.0.0.1 ::1"},
		{"snapshot-bytes", uint64(o.snapshotBytes), uint64(1 << 20)},
		{"read-mode", o.front.ReadMode, "linearizable"},
		{"client-output-buffer-limit", o.front.OutputLimits.PubSub.Hard, int64(2 << 20)},
		{"maxclients", o.front.MaxClients, 10000},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, not %v", c.name, c.got, c.want)
		}
	}
	if o, err = parseOptions([]string{"--config", file}, []string{"RAFTREDIS_PORT=tcp://10.0.0.1:6379"}); err != nil {
		t.Fatalf("a variable of Kubernetes' was taken for an option: %v", err)
	} else if o.front.Port != 7001 {
		t.Errorf("port %d, not the file's", o.front.Port)
	}
}

// TestCommandLine: as redis-server and as raftexample take it.
func TestCommandLine(t *testing.T) {
	for _, line := range []string{
		"--protected-mode no --bind 127.0.0.1 -::1 --id 2 --join --port 7000",
		"--protected-mode=no --bind=127.0.0.1,-::1 --id=2 --join=yes --port=7000",
		"-id 2 -port 7000 --bind 127.0.0.1,-::1 --join yes --protected-mode no",
		"--join --id 2 --port 7000 --protected-mode no --bind 127.0.0.1 -::1",
	} {
		o, err := parseOptions(strings.Fields(line), nil)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if got := strings.Join(o.front.Bind, " "); got != "127.0.0.1 -::1" || o.front.ProtectedMode || o.id.value != 2 || !bool(o.join) || o.front.Port != 7000 {
			t.Errorf("%s: bind %s, protected-mode %v, id %d, join %v, port %d", line, got, o.front.ProtectedMode, o.id.value, o.join, o.front.Port)
		}
	}
	if o, err := parseOptions([]string{"--requirepass", ""}, nil); err != nil || o.front.RequirePass != "" {
		t.Errorf("an empty value: %v", err)
	}
}

// TestWrongOptions: each says what is wrong and, where there is one, the right
// spelling.
func TestWrongOptions(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		args, env []string
		want      string
	}{
		{args: []string{"--prot", "1"}, want: "did you mean --port?"},
		{args: []string{"--max-clients", "1"}, want: "did you mean --maxclients?"},
		{args: []string{"--apendfsync=no"}, want: "did you mean --appendfsync?"},
		{args: []string{"--nonsense"}, want: "--help lists them all"},
		{args: []string{"-x"}, want: "there is no option -x"},
		{args: []string{"--clock-offest", "1s"}, want: "--help lists them all"},
		{args: []string{"--port"}, want: "--port needs a value"},
		{args: []string{"--port", "65536"}, want: "--port argument must be between 0 and 65535"},
		{args: []string{"--port", "abc"}, want: `not "abc"`},
		{args: []string{"--appendfsync", "allways"}, want: `did you mean "always"?`},
		{args: []string{"--read-mode", "quorum"}, want: "local, linearizable"},
		{args: []string{"--protected-mode=maybe"}, want: "must be 'yes' or 'no'"},
		{args: []string{"--snapshot-bytes", "1tb"}, want: "memory size"},
		{args: []string{"--timeout", "-1"}, want: "between 0"},
		{args: []string{"--id", "0"}, want: "at least 1"},
		{args: []string{"nonsense", "--port", "1"}, want: `argument "nonsense" is neither`},
		{args: []string{"--port", "1", "2"}, want: `not "1 2"`},
		{args: []string{"--join", "maybe"}, want: "must be yes or no"},
		{args: []string{"--save", "60", "1"}, want: "raftredis has no --save: no RDB file is written"},
		{args: []string{"--tls-cluster"}, want: "--tls-cert-file"},
		{args: []string{"--peer-secret", "short"}, want: "at least 16"},
		{args: []string{"--peer-secret", "0123456789abcdef", "--tls-cluster", "--tls-cert-file", "a", "--tls-key-file", "b", "--tls-ca-cert-file", "c"}, want: "one of them"},
		{args: []string{"--pprof", "a:b:c"}, want: "--http must be"},
		{args: []string{"--otlp-endpoint", "127.0.0.1:4318"}, want: "--otlp-endpoint"},
		{args: []string{"--otlp-endpoint", "grpc://127.0.0.1:4317"}, want: "such as http://127.0.0.1:4318"},
		{args: []string{filepath.Join(dir, "missing.conf")}, want: "missing.conf"},
		{env: []string{"RAFTREDIS_READMODE=local"}, want: "did you mean read-mode?"},
		{env: []string{"RAFTREDIS_PORT=x"}, want: "environment variable RAFTREDIS_PORT: port argument"},
		{args: []string{write("a.conf", "port 1\nmaxclient 10\n")}, want: "a.conf:2: there is no option maxclient: did you mean maxclients?"},
		{args: []string{write("b.conf", "requirepass \"a\n")}, want: "b.conf:1: unbalanced quotes"},
		{args: []string{write("c.conf", "replicaof 10.0.0.1 6379\n")}, want: "the members of a cluster are all alike"},
		{args: []string{write("d.conf", "join\n")}, want: "join needs a value"},
		{args: []string{write("e.conf", "include "+filepath.Join(dir, "e.conf")+"\n")}, want: "include each other"},
	} {
		_, err := parseOptions(c.args, c.env)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %v: %v\nwanted ... %s ...", c.args, c.env, err, c.want)
		}
	}
}

func TestPeers(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // the peers, or a part of the error
	}{
		{"--id 2 --cluster http://a:1,http://b:2,http://c:3", "1=http://a:1 2=http://b:2 3=http://c:3"},
		{"--id 7 --cluster 7=http://a:1,9=http://b:2/", "7=http://a:1 9=http://b:2"},
		{"--id 4 --port 7000", "4=http://127.0.0.1:17000"},
		{"--id 4 --join --port 7000", "--cluster 1=http://host:port,4=http://127.0.0.1:17000"},
		{"--port 60000", "1=http://127.0.0.1:50000"},
		{"--cluster-port 7 --bind 10.0.0.1", "1=http://10.0.0.1:7"},
		{"--bind 0.0.0.0 --cluster-announce-ip node1", "1=http://node1:16379"},
		{"--id 4 --cluster http://a:1,http://b:2", "--id 4 is not in --cluster, which has the ids 1 2"},
		{"--cluster 1=http://a:1,http://b:2", "either every member"},
		{"--cluster 1=http://a:1,1=http://b:2", "id 1 twice"},
		{"--cluster 1=http://a:1,2=http://a:1", "http://a:1 twice"},
		{"--cluster x=http://a:1", "no id"},
		{"--cluster a:1", "no URL"},
		{"--cluster 10.0.0.1", "no URL"},
		{"--cluster http://a", "needs a host and a port"},
		{"--cluster https://a:1", "--tls-cluster yes"},
		{"--cluster http://a:1/raft", "no more than"},
		{"--peer-secret 0123456789abcdef", "1=https://127.0.0.1:16379"},
		{"--peer-secret 0123456789abcdef --cluster https://a:1", "1=https://a:1"},
		{"--peer-secret 0123456789abcdef --cluster http://a:1", "must begin with https://"},
		{"--peer-secret 0123456789abcdef --peer-listen http://0.0.0.0:1", "1=https://127.0.0.1:16379"}, // remembered
	} {
		o, err := parseOptions(strings.Fields(c.args), nil)
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		peers, err := o.peers()
		var got []string
		for _, p := range peers {
			got = append(got, (&number{value: int64(p.ID)}).String()+"="+p.URL)
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if s := strings.Join(got, " "); !strings.Contains(s, c.want) {
			t.Errorf("%s: %s\nwanted %s", c.args, s, c.want)
		}
	}
}

func TestMemory(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "1": 1, "10b": 10, "1k": 1000, "1kb": 1024, "1KB": 1024, "2m": 2e6, "2mb": 2 << 20, "1GiB": 1 << 30, "3g": 3e9,
	} {
		var m memory
		if err := m.Set(s); err != nil || uint64(m) != want {
			t.Errorf("%s is %d, %v, not %d", s, m, err, want)
			continue
		}
		var again memory
		if err := again.Set(m.String()); err != nil || again != m {
			t.Errorf("%s is printed as %s, which is %d, %v", s, m.String(), again, err)
		}
	}
	for _, s := range []string{"", "x", "-1", "1.5gb", "1tb", "gb", "99999999999gb"} {
		var m memory
		if err := m.Set(s); err == nil {
			t.Errorf("%q was taken for %d bytes", s, m)
		}
	}
}

// TestHelp keeps --help complete: every option is in it with a description, in
// lines that fit on a screen.
func TestHelp(t *testing.T) {
	o := newOptions()
	var b strings.Builder
	o.printHelp(&b)
	for i := range o.registry.all {
		switch opt := &o.registry.all[i]; {
		case opt.Owner == directive.Nobody:
		case opt.Hidden:
			if strings.Contains(b.String(), "--"+opt.Name) {
				t.Errorf("--%s is for tests and must not be shown", opt.Name)
			}
		case !strings.Contains(b.String(), "--"+opt.Name) || opt.Summary == "":
			t.Errorf("--%s is not described", opt.Name)
		}
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if len(line) > 150 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	if o, err := parseOptions([]string{"--help"}, []string{"RAFTREDIS_NONSENSE=1"}); err != nil || !o.help {
		t.Errorf("--help must always work: %v", err)
	}
}
