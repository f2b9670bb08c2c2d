package command

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

var oracle = flag.String("oracle", "", "address of a redis-server 7.0 to compare the replies in testdata with")

// TestCommands runs the scripts in testdata/<family>. A script holds
//
//	run [db=N] [resp3] [ours]
//	SET key value
//	GET key
//	----
//	OK
//	"value"
//
// and `advance 10s`, which lets time pass. Every script starts with an empty
// keyspace at 2023-11-14 22:13:20 UTC. -rewrite writes down what is answered.
// -oracle host:port also sends the commands to a real server (flushing it!),
// but for blocks marked "ours" and what follows an advance.
func TestCommands(t *testing.T) {
	families, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if filepath.Base(family) == "fuzz" {
			continue
		}
		t.Run(filepath.Base(family), func(t *testing.T) {
			datadriven.Walk(t, family, func(t *testing.T, path string) {
				s := newSpace(t)
				real := dialOracle(t)
				datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
					s.t = t
					switch d.Cmd {
					case "advance":
						step, err := time.ParseDuration(d.CmdArgs[0].Key)
						if err != nil {
							d.Fatalf(t, "%v", err)
						}
						s.advance(step)
						real = nil // it has a clock of its own
						return ""
					case "run":
						return runBlock(t, s, d, real)
					default:
						d.Fatalf(t, "unknown directive %q", d.Cmd)
						return ""
					}
				})
			})
		})
	}
}

func runBlock(t *testing.T, s *space, d *datadriven.TestData, real *oracleConn) string {
	var db int
	d.MaybeScanArgs(t, "db", &db)
	s.resp3 = d.HasArg("resp3")
	ours := d.HasArg("ours")
	if real != nil && !ours {
		real.hello(s.resp3, db)
	}
	var out strings.Builder
	for line := range strings.Lines(d.Input) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		argv, err := splitArgs(line)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		got := s.call(db, argv...)
		out.WriteString(got.String())
		if real != nil {
			want := real.do(argv...)
			if strings.EqualFold(string(argv[0]), "keys") { // Redis's order is another one in every process
				got.sort()
				want.sort()
			}
			if got, want := got.String(), want.String(); want != got && !ours {
				t.Errorf("%s: %s\n%s\nredis-server says\n%s", d.Pos, line, got, want)
			}
		}
	}
	s.checkTwin()
	s.restoreTwin()
	return out.String()
}

// oracleConn is a connection to a real redis-server.
type oracleConn struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dialOracle(t *testing.T) *oracleConn {
	if *oracle == "" {
		return nil
	}
	c, err := net.Dial("tcp", *oracle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	o := &oracleConn{t: t, c: c, r: bufio.NewReader(c)}
	o.do([]byte("FLUSHALL"))
	return o
}

func (o *oracleConn) hello(resp3 bool, db int) {
	o.do(args("HELLO", map[bool]int{false: 2, true: 3}[resp3])...)
	o.do(args("SELECT", db)...)
}

func (o *oracleConn) do(argv ...[]byte) *node {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(argv))
	for _, a := range argv {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(o.c, b.String()); err != nil {
		o.t.Fatal(err)
	}
	return o.read()
}

func (o *oracleConn) read() *node {
	line, err := o.r.ReadString('\n')
	if err != nil {
		o.t.Fatal(err)
	}
	line = strings.TrimSuffix(line, "\r\n")
	n := &node{kind: line[0], text: line[1:]}
	switch n.kind {
	case '#':
		n.text = map[string]string{"t": "true", "f": "false"}[n.text]
	case '$', '=', '*', '~', '>', '%':
		size, err := strconv.Atoi(n.text)
		if err != nil {
			o.t.Fatal(err)
		}
		if size < 0 {
			return &node{kind: '_'}
		}
		n.text = ""
		if n.kind == '$' || n.kind == '=' {
			b := make([]byte, size+2)
			if _, err := io.ReadFull(o.r, b); err != nil {
				o.t.Fatal(err)
			}
			n.text = string(b[:size])
			if n.kind == '=' {
				n.text = n.text[4:]
			}
			return n
		}
		if n.kind == '%' {
			size *= 2
		}
		for range size {
			n.elems = append(n.elems, o.read())
		}
	}
	return n
}
