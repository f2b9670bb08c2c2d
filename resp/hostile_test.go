package resp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// A client that announces much and sends little must not cost more than it has
// sent.
func TestAnnouncedBytesCostNothing(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range 20 {
			c := dial(t, s)
			c.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc")
		}
		c := dial(t, s)
		c.ask("PING\r\n", "+PONG\r\n")
		eventually(t, "all clients are there", func() bool { return s.clientCount() == 21 })
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
			t.Fatalf("%d bytes more in use", grown)
		}
	})
}

func TestBigValue(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		value := strings.Repeat("0123456789abcdef", 5<<20/16)
		frame := fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%s\r\n", len(value), value)
		for len(frame) > 0 { // in pieces that end anywhere
			n := min(len(frame), 300_007)
			c.send(frame[:n])
			frame = frame[n:]
		}
		c.expect("+OK\r\n")
		c.ask("GET big\r\nSTRLEN big\r\n", fmt.Sprintf("$%d\r\n%s\r\n:%d\r\n", len(value), value, len(value)))
	})
}

func TestManyArguments(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		const keys = 50_000
		var in strings.Builder
		fmt.Fprintf(&in, "*%d\r\n$6\r\nEXISTS\r\n", keys+1)
		for i := range keys {
			fmt.Fprintf(&in, "$5\r\n%05d\r\n", i)
		}
		c.ask(in.String(), ":0\r\n")
	})
}

// More arguments than a million are as good as fewer, as in Redis 7.0.
func TestMoreThanAMillionArguments(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		const keys = 1_200_000
		var in strings.Builder
		fmt.Fprintf(&in, "*%d\r\n$3\r\nDEL\r\n", keys+1)
		for i := range keys {
			fmt.Fprintf(&in, "$7\r\n%07d\r\n", i)
		}
		c.ask("SET 0000000 a\r\nSET 1199999 b\r\n", "+OK\r\n+OK\r\n")
		c.ask(in.String(), ":2\r\n")
	})
}

// What arguments cost beside their bytes counts against the limit as well: a
// command of many empty ones would otherwise cost a multiple of it.
func TestArgumentsAgainstTheLimit(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c, other := dial(t, s), dial(t, s)
		other.ask("CONFIG SET client-query-buffer-limit 1mb\r\n", "+OK\r\n")
		const args = 50_000 // 300 KB of input, and 1.2 MB of slices
		for _, announced := range []int{args, 2_000_000_000} {
			c.send(fmt.Sprintf("*%d\r\n$3\r\nDEL\r\n", announced) + strings.Repeat("$0\r\n\r\n", args-1))
			c.expectEOF()
			c = dial(t, s)
		}
		c.ask(fmt.Sprintf("*%d\r\n$6\r\nEXISTS\r\n", args/2)+strings.Repeat("$0\r\n\r\n", args/2-1), ":0\r\n")
		other.ask("PING\r\n", "+PONG\r\n")
	})
}

// A client may send all of a long pipeline before it reads the first reply.
func TestClientThatReadsLate(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		value := strings.Repeat("v", 10_000)
		c.ask("SET k "+value+"\r\n", "+OK\r\n")
		const n = 5_000 // 50 MB: more than sockets hold
		c.send(strings.Repeat("GET k\r\n", n))
		reply := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		got := make([]byte, len(reply))
		for i := range n {
			if _, err := io.ReadFull(c, got); err != nil || string(got) != reply {
				t.Fatalf("reply %d: %v", i, err)
			}
		}
		c.ask("PING\r\n", "+PONG\r\n")
	})
}

// A client that never reads is closed at the limit, and nobody else notices.
func TestOutputLimit(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		slow, c := dial(t, s), dial(t, s)
		c.ask("CONFIG SET client-output-buffer-limit \"normal 1mb 0 0\"\r\n", "+OK\r\n")
		c.ask("SET k "+strings.Repeat("v", 10_000)+"\r\n", "+OK\r\n")
		gets := strings.Repeat("GET k\r\n", 100)
		eventually(t, "the slow client is closed", func() bool {
			_ = slow.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			_, err := io.WriteString(slow, gets)
			return err != nil && !isTimeout(err) || s.stats.outputKill.Load() > 0
		})
		c.ask("PING\r\n", "+PONG\r\n")
		eventually(t, "it is gone", func() bool { return s.clientCount() == 1 })
	})
}

func TestOutputSoftLimit(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		slow, c := dial(t, s), dial(t, s)
		c.ask("CONFIG SET client-output-buffer-limit \"normal 0 1mb 0\"\r\n", "+OK\r\n")
		c.ask("SET k "+strings.Repeat("v", 10_000)+"\r\n", "+OK\r\n")
		gets := strings.Repeat("GET k\r\n", 100)
		eventually(t, "the slow client is closed", func() bool {
			_ = slow.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
			_, _ = io.WriteString(slow, gets)
			return s.stats.outputKill.Load() > 0
		})
		eventually(t, "it is gone", func() bool { return s.clientCount() == 1 })
	})
}

func isTimeout(err error) bool {
	nerr, ok := errors.AsType[net.Error](err)
	return ok && nerr.Timeout()
}

func TestQueryBufferLimit(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.ask("CONFIG SET client-query-buffer-limit 1mb\r\n", "+OK\r\n")
		value := strings.Repeat("v", 1<<20)
		go func() { _, _ = io.WriteString(c, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n"+value+value+value) }()
		c.expectEOF()
		c = dial(t, s)
		c.ask("MULTI\r\n", "+OK\r\n")
		go func() { _, _ = io.WriteString(c, strings.Repeat("SET k "+value[:100_000]+"\r\n", 20)) }()
		c.expectEOF()
	})
}

func TestMaxClients(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.ask("CONFIG SET maxclients 2\r\n", "+OK\r\n")
		second := dial(t, s)
		second.ask("PING\r\n", "+PONG\r\n")
		third := dial(t, s)
		third.expect("-ERR max number of clients reached\r\n")
		third.expectEOF()
		_ = second.Close()
		eventually(t, "there is room again", func() bool { return s.clientCount() == 1 })
		dial(t, s).ask("PING\r\n", "+PONG\r\n")
	})
}

// TestDiskFull: writes are refused before anything of them leaves the node, in a
// transaction and outside, and everything else goes on.
func TestDiskFull(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		refused := "-" + string(store.ErrDiskFull) + "\r\n"
		c.ask("SET a 1\r\nMULTI\r\nSET a 2\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n")
		l.DiskFull.Store(true)
		before := l.store.AppliedIndex()
		c.ask("EXEC\r\n", "-EXECABORT Transaction discarded because of: "+strings.TrimPrefix(refused, "-"))
		c.ask("SET a 3\r\nDEL a\r\nBZPOPMIN q 0\r\n", refused+refused+refused)
		c.ask("MULTI\r\nGET a\r\nSET a 4\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n"+refused+"-EXECABORT Transaction discarded because of previous errors.\r\n")
		c.ask("MULTI\r\nGET a\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n")
		c.ask("GET a\r\nPING\r\n", "$1\r\n1\r\n+PONG\r\n")
		c.ask("EVAL \"return redis.call('get','a')\" 0\r\n", "$1\r\n1\r\n")
		c.ask("EVAL \"return redis.pcall('set','a',6).err\" 0\r\n", fmt.Sprintf("$%d\r\n%s\r\n", len(store.ErrDiskFull), store.ErrDiskFull))
		c.ask("EVALSHA 0123456789012345678901234567890123456789 0\r\n", refused)
		if after := l.store.AppliedIndex(); after != before {
			t.Errorf("the log went from %d to %d", before, after)
		}
		c.ask("ONCE id 1000 SET a 6\r\n", refused)
		c.ask("ONCE id 1000 EVAL \"return redis.call('set','a',6)\" 0\r\n", refused) // it is not tried as a read
		l.DiskFull.Store(false)
		c.ask("SET a 5\r\nGET a\r\n", "+OK\r\n$1\r\n5\r\n")
	})
}

// TestMostClients: maxclients cannot be set to more than there are descriptors for.
func TestMostClients(t *testing.T) {
	s, _ := newServer(t, func(o *Options) { o.Config.MaxClients, o.MostClients = 10, 32 })
	c := dial(t, s)
	c.ask("CONFIG SET maxclients 33\r\n", "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - "+
		"The operating system is not able to handle the specified number of clients, try with 32\r\n")
	c.ask("CONFIG GET maxclients\r\n", "*2\r\n$10\r\nmaxclients\r\n$2\r\n10\r\n")
	c.ask("CONFIG SET maxclients 32\r\n", "+OK\r\n")
}

func TestIdleTimeout(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.ask("CONFIG SET timeout 1\r\n", "+OK\r\n")
		blocked := dial(t, s)
		blocked.send("BZPOPMIN q 0\r\n")
		waitBlocked(t, s, 1)
		c.expectEOF()
		dial(t, s).ask("ZADD q 1 a\r\n", ":1\r\n")
		blocked.expect("*3\r\n$1\r\nq\r\n$1\r\na\r\n$1\r\n1\r\n")
	})
}

func TestKill(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		victim, c := dial(t, s), dial(t, s)
		id := victim.id()
		c.ask(fmt.Sprintf("CLIENT KILL ID %d\r\n", id), ":1\r\n")
		victim.expectEOF()
		c.ask(fmt.Sprintf("CLIENT KILL ID %d SKIPME no\r\nPING\r\n", c.id()), ":1\r\n")
		c.expectEOF()
		c, victim = dial(t, s), dial(t, s)
		victim.ask("PING\r\n", "+PONG\r\n")
		c.ask("CLIENT KILL "+victim.LocalAddr().String()+"\r\n", "+OK\r\n")
		victim.expectEOF()
	})
}

func TestPause(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c, other := dial(t, s), dial(t, s)
		c.ask("CLIENT PAUSE 100000 WRITE\r\nGET a\r\n", "+OK\r\n$-1\r\n")
		const reads = "#!lua flags=no-writes\nreturn redis.call('get', 'a')"
		other.ask(call("GET", "a")+call("EVAL", reads, "0")+call("EVALSHA", command.SHA([]byte(reads)), "0"), "$-1\r\n$-1\r\n$-1\r\n")
		other.send("GET a\r\n" + call("EVAL", "return redis.call('set', 'a', 1)", "0") + "GET a\r\n")
		other.expect("$-1\r\n")
		eventually(t, "the client counts as blocked", func() bool {
			blocked := 0
			s.eachClient(func(c *conn) {
				if strings.Contains(c.info(s.now()), " flags=b ") {
					blocked++
				}
			})
			info := infoText{srv: s}
			info.clients()
			return blocked == 1 && strings.Contains(info.String(), "blocked_clients:1\r\n")
		})
		c.ask("GET a\r\nCLIENT UNPAUSE\r\n", "$-1\r\n+OK\r\n")
		other.expect("+OK\r\n$1\r\n1\r\n")
		c.ask("CLIENT PAUSE 50\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n") // by itself
	})
}

func TestMonitor(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		m, c := dial(t, s), dial(t, s)
		m.ask("MONITOR\r\n", "+OK\r\n")
		c.ask("SET a \"x\\x01\\\"\"\r\nAUTH secret\r\nGET a\r\n", "+OK\r\n-"+errNoPassword+"\r\n$3\r\nx\x01\"\r\n")
		c.ask("EVAL 'return 1' 0\r\nACL SETUSER a on >secret\r\nMULTI\r\nEVAL 'return 2' 0\r\nEXEC\r\n", ":1\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n:2\r\n")
		for _, want := range []string{
			`"SET" "a" "x\x01\""`, `"AUTH" "(redacted)"`, `"GET" "a"`,
			`"EVAL" "return 1" "0"`, `"MULTI"`, `"EVAL" "return 2" "0"`, `"EXEC"`,
		} {
			if line := m.line(); !strings.HasPrefix(line, "+") || !strings.HasSuffix(line, want) {
				t.Fatalf("%q, want %s", line, want)
			}
		}
		m.ask("RESET\r\n", "+RESET\r\n")
		c.ask("PING\r\n", "+PONG\r\n")
		m.ask("PING\r\n", "+PONG\r\n")
	})
}

// Monitors see what scripts run behind the script itself, each once, however often the
// script is run: it is tried as a read, it takes long, and it is applied.
func TestMonitorScripts(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		m, c := dial(t, s), dial(t, s)
		m.ask("MONITOR\r\n", "+OK\r\n")
		const (
			get  = " redis.call('get','a') "
			loop = " for i=1,3e6 do end "
			set  = " redis.call('set','a','1') "
		)
		for _, script := range []string{get, get + set, get + loop + get, get + loop + set, set + "redis.pcall('get')"} {
			c.ask("EVAL \""+script+"\" 0\r\n", "$-1\r\n")
		}
		c.ask("MULTI\r\nEVAL_RO \""+get+"\" 0\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n")
		c.ask("SELECT 3\r\nMULTI\r\nEVAL \""+set+get+"\" 0\r\nSET b 1\r\nEXEC\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$-1\r\n+OK\r\n")
		for _, want := range []string{
			"EVAL", `lua] "get" "a"`,
			"EVAL", `lua] "get" "a"`, `lua] "set" "a" "1"`,
			"EVAL", `lua] "get" "a"`, `lua] "get" "a"`,
			"EVAL", `lua] "get" "a"`, `lua] "set" "a" "1"`,
			"EVAL", `lua] "set" "a" "1"`,
			"MULTI", "EVAL_RO", ` [0 lua] "get" "a"`, "EXEC",
			"SELECT", "MULTI", "EVAL", ` [3 lua] "set" "a" "1"`, ` [3 lua] "get" "a"`, `"SET" "b" "1"`, "EXEC",
		} {
			if line := m.line(); !strings.Contains(line, want) {
				t.Fatalf("%q, want %s", line, want)
			}
		}
	})
}

// While there is no leader a write has a definite end, and what does not need
// one goes on.
func TestNoLeader(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c, other := dial(t, s), dial(t, s)
		c.ask("SET a 1\r\n", "+OK\r\n")
		l.Elect(0)
		c.send("SET a 2\r\nGET a\r\nMULTI\r\nSET a 3\r\nDISCARD\r\nPING\r\n")
		eventually(t, "the proposal", func() bool { return s.store.Stats().Pending == 1 })
		other.ask("GET a\r\nMULTI\r\nPING\r\nEXEC\r\n", "$1\r\n1\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n")
		other.ask("CONFIG SET replica-serve-stale-data no\r\nGET a\r\nPING\r\nINFO nosuch\r\n", "+OK\r\n-"+errMasterDown+"\r\n-"+errMasterDown+"\r\n$0\r\n\r\n")
		if line := c.line(); !strings.HasPrefix(line, "-CLUSTERDOWN ") {
			t.Fatal(line)
		}
		c.expect("$1\r\n1\r\n+OK\r\n+QUEUED\r\n+OK\r\n+PONG\r\n")
		l.Elect(1)
		other.ask("CONFIG SET replica-serve-stale-data yes\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n")
	})
}

func TestLinearizableReads(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.ask("READWRITE\r\nSET a 1\r\n", "+OK\r\n+OK\r\n")
		before := l.ReadIndexes.Load()
		c.ask("GET a\r\nGET a\r\nGET a\r\n", "$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n")
		if n := l.ReadIndexes.Load() - before; n == 0 || n > 3 {
			t.Fatalf("%d rounds for reads that came together", n)
		}
		l.FailReads.Store(true)
		c.send("GET a\r\nPING\r\n")
		if line := c.line(); !strings.HasPrefix(line, "-CLUSTERDOWN ") {
			t.Fatal(line)
		}
		c.expect("+PONG\r\n")
		c.ask("READONLY\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n")
	})
}

func TestCloseWaitsForReplies(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c, idle := dial(t, s), dial(t, s)
		idle.ask("PING\r\n", "+PONG\r\n")
		l.hold(true)
		c.send("SET a 1\r\n")
		eventually(t, "the write is on its way", func() bool { return l.store.Stats().Pending > 0 })
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			done <- s.Close(ctx)
		}()
		eventually(t, "nobody is let in", func() bool {
			nc, err := net.Dial("tcp", s.Addrs()[0].String())
			if err == nil {
				_ = nc.Close()
			}
			return err != nil
		})
		l.hold(false)
		c.expect("+OK\r\n")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c.expectEOF()
		idle.expectEOF()
	})
}

func TestPanicEndsOneConnection(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		s.mu.Lock() // which every new connection takes as well: they see the change
		for _, name := range []string{"ping", "debug"} {
			s.commands[name].run = func(*conn, [][]byte) { panic("as the test wants") }
		}
		s.mu.Unlock()
		a, b, c := dial(t, s), dial(t, s), dial(t, s)
		a.send("PING\r\n")
		a.expectEOF()
		b.send("DEBUG HELP\r\n")
		b.expectEOF()
		c.ask("SET a 1\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n")
		eventually(t, "both are gone", func() bool { return s.clientCount() == 1 })
	})
}

func TestHalfClosed(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.send("SET a 1\r\nGET a\r\nGE")
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := string(c.expectEOF()); got != "+OK\r\n$1\r\n1\r\n" {
			t.Fatalf("%q", got)
		}
	})
}

// TestActiveExpire: DEBUG SET-ACTIVE-EXPIRE 0 leaves expired keys where nobody sees them.
func TestActiveExpire(t *testing.T) {
	s, _ := newServer(t, nil)
	c := dial(t, s)
	c.ask("DEBUG SET-ACTIVE-EXPIRE 0\r\nSET a 1 PX 1\r\nSET b 1\r\n", "+OK\r\n+OK\r\n+OK\r\n")
	eventually(t, "the key expires", func() bool {
		c.send("EXISTS a\r\n")
		return c.line() == ":0"
	})
	for range 100 { // a loop that did not obey would have deleted it at once
		c.ask("PING\r\n", "+PONG\r\n")
	}
	c.ask("DBSIZE\r\nDEBUG SET-ACTIVE-EXPIRE 1\r\n", ":2\r\n+OK\r\n")
	eventually(t, "the key is deleted", func() bool {
		c.send("DBSIZE\r\n")
		return c.line() == ":1"
	})
}
