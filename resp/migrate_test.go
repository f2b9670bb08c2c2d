package resp

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestMigrate sends keys from one server to another, and what is deleted is what was
// sent.
func TestMigrate(t *testing.T) {
	from, _ := newServer(t, nil)
	to, _ := newServer(t, func(o *Options) { o.Config.RequirePass = "secret" })
	c, d := dial(t, from), dial(t, to)
	d.ask("AUTH secret\r\nSELECT 3\r\n", "+OK\r\n+OK\r\n")
	host, port, _ := net.SplitHostPort(to.Addrs()[0].String())
	migrate := func(rest string) string { return "MIGRATE " + host + " " + port + " " + rest + "\r\n" }

	c.ask("MSET a 1 b 2 c 3\r\nRPUSH l x y\r\nSET e 1 PX 100000\r\n", "+OK\r\n:2\r\n+OK\r\n")
	c.ask(migrate("nothere 3 1000 AUTH secret"), "+NOKEY\r\n")
	c.ask(migrate("a 3 1000"), "-ERR Target instance replied with error: NOAUTH Authentication required.\r\n")
	c.ask(migrate("a 99 1000 AUTH secret"), "-ERR Target instance replied with error: ERR DB index is out of range\r\n")
	c.ask("EXISTS a\r\n", ":1\r\n")
	c.ask(migrate("a 3 1000 AUTH secret"), "+OK\r\n")
	c.ask("EXISTS a\r\n", ":0\r\n")
	d.ask("GET a\r\nPTTL a\r\n", "$1\r\n1\r\n:-1\r\n")
	c.ask(migrate("b 3 1000 COPY AUTH2 default secret"), "+OK\r\n")
	c.ask("GET b\r\n", "$1\r\n2\r\n")
	c.ask("SET b 22\r\n", "+OK\r\n")
	c.ask(migrate("b 3 1000 AUTH secret"), "-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n")
	c.ask(migrate("\"\" 3 1000 REPLACE AUTH secret KEYS b nothere c l e b"), "+OK\r\n")
	c.ask("DBSIZE\r\n", ":0\r\n")
	d.ask("MGET b c\r\nLRANGE l 0 -1\r\n", "*2\r\n$2\r\n22\r\n$1\r\n3\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n")
	d.send("PTTL e\r\n")
	if left := d.line(); len(left) != 6 { // :99...
		t.Errorf("a key with 100 s to live has %s ms left", left)
	}
	for _, bad := range []struct{ rest, want string }{
		{"k 0 x", "ERR value is not an integer or out of range"},
		{"k x 1", "ERR value is not an integer or out of range"},
		{"k 0 10 AUTH", "ERR syntax error"},
		{"k 0 10 AUTH2 u", "ERR syntax error"},
		{"k 0 10 NONSENSE", "ERR syntax error"},
		{"k 0 10 KEYS a", "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"},
	} {
		c.ask(migrate(bad.rest), "-"+bad.want+"\r\n")
	}
	c.ask("SET k 1\r\n", "+OK\r\n")
	c.ask(fmt.Sprintf("MIGRATE 127.0.0.1 %d k 0 1000\r\n", freePort(t)), "-IOERR error or timeout writing to target instance\r\n")
	c.ask("GET k\r\n", "$1\r\n1\r\n")
}

// A key that is written to while it is sent stays, whatever the target says.
func TestMigrateLosesNoWrite(t *testing.T) {
	s, _ := newServer(t, nil)
	c, other := dial(t, s), dial(t, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c.ask("MSET k old j old\r\n", "+OK\r\n")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c.send("MIGRATE 127.0.0.1 " + port + " \"\" 0 5000 KEYS k j\r\n")
	target, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	in := bufio.NewReader(target)
	for seen := 0; seen < 2; { // both values are on their way
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "RESTORE") {
			seen++
		}
	}
	other.ask("SET k new\r\n", "+OK\r\n")
	if _, err := target.Write([]byte("+OK\r\n+OK\r\n+OK\r\n")); err != nil {
		t.Fatal(err)
	}
	c.expect("-TRYAGAIN 1 of the keys changed or expired while they were sent: here they are what they are now, and the target instance has what they were before\r\n")
	c.ask("MGET k j\r\n", "*2\r\n$3\r\nnew\r\n$-1\r\n")
	// A target that says nothing more: what it has not acknowledged stays.
	go func() {
		target, err := l.Accept()
		if err != nil {
			return
		}
		in := bufio.NewReader(target)
		for line := ""; err == nil && !strings.HasPrefix(line, "RESTORE"); {
			line, err = in.ReadString('\n')
		}
		_, _ = target.Write([]byte("+OK\r\n"))
		_ = target.Close()
	}()
	c.ask("MIGRATE 127.0.0.1 "+port+" k 0 5000\r\n", "-IOERR error or timeout reading to target instance\r\n")
	c.ask("GET k\r\n", "$3\r\nnew\r\n")
}
