package resp

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestOutputLimitExceeded(t *testing.T) {
	type look struct {
		used, now int64
		want      bool
	}
	for name, c := range map[string]struct {
		limit OutputLimit
		looks []look
	}{
		"none":    {OutputLimit{}, []look{{1 << 40, 1, false}}},
		"hard":    {OutputLimit{Hard: 100}, []look{{99, 1, false}, {100, 2, true}}},
		"soft":    {OutputLimit{Soft: 10, SoftSeconds: 2}, []look{{10, 1000, false}, {10, 3999, false}, {10, 4000, true}}},
		"again":   {OutputLimit{Soft: 10, SoftSeconds: 2}, []look{{10, 1000, false}, {9, 3000, false}, {10, 5000, false}, {10, 8000, true}}},
		"both":    {OutputLimit{Hard: 100, Soft: 10, SoftSeconds: 60}, []look{{50, 1000, false}, {100, 1001, true}}},
		"at once": {OutputLimit{Soft: 10}, []look{{10, 1000, false}, {10, 1999, false}, {10, 2000, true}}},
	} {
		var from atomic.Int64
		for i, l := range c.looks {
			if got := c.limit.exceeded(l.used, &from, l.now); got != l.want {
				t.Errorf("%s, look %d: %v", name, i, got)
			}
		}
	}
}

// What waits is counted to the byte, whoever holds it: the encoder, the blocks or the
// driver.
func TestPendingOutput(t *testing.T) {
	s, _ := newServer(t, nil)
	value := strings.Repeat("v", 300_000)
	dial(t, s).ask("SET k "+"small"+"\r\n", "+OK\r\n")
	setup := dial(t, s)
	setup.ask(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%s\r\n", len(value), value), "+OK\r\n")
	c := newConn(s, nowhere{}, "127.0.0.1:1", "127.0.0.1:2", 1, true)
	feed := func(in string) {
		n := copy(c.ReadInto(make([]byte, 512)), in)
		c.Received(n)
	}
	expect := func(when string, obl, oll, atLeast int64) {
		t.Helper()
		gotObl, gotOll, omem := c.pending()
		if gotObl != obl || gotOll != oll || omem < atLeast || omem > atLeast+atLeast/4+100*oll {
			t.Fatalf("%s: obl %d, oll %d, omem %d", when, gotObl, gotOll, omem)
		}
	}
	reply := int64(len(value) + len("$300000\r\n\r\n"))
	expect("at first", 0, 0, 0)
	feed("GET k\r\n")
	expect("a small reply", 11, 0, 0)
	small := c.Output(nil)
	expect("with the driver", 11, 0, 0)
	feed("GET big\r\n")
	expect("a big one behind it", 0, 2, reply)
	feed("GET big\r\n")
	feed("GET big\r\n")
	expect("three", 0, 4, 3*reply)
	feed("GET k\r\n")
	expect("and a small one", 0, 5, 3*reply)
	if line := c.info(time.Now()); !strings.Contains(line, " obl=0 oll=5 ") {
		t.Errorf("%s", line)
	}
	if got := field(t, c.info(time.Now()), "tot-mem"); got < 3*reply || got > 4*reply {
		t.Errorf("tot-mem=%d", got)
	}
	c.Sent(len(small))
	c.BlockSent(small)
	var got strings.Builder
	for b := c.Output(nil); b != nil; b = c.Output(nil) {
		got.Write(b)
		_, _, before := c.pending()
		c.Sent(len(b))
		c.BlockSent(b)
		if _, _, after := c.pending(); after > before {
			t.Errorf("%d, and %d after a block was sent", before, after)
		}
	}
	want := strings.Repeat("$300000\r\n"+value+"\r\n", 3) + "$5\r\nsmall\r\n"
	if got.String() != want {
		t.Errorf("%d bytes instead of %d, or others", got.Len(), len(want))
	}
	expect("at last", 0, 0, 0)
}

func field(t testing.TB, line, name string) int64 {
	t.Helper()
	for _, word := range strings.Fields(line) {
		if v, ok := strings.CutPrefix(word, name+"="); ok {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %s", name, line)
	return 0
}

// A client that does not read: what waits for it shows in CLIENT LIST, and all of it is
// delivered if it reads after all.
func TestSlowReader(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		slow, c := dial(t, s), dial(t, s)
		value := strings.Repeat("v", 1<<20)
		c.ask(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n", len(value), value), "+OK\r\n")
		const n = 40
		slow.send(strings.Repeat("GET k\r\n", n))
		reply := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
		var line string
		eventually(t, "everything waits", func() bool {
			s.eachClient(func(k *conn) {
				if k.addr == slow.LocalAddr().String() {
					line = k.info(time.Now())
				}
			})
			return field(t, line, "omem") > (n-15)*int64(len(reply))
		})
		if omem := field(t, line, "omem"); omem > (n+1)*int64(len(reply)) {
			t.Errorf("%s", line)
		}
		if oll := field(t, line, "oll"); oll < n-15 || oll > n+1 {
			t.Errorf("%s", line)
		}
		_ = slow.SetReadDeadline(time.Now().Add(20 * time.Second))
		got := make([]byte, len(reply))
		for i := range n {
			if _, err := io.ReadFull(slow, got); err != nil || string(got) != reply {
				t.Fatalf("reply %d: %v", i, err)
			}
		}
		slow.ask("PING\r\n", "+PONG\r\n")
		s.eachClient(func(k *conn) {
			if obl, oll, omem := k.pending(); k.addr == slow.LocalAddr().String() && (oll != 0 || omem != 0 || obl > 7) {
				t.Errorf("left over: %d, %d, %d", obl, oll, omem)
			}
		})
	})
}

// A limit that is set while a client is above it holds for that client, too, and the log
// says what became of it as Redis's does.
func TestOutputLimitIsLogged(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	s, _ := newServer(t, func(o *Options) { o.Logger = zap.New(core) })
	slow, c := dial(t, s), dial(t, s)
	value := strings.Repeat("v", 1<<20)
	c.ask(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n", len(value), value), "+OK\r\n")
	id := slow.id()
	slow.send(strings.Repeat("GET k\r\n", 30))
	eventually(t, "much waits", func() bool {
		waits := false
		s.eachClient(func(k *conn) { _, _, omem := k.pending(); waits = waits || omem > 10<<20 })
		return waits
	})
	c.ask("CONFIG SET client-output-buffer-limit \"normal 2mb 0 0\"\r\n", "+OK\r\n")
	eventually(t, "it is gone", func() bool { return s.clientCount() == 1 })
	lines := logs.All()
	if len(lines) != 1 || !strings.HasPrefix(lines[0].Message, fmt.Sprintf("Client id=%d addr=%s ", id, slow.LocalAddr())) ||
		!strings.HasSuffix(lines[0].Message, " for overcoming of output buffer limits.") || field(t, lines[0].Message, "omem") < 10<<20 {
		t.Errorf("%v", lines)
	}
	if got := s.stats.outputKill.Load(); got != 1 {
		t.Errorf("%d counted", got)
	}
}

// One that asked for MONITOR and does not read is a normal client, as in Redis.
func TestMonitorsOutputLimit(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		m, c := dial(t, s), dial(t, s)
		c.ask("CONFIG SET client-output-buffer-limit \"normal 1mb 0 0 replica 10 10 10\"\r\n", "+OK\r\n")
		m.ask("MONITOR\r\n", "+OK\r\n")
		_ = m.Conn.(*net.TCPConn).SetReadBuffer(4096)
		ping := "PING " + strings.Repeat("x", 10_000) + "\r\n"
		eventually(t, "the monitor is closed", func() bool {
			c.ask(ping, "$10000\r\n"+ping[5:len(ping)-2]+"\r\n")
			return s.stats.outputKill.Load() > 0
		})
		eventually(t, "it is gone", func() bool { return s.clientCount() == 1 })
	})
}
