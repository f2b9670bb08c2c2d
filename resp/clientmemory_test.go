package resp

import (
	"fmt"
	"strings"
	"testing"
)

// TestEvictClients: when all clients together take too much, the largest goes, unless it
// asked not to, and no more than that.
func TestEvictClients(t *testing.T) {
	s, _ := newServer(t, nil)
	begin := func(name, evict string, bytes int) *client {
		c := dial(t, s)
		c.ask("CLIENT SETNAME "+name+"\r\n", "+OK\r\n")
		c.ask("CLIENT NO-EVICT "+evict+"\r\n", "+OK\r\n")
		if bytes > 0 {
			if _, err := fmt.Fprintf(c, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s", bytes+1, strings.Repeat("x", bytes)); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	begin("protected", "on", 900_000)
	begin("large", "off", 300_000)
	begin("small", "off", 50_000)
	me := begin("me", "off", 0)
	lines := func() map[string]string {
		all := make(map[string]string)
		s.eachClient(func(c *conn) {
			line := c.info(s.now())
			_, rest, _ := strings.Cut(line, " name=")
			name, _, _ := strings.Cut(rest, " ")
			all[name] = line
		})
		return all
	}
	sum := func() (n int64) {
		for _, line := range lines() {
			n += field(t, line, "tot-mem")
		}
		return n
	}
	eventually(t, "all input is there", func() bool {
		all := lines()
		return field(t, all["protected"], "qbuf") > 900_000 && field(t, all["large"], "qbuf") > 300_000 && field(t, all["small"], "qbuf") > 50_000
	})
	me.ask("CONFIG SET maxmemory-clients 10%\r\n", "+OK\r\n") // of a maxmemory that there is not
	s.evictClients()
	if got := len(lines()); got != 4 {
		t.Fatalf("%d clients are left without a limit", got)
	}
	me.ask(fmt.Sprintf("CONFIG SET maxmemory-clients %d\r\n", sum()), "+OK\r\n")
	eventually(t, "the largest is evicted", func() bool { return lines()["large"] == "" })
	if all := lines(); all["protected"] == "" || all["small"] == "" || all["me"] == "" {
		t.Errorf("left are %q", all)
	}
	if n := s.stats.evictedClients.Load(); n != 1 {
		t.Errorf("%d were evicted", n)
	}
	if info := s.info([]string{"stats"}, false); !strings.Contains(info, "evicted_clients:1\r\n") {
		t.Error("INFO does not know")
	}
	// What grows is noticed at its next run, and cron need not come by.
	me.ask(fmt.Sprintf("CONFIG SET maxmemory-clients %d\r\n", sum()+400_000), "+OK\r\n")
	begin("growing", "off", 800_000)
	eventually(t, "one that grows is evicted", func() bool { return s.stats.evictedClients.Load() == 2 && lines()["growing"] == "" })
}

func TestClientMemoryDirective(t *testing.T) {
	for v, want := range map[string]string{"10%": "10%", "0%": "0", "100%": "100%", "1mb": "1048576", "0": "0", "100000": "100000"} {
		var c Config
		if err := setClientMemory(&c, v); err != nil || formatClientMemory(&c) != want {
			t.Errorf("%s: %q, %v", v, formatClientMemory(&c), err)
		}
	}
	for v, want := range map[string]string{
		"101%": "percentage argument must be less or equal to 100",
		"-5":   errNoShare.Error(), "-5%": errNoShare.Error(), "5%%": errNoShare.Error(), "%": errNoShare.Error(), "1.5%": errNoShare.Error(), "abc": errNoShare.Error(),
	} {
		if err := setClientMemory(&Config{}, v); err == nil || err.Error() != want {
			t.Errorf("%s: %v", v, err)
		}
	}
}
