package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHostileFrames: bytes that are no commands get Redis's error and a closed
// connection, and cost nobody else anything.
func TestHostileFrames(t *testing.T) {
	c := start(t, 1)
	addr := c.Nodes[0].Addr
	witness := connect(t, addr)
	must(t, witness, "SET", "witness", "alive")
	real := startRedis(t)
	for _, frame := range []string{
		"*9223372036854775807\r\n", "*99999999999999999999\r\n",
		"*x\r\n", "*2147483648\r\n", "*1\r\n$9223372036854775807\r\n", "*1\r\n$-2\r\n", "*1\r\n$536870913\r\n", "*1\r\n$x\r\n", "*1\r\n:1\r\n",
		"*1\r\n+x\r\n", "*1\r\nGET\r\n", "*2\r\n$3\r\nGET\r\n$-1\r\n", "*1\r\n$4294967296\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nabc\r\n",
		strings.Repeat("x", 70<<10), "GET \"unbalanced\r\n", "GET 'a'b\r\n", strings.Repeat("*", 70<<10), "*1\r\n$" + strings.Repeat("1", 70<<10),
	} {
		ours, theirs := answers(t, addr, frame), answers(t, real, frame)
		if !bytes.Equal(ours, theirs) {
			t.Errorf("%.60q is answered\n%.200q\nRedis answers\n%.200q", frame, ours, theirs)
		}
		if got := must(t, witness, "GET", "witness"); got.Str != "alive" {
			t.Fatalf("after %.60q the node answers %s", frame, got)
		}
	}
	// These are commands, or nothing at all.
	for _, frame := range []string{"\r\n", "*0\r\n", "*-1\r\n", "*-2147483648\r\n", "PING\r\n", "ping\n", "  SET a b \r\nGET a\r\n", "*1\r\n$4\r\nPING\r\n*0\r\nPING\r\n", "$3\r\nabc\r\n"} {
		ours, theirs := answers(t, addr, frame+"ECHO end\r\nQUIT\r\n"), answers(t, real, frame+"ECHO end\r\nQUIT\r\n")
		if !bytes.Equal(ours, theirs) {
			t.Errorf("%q is answered\n%q\nRedis answers\n%q", frame, ours, theirs)
		}
	}
}

// answers sends bytes and returns everything that comes back until the server
// closes the connection.
func answers(t testing.TB, addr, frame string) []byte {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(15 * time.Second))
	go io.WriteString(c, frame) // the server may close before it has read it all
	got, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("%.60q: %v after %q", frame, err, got)
	}
	return got
}

// TestHalfFrames: a command that comes in pieces is a command, and one that
// never ends holds nobody up.
func TestHalfFrames(t *testing.T) {
	c := start(t, 1)
	addr := c.Nodes[0].Addr
	whole := []byte("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\nPING\r\n")
	for cut := 1; cut < len(whole); cut++ {
		conn := connect(t, addr)
		if _, err := conn.Write(whole[:cut]); err != nil {
			t.Fatal(err)
		}
		if got := must(t, connect(t, addr), "PING"); got.Str != "PONG" {
			t.Fatal("half a frame holds up other clients")
		}
		if _, err := conn.Write(whole[cut:]); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"OK", "value", "PONG"} {
			v, err := conn.Receive()
			if err != nil || v.Str != want {
				t.Fatalf("cut at %d: %s, %v instead of %s", cut, v, err, want)
			}
		}
		conn.Close()
	}
	// Byte by byte, and the memory of a frame that promises much.
	conn := connect(t, addr)
	for _, b := range whole {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if v, err := conn.Receive(); err != nil || v.IsError() {
			t.Fatalf("byte by byte: %s, %v", v, err)
		}
	}
	for range 200 {
		if _, err := connect(t, addr).Write([]byte("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\nx")); err != nil {
			t.Fatal(err)
		}
	}
	must(t, conn, "SET", "still", "here")
	info, err := c.Nodes[0].Info("memory")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("200 promises of 512 MB: used_memory_rss %s", info["used_memory_rss_human"])
}

// TestIdleConnections: ten thousand clients that say nothing, and one that works.
func TestIdleConnections(t *testing.T) {
	want := 10000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if room := int(limit.Cur) - 500; room < want {
		t.Logf("only %d file descriptors: %d clients instead of %d", limit.Cur, room, want)
		want = room
	}
	c := start(t, 1, "--maxclients", "10100")
	addr := c.Nodes[0].Addr
	for i := range want {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		defer conn.Close()
	}
	conn := connect(t, addr)
	eventually(t, "all clients", func() error {
		info, err := c.Nodes[0].Info("clients")
		if err == nil && info["connected_clients"] < fmt.Sprint(want) && len(info["connected_clients"]) <= len(fmt.Sprint(want)) {
			err = fmt.Errorf("%s are there", info["connected_clients"])
		}
		return err
	})
	for i := range 1000 {
		must(t, conn, "SET", "key", fmt.Sprint(i))
	}
	info, err := c.Nodes[0].Info("memory")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("with %d idle clients: used_memory_rss %s", want, info["used_memory_rss_human"])
}

// TestMaxClients: the one too many is told so.
func TestMaxClients(t *testing.T) {
	c := start(t, 1, "--maxclients", "10")
	addr := c.Nodes[0].Addr
	var clients []*conn
	for len(clients) < 10 {
		conn, err := dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if v, err := conn.Do("PING"); err != nil || v.IsError() {
			// A connection of the harness may not be closed yet.
			continue
		}
		clients = append(clients, conn)
	}
	if got := string(answers(t, addr, "")); got != "-ERR max number of clients reached\r\n" {
		t.Errorf("the eleventh client is told %q", got)
	}
	clients[0].Close()
	eventually(t, "room for a client", func() error {
		_, err := ask(addr, "PING")
		return err
	})
}

// TestPassword: nothing but AUTH and HELLO before the password.
func TestPassword(t *testing.T) {
	addr, p := startAlone(t, "--requirepass", "secret")
	c := connect(t, addr)
	real := connect(t, startRedis(t, "--requirepass", "secret"))
	for _, cmd := range [][]string{
		{"GET", "a"}, {"SET", "a", "1"}, {"RAFT", "NODES"}, {"nonsense"}, {"PING"}, {"AUTH", "wrong"}, {"AUTH", "default", "wrong"}, {"AUTH", "other", "secret"},
		{"HELLO"}, {"HELLO", "3", "AUTH", "default", "wrong"}, {"MULTI"}, {"EXEC"}, {"AUTH", "secret"}, {"PING"}, {"RESET"}, {"GET", "a"}, {"AUTH", "default", "secret"}, {"GET", "a"},
	} {
		ours, err := c.Do(cmd...)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := real.Do(cmd...)
		if err != nil {
			t.Fatal(err)
		}
		if cmd[0] != "RAFT" && cmd[0] != "nonsense" && !bytes.Equal(ours.Raw, theirs.Raw) {
			t.Errorf("%v is answered %q, Redis answers %q", cmd, ours.Raw, theirs.Raw)
		}
		if cmd[0] == "RAFT" && !strings.HasPrefix(ours.Str, "NOAUTH") {
			t.Errorf("%v without a password: %s", cmd, ours)
		}
	}
	// Before the password a client gets no large buffers.
	for _, frame := range []string{"*11\r\n", "*1\r\n$16385\r\n"} {
		conn := connect(t, addr)
		if _, err := conn.Write([]byte(frame)); err != nil {
			t.Fatal(err)
		}
		if v, err := conn.Receive(); err != nil || !strings.Contains(v.Str, "unauthenticated") {
			t.Errorf("%q before AUTH: %s, %v", frame, v, err)
		}
	}
	_ = p
}

// startAlone starts one node with options of its own, whose readiness cannot be
// seen without a password.
func startAlone(t testing.TB, args ...string) (addr string, p *process) {
	t.Helper()
	port := freePort(t)
	addr = "127.0.0.1:" + port
	p = run(t, t.TempDir(), append([]string{"--port", port, "--cluster-port", freePort(t)}, args...)...)
	eventually(t, "the node", func() error {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return addr, p
}
