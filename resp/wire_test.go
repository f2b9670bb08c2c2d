package resp

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The oracles rewrite expectations from a real Redis 7.0.15.
var (
	oracle        = flag.String("oracle", "", "address of a redis-server 7.0.15 to rewrite testdata/redis from")
	clusterOracle = flag.String("cluster-oracle", "", "address of one that is all of a Redis Cluster, to rewrite testdata/cluster from")
)

// TestWire plays scripts of what goes over the wire. In a script
//
//	> bytes    are sent
//	< bytes    is what has to come back, all of it
//	< EOF      the server has closed the connection
//	new        opens a new connection
//	on name    goes on with the connection of that name, a new one the first time;
//	           {name} in bytes is its id
//	hear       what follows comes without anything being sent
//
// with Go's escapes in bytes. A # begins a comment. What scripts in
// testdata/redis expect is what a redis-server 7.0.15 answered, and in testdata/cluster
// one that is a cluster of its own, as we are with cluster-enabled and without
// cluster-allow-cross-slot.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			kind := filepath.Base(filepath.Dir(file))
			if from := map[string]string{"redis": *oracle, "cluster": *clusterOracle}[kind]; from != "" {
				rewriteWire(t, file, string(script), from)
				return
			}
			drivers(t, func(t *testing.T, s *Server, l *single) {
				if strings.Contains(file, "password") {
					if err := s.setUser("default", passwordRules("secret")); err != nil {
						t.Fatal(err)
					}
				}
				playWire(t, s, file, string(script))
			}, func(o *Options) {
				if kind == "cluster" {
					o.Config.ClusterEnabled, o.Config.CrossSlot = true, false
				}
			})
		})
	}
}

func playWire(t *testing.T, s *Server, file, script string) {
	c, named := dial(t, s), make(cast)
	for i, line := range strings.Split(script, "\n") {
		at := fmt.Sprintf("%s:%d", filepath.Base(file), i+1)
		switch {
		case line == "new":
			c = dial(t, s)
		case strings.HasPrefix(line, "on "):
			c = named.on(t, line[3:], func() net.Conn { return dial(t, s).Conn })
		case line == "< EOF":
			if rest := c.expectEOF(); len(rest) > 0 {
				t.Fatalf("%s: %q before the end", at, rest)
			}
		case strings.HasPrefix(line, "> "):
			c.send(named.expand(unquote(t, line[2:])))
		case strings.HasPrefix(line, "< "):
			want := named.expand(unquote(t, line[2:]))
			_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
			got := make([]byte, len(want))
			n := 0
			for n < len(want) && bytes.HasPrefix([]byte(want), got[:n]) {
				m, err := c.Read(got[n:])
				n += m
				if err != nil {
					break
				}
			}
			if string(got[:n]) != want {
				t.Fatalf("%s: got  %q\nwant %q", at, got[:n], want)
			}
		}
	}
}

// cast is a script's connections by their names.
type cast map[string]*actor

type actor struct {
	client
	id string
}

// on returns the connection of that name.
func (named cast) on(t *testing.T, name string, connect func() net.Conn) *client {
	a := named[name]
	if a == nil {
		a = &actor{client: client{t: t, Conn: connect()}}
		a.id = strconv.FormatInt(a.client.id(), 10)
		named[name] = a
	}
	return &a.client
}

// expand puts ids in the place of names.
func (named cast) expand(s string) string {
	for name, a := range named {
		s = strings.ReplaceAll(s, "{"+name+"}", a.id)
	}
	return s
}

// fold puts names in the place of ids.
func (named cast) fold(s string) string {
	for name, a := range named {
		s = strings.ReplaceAll(s, ":"+a.id+"\r\n", ":{"+name+"}\r\n")
	}
	return s
}

// rewriteWire replaces what is expected by what a real server answers.
func rewriteWire(t *testing.T, file, script, from string) {
	var out strings.Builder
	dialReal := func() net.Conn {
		nc, err := net.Dial("tcp", from)
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	nc, named := dialReal(), make(cast)
	if _, err := nc.Write([]byte("FLUSHALL\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		if strings.HasPrefix(line, "< ") {
			continue
		}
		out.WriteString(line + "\n")
		switch {
		case line == "new":
			nc = dialReal()
		case strings.HasPrefix(line, "on "):
			nc = named.on(t, line[3:], dialReal).Conn
		case line == "hear" || strings.HasPrefix(line, "> "):
			if line != "hear" {
				_ = nc.SetWriteDeadline(time.Time{}) // that of asking for the id
				if _, err := nc.Write([]byte(named.expand(unquote(t, line[2:])))); err != nil {
					t.Fatal(err)
				}
			}
			var got []byte
			b := make([]byte, 1<<16)
			for {
				_ = nc.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				n, err := nc.Read(b)
				got = append(got, b[:n]...)
				if err != nil {
					if len(got) > 0 {
						q := strconv.Quote(named.fold(string(got)))
						out.WriteString("< " + strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`) + "\n")
					}
					if !os.IsTimeout(err) {
						out.WriteString("< EOF\n")
					}
					break
				}
			}
		}
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	u, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return u
}
