package resp

import (
	"fmt"
	"strings"
	"testing"
)

// cmdstat is a command's line in INFO commandstats, without its times.
func cmdstat(s *Server, name string) string {
	for line := range strings.Lines(s.info([]string{"commandstats"}, false)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "cmdstat_"+name+":"); ok {
			parts := strings.Split(rest, ",")
			return parts[0] + "," + parts[3] + "," + parts[4]
		}
	}
	return "none"
}

// TestWritesThatAreNotApplied: a write that was certainly not applied is no call,
// and the reads around it are, and have not failed.
func TestWritesThatAreNotApplied(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.ask("SET a 1\r\n", "+OK\r\n")
		l.Elect(0)
		c.send("SET a 2\r\nGET a\r\nMULTI\r\nINCR a\r\nEXEC\r\nGET a\r\n")
		refused := func() {
			t.Helper()
			if line := c.line(); !strings.HasPrefix(line, "-") {
				t.Fatalf("got %q", line)
			}
		}
		refused()
		c.expect("$1\r\n1\r\n+OK\r\n+QUEUED\r\n")
		refused()
		c.expect("$1\r\n1\r\n")
		for name, want := range map[string]string{
			"set":  "calls=1,rejected_calls=1,failed_calls=0",
			"get":  "calls=2,rejected_calls=0,failed_calls=0",
			"exec": "calls=0,rejected_calls=1,failed_calls=0",
			"incr": "none",
		} {
			if got := cmdstat(s, name); got != want {
				t.Errorf("%s: %s, wanted %s", name, got, want)
			}
		}
		l.Elect(1)
	})
}

// TestWriteOfGoneClientCounts: who does not wait for the reply has still had the
// command executed.
func TestWriteOfGoneClientCounts(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c, monitor := dial(t, s), dial(t, s)
		monitor.ask("MONITOR\r\n", "+OK\r\n")
		id := c.id()
		if line := monitor.line(); !strings.HasSuffix(line, `"CLIENT" "ID"`) {
			t.Fatalf("MONITOR shows %q", line)
		}
		l.hold(true)
		c.send("SET a 1\r\n")
		eventually(t, "the proposal", func() bool { return s.store.Stats().Pending == 1 })
		dial(t, s).ask(fmt.Sprintf("CLIENT KILL ID %d\r\n", id), ":1\r\n")
		eventually(t, "the client is gone", func() bool { return s.clientCount() == 2 })
		l.hold(false)
		eventually(t, "its write counts", func() bool { return cmdstat(s, "set") == "calls=1,rejected_calls=0,failed_calls=0" })
		if line := monitor.line(); !strings.HasSuffix(line, `"SET" "a" "1"`) {
			t.Errorf("MONITOR shows %q", line)
		}
	})
}

// TestSlowReadsAreFound: fast reads that are timed together do not hide the one
// that took long.
func TestSlowReadsAreFound(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.ask("CONFIG SET slowlog-log-slower-than 0\r\nSET a 1\r\nGET a\r\nGET a\r\nGET b\r\nSLOWLOG LEN\r\n", "+OK\r\n+OK\r\n$1\r\n1\r\n$1\r\n1\r\n$-1\r\n:5\r\n")
		c.ask("CONFIG SET slowlog-log-slower-than 1000000\r\nSLOWLOG RESET\r\n", "+OK\r\n+OK\r\n")
		c.ask("GET a\r\nGET a\r\nGET a\r\nGET b\r\nHGET a b\r\nGET b\r\nSLOWLOG LEN\r\n",
			"$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$-1\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n$-1\r\n:0\r\n")
		for name, want := range map[string]string{
			"get":  "calls=8,rejected_calls=0,failed_calls=0",
			"hget": "calls=1,rejected_calls=0,failed_calls=1",
		} {
			if got := cmdstat(s, name); got != want {
				t.Errorf("%s: %s, wanted %s", name, got, want)
			}
		}
		if n := s.commands["get"].latency.total(); n != 8 {
			t.Errorf("the histogram of GET has %d calls", n)
		}
		st := s.store.Stats()
		if st.Hits != 6 || st.Misses != 3 {
			t.Errorf("%d hits and %d misses", st.Hits, st.Misses)
		}
	})
}
