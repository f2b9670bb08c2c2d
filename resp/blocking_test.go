package resp

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

func waitBlocked(t *testing.T, s *Server, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d clients are blocked", n), func() bool { return s.store.Blocked() == n })
}

func TestBlockedClientsAreServedInOrder(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		var waiting []*client
		for i := range 10 {
			c := dial(t, s)
			c.send("BZPOPMIN q 0\r\n")
			waiting = append(waiting, c)
			waitBlocked(t, s, i+1)
		}
		c := dial(t, s)
		c.ask("ZADD q 1 a\r\n", ":1\r\n")
		waiting[0].expect("*3\r\n$1\r\nq\r\n$1\r\na\r\n$1\r\n1\r\n")
		var add strings.Builder
		add.WriteString("ZADD q")
		for i := 1; i < 10; i++ {
			fmt.Fprintf(&add, " %d e%d", i, i)
		}
		c.ask(add.String()+"\r\n", ":9\r\n")
		for i := 1; i < 10; i++ {
			waiting[i].expect(fmt.Sprintf("*3\r\n$1\r\nq\r\n$2\r\ne%d\r\n$1\r\n%d\r\n", i, i))
		}
		c.ask("EXISTS q\r\n", ":0\r\n")
		waitBlocked(t, s, 0)
	})
}

func TestBlockedClientTimesOut(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.ask("BZPOPMIN q 0.01\r\nPING\r\n", "*-1\r\n+PONG\r\n")
		c.ask("HELLO 3\r\n", fmt.Sprintf("%%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:%d\r\n"+
			"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n", s.nextID.Load()))
		c.ask("BZPOPMIN q 0.01\r\n", "_\r\n")
		c.ask("BZPOPMIN q -1\r\nBZPOPMIN q x\r\n", "-ERR timeout is negative\r\n-ERR timeout is not a float or out of range\r\n")
		c.ask("MULTI\r\nBZPOPMIN q 0\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n_\r\n")
	})
}

func TestClientThatLeavesTakesNothing(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		first, second, c := dial(t, s), dial(t, s), dial(t, s)
		first.send("BZPOPMIN q 0\r\n")
		waitBlocked(t, s, 1)
		second.send("BZPOPMIN q 0\r\n")
		waitBlocked(t, s, 2)
		_ = first.Close()
		waitBlocked(t, s, 1)
		c.ask("ZADD q 1 a\r\n", ":1\r\n")
		second.expect("*3\r\n$1\r\nq\r\n$1\r\na\r\n$1\r\n1\r\n")

		// One that leaves while something is being taken for it.
		third := dial(t, s)
		third.send("BZPOPMIN q 0\r\n")
		waitBlocked(t, s, 1)
		l.Allow(1)
		c.ask("ZADD q 2 b 3 c\r\n", ":2\r\n")
		eventually(t, "a claim is on its way", func() bool { return l.store.Stats().Pending > 0 })
		_ = third.Close()
		eventually(t, "the client is gone", func() bool { return s.clientCount() == 2 })
		l.hold(false)
		eventually(t, "both elements are there", func() bool {
			c.send("ZCARD q\r\n")
			return c.line() == ":2"
		})
	})
}

func TestUnblock(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		blocked, c := dial(t, s), dial(t, s)
		id := blocked.id()
		blocked.send("BZPOPMIN q 0\r\n")
		waitBlocked(t, s, 1)
		c.ask(fmt.Sprintf("CLIENT UNBLOCK %d ERROR\r\n", id), ":1\r\n")
		blocked.expect("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")
		blocked.send("BZPOPMIN q 0\r\n")
		waitBlocked(t, s, 1)
		c.ask(fmt.Sprintf("CLIENT UNBLOCK %d\r\nCLIENT UNBLOCK %d\r\nCLIENT UNBLOCK x\r\n", id, id), ":1\r\n:0\r\n-ERR value is not an integer or out of range\r\n")
		blocked.expect("*-1\r\n")
	})
}

func TestBlockedStreamReader(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		a, b, c := dial(t, s), dial(t, s), dial(t, s)
		c.ask("XADD s 1-1 f old\r\n", "$3\r\n1-1\r\n")
		a.send("XREAD BLOCK 0 STREAMS s $\r\n")
		b.send("XREAD BLOCK 0 STREAMS s $\r\n")
		waitBlocked(t, s, 2)
		c.ask("XADD s 1-2 f new\r\n", "$3\r\n1-2\r\n")
		want := "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\nf\r\n$3\r\nnew\r\n"
		a.expect(want)
		b.expect(want)
		a.ask("XREAD BLOCK 5 STREAMS s $\r\n", "*-1\r\n")
	})
}

// Many take with short timeouts while one gives: every element arrives once.
func TestNothingIsLostOrDoubled(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		const takers, elements = 12, 600
		got := make(chan string, elements)
		stop := make(chan struct{})
		var group sync.WaitGroup
		for i := range takers {
			c := dial(t, s)
			group.Add(1)
			go func() {
				defer group.Done()
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					fmt.Fprintf(c, "BLPOP l%d l%d 0.00%d\r\n", n%3, (n+i)%3, 1+(n+i)%7)
					line, err := readLine(c)
					if err != nil {
						t.Error(err)
						return
					}
					if line == "*-1" {
						continue
					}
					for range 3 { // the length, the key, the other length
						if _, err = readLine(c); err != nil {
							t.Error(err)
							return
						}
					}
					element, err := readLine(c)
					if err != nil {
						t.Error(err)
						return
					}
					got <- element
				}
			}()
		}
		c := dial(t, s)
		for i := 0; i < elements; i += 3 {
			c.send(fmt.Sprintf("RPUSH l%d e%d e%d\r\nRPUSH l%d e%d\r\n", i%2, i, i+1, 2, i+2))
			c.line()
			c.line()
		}
		seen := make(map[string]bool)
		for len(seen) < elements {
			select {
			case e := <-got:
				if seen[e] {
					t.Fatalf("%s came twice", e)
				}
				seen[e] = true
			case <-time.After(10 * time.Second):
				t.Fatalf("%d elements are missing", elements-len(seen))
			}
		}
		close(stop)
		group.Wait()
		if len(got) > 0 {
			t.Fatalf("%s came twice", <-got)
		}
		waitBlocked(t, s, 0)
	})
}

func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\r\n")); line = append(line, b[0]) {
		if _, err := r.Read(b); err != nil {
			return "", fmt.Errorf("%w after %q", err, line)
		}
	}
	return string(line[:len(line)-2]), nil
}
