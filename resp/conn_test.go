package resp

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/resp/driver"
)

// waker is a link for a connection that a test drives.
type waker chan struct{}

func (w waker) Kill() {}
func (w waker) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// drive feeds in to a connection, in pieces, and returns all that it answers. It
// ends when the connection closes or has nothing left to do.
func drive(t testing.TB, c *conn, w waker, in []byte, piece int) (out []byte) {
	t.Helper()
	shared := make([]byte, 512)
	timeout := time.After(20 * time.Second)
	for {
		out = append(out, c.Output(nil)...)
		switch c.Intent() {
		case driver.ToDie, driver.ToClose:
			return out
		case driver.ToRun:
			c.run()
			c.settle()
		case driver.ToRead:
			if len(in) == 0 {
				select {
				case <-w:
					c.run()
					c.settle()
					continue
				default:
				}
				switch {
				case c.state == forNothing, c.state == forKeys && c.srv.store.Blocked() > 0:
					return append(out, c.Output(nil)...)
				case c.state == forKeys: // it may yet find something at once
					select {
					case <-w:
						c.run()
						c.settle()
					case <-time.After(time.Millisecond): // or be blocked by now
					case <-timeout:
						t.Fatal("neither answered nor blocked")
					}
					continue
				}
			}
			p := c.ReadInto(shared)
			n := copy(p, in[:min(len(in), piece)])
			in = in[n:]
			c.Received(n)
			if n == 0 {
				select {
				case <-w:
				case <-timeout:
					t.Fatalf("waits for %d", c.state)
				}
			}
		case driver.ToWait:
			select {
			case <-w:
				c.run()
				c.settle()
			case <-timeout:
				t.Fatalf("waits for %d", c.state)
			}
		}
	}
}

// Whatever comes, and in whatever pieces it comes, the answer is the same, and
// nothing panics.
func FuzzConn(f *testing.F) {
	for _, s := range []string{
		"PING\r\nSET a 1\r\nGET a\r\nINCR a\r\nfoo\r\nGET a\r\n",
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$6\r\nSTRLEN\r\n$1\r\nk\r\n",
		"MULTI\r\nSET a 1\r\nSELECT 2\r\nINCR a\r\nPING\r\nEXEC\r\nGET a\r\nSELECT 0\r\nGET a\r\n",
		"WATCH a\r\nSET a 1\r\nMULTI\r\nGET a\r\nEXEC\r\n",
		"READWRITE\r\nSET a 1\r\nGET a\r\nGET b\r\nMULTI\r\nGET a\r\nEXEC\r\n",
		"CLIENT REPLY OFF\r\nSET a 1\r\nGET a\r\nCLIENT REPLY ON\r\nGET a\r\n",
		"CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\nCLIENT REPLY SKIP\r\nGET a\r\nSET a 2\r\nGET a\r\n",
		"CLIENT REPLY SKIP\r\nMULTI\r\nPING\r\nSET a 1\r\nWAIT 0 1\r\nSET b 1\r\nCLIENT REPLY SKIP\r\nEXEC\r\nGET a\r\n",
		"CLIENT REPLY OFF\r\nMULTI\r\nPING\r\nGET a\r\nWAIT 0 1\r\nEXEC\r\nCLIENT REPLY ON\r\nGET a\r\n",
		"SET a 1\r\nHELLO 3\r\nGET b\r\nSET a 1\r\nRESET\r\nGET b\r\n",
		"SET a 1\r\n*2\r\n$3\r\nGET\r\n$-1\r\n", "SET a 1\r\nGET \"a\r\n", "SET a 1\r\nQUIT\r\nGET a\r\n",
		"SET a 1\r\nWAIT 0 1\r\nMULTI\r\nWAIT 0 1\r\nSET a 2\r\nEXEC\r\nGET a\r\n",
		"ZADD z 1 a\r\nBZPOPMIN z 1\r\nMULTI\r\nBZPOPMIN z 1\r\nEXEC\r\nPING\r\n",
	} {
		f.Add([]byte(s), uint8(7))
	}
	s, _ := newServer(f, nil)
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		lower := bytes.ToLower(in)
		for _, word := range []string{"debug", "shutdown", "pause", "client", "info", "config", "slowlog", "latency", "memory", "time", "wait", "raft", "save", "kill", "object", "random", "monitor", "block", "z", "x", "command"} {
			if bytes.Contains(lower, []byte(word)) && !bytes.Contains(in, []byte("REPLY")) && !bytes.HasPrefix(in, []byte("ZADD")) && !bytes.HasPrefix(in, []byte("SET a 1\r\nWAIT")) {
				return // answers differently each time, or waits
			}
		}
		var outs [2]string
		for i, size := range []int{int(piece) + 1, len(in) + 1} {
			w := make(waker, 1)
			flush := newConn(s, w, "127.0.0.1:1", "127.0.0.1:2", 1, true)
			drive(t, flush, w, []byte("FLUSHALL\r\n"), 100)
			c := newConn(s, w, "127.0.0.1:1", "127.0.0.1:2", 1, true)
			c.id = 1
			outs[i] = string(drive(t, c, w, in, size))
			c.Abandon()
		}
		if outs[0] != outs[1] {
			t.Fatalf("%q\nin pieces of %d: %q\nas a whole:      %q", in, piece+1, outs[0], outs[1])
		}
	})
}

// elsewhere is a connection from another host.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5} }

func TestProtectedMode(t *testing.T) {
	s, _ := newServer(t, nil)
	ask := func() string {
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.admit(elsewhere{theirs}, s.tls)
		}()
		c := &client{t: t, Conn: ours}
		defer func() {
			_ = ours.Close()
			<-done
		}()
		_ = ours.SetDeadline(time.Now().Add(5 * time.Second))
		go func() { _, _ = ours.Write([]byte("PING\r\n")) }()
		return c.line()
	}
	if line := ask(); !strings.HasPrefix(line, "-DENIED Redis is running in protected mode") {
		t.Fatal(line)
	}
	if err := s.setUser("default", passwordRules("secret")); err != nil {
		t.Fatal(err)
	}
	if line := ask(); line != "-"+errNoAuth {
		t.Fatal(line)
	}
	if err := s.setUser("default", passwordRules("")); err != nil {
		t.Fatal(err)
	}
	cfg := *s.config()
	cfg.ProtectedMode = false
	s.applyConfig(&cfg)
	if line := ask(); line != "+PONG" {
		t.Fatal(line)
	}
}

func TestReadModeFollowsTheDirective(t *testing.T) {
	s, l := newServer(t, nil)
	c := dial(t, s)
	c.ask("SET a 1\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n")
	if l.ReadIndexes.Load() != 0 {
		t.Fatal("a local read asked the leader")
	}
	c.ask("CONFIG SET read-mode linearizable\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n")
	c.ask("GET a\r\n", "$1\r\n1\r\n")
	n := l.ReadIndexes.Load()
	if n == 0 {
		t.Fatal("a linearizable read did not ask the leader")
	}
	c.ask("READONLY\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n")
	if l.ReadIndexes.Load() != n {
		t.Fatal("READONLY made no difference")
	}
}

// TestBarrierSleeps: a connection whose linearizable read is being confirmed does
// not ask to be run again before it is. (Fifty that did kept the node too busy to
// confirm anything.)
func TestBarrierSleeps(t *testing.T) {
	c := &conn{}
	c.wait(forBarrier)
	if got := c.Intent(); got != driver.ToWait {
		t.Fatalf("intent %d while waiting, want %d", got, driver.ToWait)
	}
	c.over.Store(true)
	if got := c.Intent(); got != driver.ToRun {
		t.Fatalf("intent %d when confirmed, want %d", got, driver.ToRun)
	}
}
