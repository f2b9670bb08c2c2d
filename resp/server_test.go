package resp

import (
	"fmt"
	"strings"
	"testing"
)

// drivers runs a test with every driver of this platform, with other options if they are
// given.
func drivers(t *testing.T, test func(t *testing.T, s *Server, l *single), change ...func(*Options)) {
	for _, name := range []string{"goroutine", "auto"} {
		t.Run(name, func(t *testing.T) {
			s, l := newServer(t, func(o *Options) {
				o.Config.Driver = name
				for _, ch := range change {
					ch(o)
				}
			})
			test(t, s, l)
		})
	}
}

func TestPipelineKeepsOrder(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.ask("PING\r\nSET a 1\r\nGET a\r\nINCR a\r\nGET a\r\nPING x\r\nfoo\r\nSELECT 1\r\nGET a\r\nSET a b\r\nGET a\r\nSELECT 0\r\nGET a\r\n",
			"+PONG\r\n+OK\r\n$1\r\n1\r\n:2\r\n$1\r\n2\r\n$1\r\nx\r\n-ERR unknown command 'foo', with args beginning with: \r\n+OK\r\n$-1\r\n+OK\r\n$1\r\nb\r\n+OK\r\n$1\r\n2\r\n")
		var in, out strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&in, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%d\r\nGET k\r\n", len(fmt.Sprint(i)), i)
			fmt.Fprintf(&out, "+OK\r\n$%d\r\n%d\r\n", len(fmt.Sprint(i)), i)
		}
		go c.send(in.String())
		c.expect(out.String())
	})
}

func TestTransactions(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c, other := dial(t, s), dial(t, s)
		c.ask("MULTI\r\nSET a 1\r\nPING\r\nGET a\r\nSELECT 2\r\nSET a 2\r\nEXEC\r\nGET a\r\n",
			"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*5\r\n+OK\r\n+PONG\r\n$1\r\n1\r\n+OK\r\n+OK\r\n$1\r\n2\r\n")
		c.ask("SELECT 0\r\nWATCH a\r\n", "+OK\r\n+OK\r\n")
		other.ask("SET a x\r\n", "+OK\r\n")
		c.ask("MULTI\r\nSET a y\r\nEXEC\r\nGET a\r\n", "+OK\r\n+QUEUED\r\n*-1\r\n$1\r\nx\r\n")
		c.ask("WATCH a\r\nMULTI\r\nGET a\r\nEXEC\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\nx\r\n")
		c.ask("MULTI\r\nfoo\r\nEXEC\r\n", "+OK\r\n-ERR unknown command 'foo', with args beginning with: \r\n-EXECABORT Transaction discarded because of previous errors.\r\n")
	})
}

// TestSnapshotsAside: by either name a snapshot is taken and not waited for.
func TestSnapshotsAside(t *testing.T) {
	s, _ := newServer(t, nil)
	c := dial(t, s)
	for i, x := range []struct{ ask, want string }{
		{"BGSAVE", "+Background saving started\r\n"},
		{"BGSAVE SCHEDULE", "+Background saving started\r\n"},
		{"BGREWRITEAOF", "+Background append only file rewriting started\r\n"},
	} {
		c.ask(x.ask+"\r\n", x.want)
		eventually(t, x.ask+" has written a snapshot", func() bool {
			return s.store.Stats().Snapshots == uint64(i+1) && s.saving.Load() == 0
		})
	}
	s.saving.Add(1)
	defer s.saving.Add(-1)
	c.ask("BGSAVE\r\nBGREWRITEAOF\r\n", "-ERR Background save already in progress\r\n-ERR Background append only file rewriting already in progress\r\n")
}
