package raftnode

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/raftredis/raftredis/store"
)

// simClient is a connection, and what is sent over it: one thing at a time.
type simClient struct {
	w    *world
	name string
	node uint64
	act  func(*simClient) // sends the next thing
	nc   net.Conn         // nil: not connected

	mu  sync.Mutex
	in  []byte
	eof bool

	commands int // sent and not answered; 0: nothing is under way
	answered func(reply string)
	broken   func() // the connection was lost before the answer

	key   string // of a writer: its present key, and what that is
	keys  int
	value string
}

// send sends commands, which are answered with so many replies.
func (c *simClient) send(commands int, request string, answered func(reply string), broken func()) {
	c.commands, c.answered, c.broken = commands, answered, broken
	_, _ = c.nc.Write([]byte(request)) // what is wrong shows when it is read from
}

// look ends what is under way, if it is over.
func (c *simClient) look() {
	c.mu.Lock()
	in, eof := c.in, c.eof
	size := 0
	for range c.commands {
		n := replySize(in[size:])
		if n == 0 {
			size = 0
			break
		}
		size += n
	}
	if size > 0 {
		c.in = c.in[size:]
	}
	c.mu.Unlock()
	commands := c.commands
	switch {
	case size > 0:
		c.commands = 0
		fmt.Fprintf(&c.w.history, "%s: %q\n", c.name, in[:size])
		c.answered(string(in[:size]))
	case eof:
		c.nc, c.commands = nil, 0
		fmt.Fprintf(&c.w.history, "%s: broken\n", c.name)
		if commands > 0 && c.broken != nil {
			c.broken()
		}
	}
}

// connect connects to the client's node, if that is there.
func (c *simClient) connect() bool {
	n := c.w.nodes[c.node]
	if n.core == nil {
		return false
	}
	here, there := net.Pipe()
	c.nc, c.in, c.eof = here, nil, false
	c.key = "" // another key, whose value it has not read yet
	n.up.front.Serve(there)
	go func() {
		buf := make([]byte, 4096)
		for {
			k, err := here.Read(buf)
			c.mu.Lock()
			c.in = append(c.in, buf[:k]...)
			c.eof = err != nil
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return true
}

// replySize is how long the first reply is, 0 if it is not there yet.
func replySize(b []byte) int {
	line := bytes.Index(b, []byte("\r\n"))
	if line < 0 {
		return 0
	}
	n, _ := strconv.Atoi(string(b[1:line]))
	size := line + 2
	switch b[0] {
	case '$':
		if n >= 0 {
			size += n + 2
		}
	case '*':
		for range max(n, 0) {
			k := replySize(b[min(size, len(b)):])
			if k == 0 {
				return 0
			}
			size += k
		}
	}
	if size > len(b) {
		return 0
	}
	return size
}

func bulkReply(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// nothing says whether a reply means that nothing of what was sent is applied, or will
// be.
func nothing(reply string) bool {
	return strings.Contains(reply, "nothing was applied") || strings.Contains(reply, "-LOADING ") || strings.Contains(reply, "did not confirm the read")
}

func unknown(reply string) bool { return strings.Contains(reply, "-"+string(store.ErrUnknown)) }

func (w *world) saw(outcome string) { w.outcome[outcome]++ }

// write changes a key that no other client has, and knows each reply to the byte.
func (c *simClient) write() {
	w := c.w
	if c.key == "" {
		c.keys++
		c.key, c.value = fmt.Sprintf("%s.%d", c.name, c.keys), ""
	}
	var request, want strings.Builder
	value := c.value
	commands := 1 + w.rng.IntN(4)
	exec := w.rng.IntN(4) == 0
	reply := func(s string) {
		want.WriteString(s)
	}
	queued := &strings.Builder{}
	if exec {
		request.WriteString("MULTI\r\n")
		reply("+OK\r\n")
		reply = func(s string) {
			want.WriteString("+QUEUED\r\n")
			queued.WriteString(s)
		}
	}
	for range commands {
		x := fmt.Sprint(w.rng.IntN(1000))
		switch w.rng.IntN(6) {
		case 0:
			fmt.Fprintf(&request, "SET %s %s\r\n", c.key, x)
			value = x
			reply("+OK\r\n")
		case 1, 2:
			fmt.Fprintf(&request, "APPEND %s %s\r\n", c.key, x)
			value += x
			reply(fmt.Sprintf(":%d\r\n", len(value)))
		case 3:
			fmt.Fprintf(&request, "GET %s\r\n", c.key)
			if value == "" {
				reply("$-1\r\n")
			} else {
				reply(bulkReply(value))
			}
		case 4:
			fmt.Fprintf(&request, "DEL %s\r\n", c.key)
			reply(map[bool]string{true: ":0\r\n", false: ":1\r\n"}[value == ""])
			value = ""
		case 5:
			if value == "" {
				fmt.Fprintf(&request, "STRLEN %s\r\n", c.key)
				reply(":0\r\n")
			} else {
				fmt.Fprintf(&request, "LPUSH %s x\r\n", c.key)
				reply("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")
			}
		}
	}
	if exec {
		request.WriteString("EXEC\r\n")
		fmt.Fprintf(&want, "*%d\r\n%s", commands, queued)
		commands += 2
	}
	either := func() {
		w.saw("unknown")
		w.finals[c.key] = []string{c.value, value}
		c.key = ""
	}
	w.finals[c.key] = []string{c.value}
	c.send(commands, request.String(), func(reply string) {
		switch {
		case reply == want.String():
			w.saw("applied")
			c.value = value
			w.finals[c.key] = []string{value}
		case unknown(reply):
			either()
		case nothing(reply):
			w.saw("not applied")
		default:
			w.failf("%s at %d: %q is answered %q, want %q", c.name, c.node, request.String(), reply, want.String())
		}
	}, either)
}

// push pushes the next item, and counts.
func (c *simClient) push() {
	w := c.w
	item := fmt.Sprint(w.items)
	w.items++
	w.pushed[item], w.from[item] = false, c.node
	c.send(2, fmt.Sprintf("RPUSH %s %s\r\nINCR %s\r\n", simQueue, item, simTotal), func(reply string) {
		var length, total int64
		n, err := fmt.Sscanf(reply, ":%d\r\n:%d\r\n", &length, &total)
		switch {
		case n == 2 && err == nil && length > 0 && !w.totals[total]:
			w.saw("applied")
			w.pushed[item], w.totals[total], w.total = true, true, max(w.total, total)
		case unknown(reply):
			w.saw("unknown")
		case nothing(reply):
			w.saw("not applied")
			delete(w.pushed, item)
		default:
			w.failf("%s at %d: a push and a count are answered %q", c.name, c.node, reply)
		}
	}, func() { w.saw("unknown") })
}

// pop waits for an item.
func (c *simClient) pop() {
	w := c.w
	timeout := w.rng.IntN(3) // 0: for ever
	c.send(1, fmt.Sprintf("BLPOP %s %d\r\n", simQueue, timeout), func(reply string) {
		item, ok := strings.CutPrefix(reply, "*2\r\n"+bulkReply(simQueue))
		lines := strings.Split(item, "\r\n")
		switch {
		case ok && len(lines) > 1:
			item = lines[1]
			at, again := w.popped[item]
			switch _, was := w.pushed[item]; {
			case again:
				w.failf("%s at %d gets item %s, which was delivered at %d", c.name, c.node, item, at)
			case !was:
				w.failf("%s at %d gets item %s, which was reported as not applied", c.name, c.node, item)
			}
			w.popped[item] = c.node
			if w.from[item] != c.node {
				w.saw("crossed")
			}
		case reply == "*-1\r\n" && timeout > 0:
			w.saw("timed out")
		case unknown(reply):
			w.owed++
		case nothing(reply):
			w.saw("not applied")
		default:
			w.failf("%s at %d: BLPOP for %d s is answered %q", c.name, c.node, timeout, reply)
		}
	}, func() { w.owed++ })
}

// count reads the common counter, which has at least what anybody was told before.
func (c *simClient) count() {
	w := c.w
	floor := w.total
	c.send(2, "READWRITE\r\nGET "+simTotal+"\r\n", func(reply string) {
		var size, total int64
		n, _ := fmt.Sscanf(reply, "+OK\r\n$%d\r\n%d\r\n", &size, &total)
		switch {
		case nothing(reply):
			w.saw("not read")
		case n == 2 && total >= floor, reply == "+OK\r\n$-1\r\n" && floor == 0:
			w.saw("read")
		default:
			w.failf("%s at %d reads %q, and %d was acknowledged before", c.name, c.node, reply, floor)
		}
	}, nil)
}

// expire sets a key that expires, and reads it until it has. The clocks of the nodes
// may be hours apart and must not matter, whoever leads and whoever is asked. What may is
// how long a request was under way by which a node knows the leader's clock, and that
// is at most the time that it is given.
func (c *simClient) expire() {
	w := c.w
	c.keys++
	key := fmt.Sprintf("expiring.%s.%d", c.name, c.keys)
	sent := time.Now()
	w.finals[key] = []string{""}
	c.send(1, fmt.Sprintf("SET %s v PX %d\r\n", key, simExpiry.Milliseconds()), func(reply string) {
		if reply != "+OK\r\n" {
			if !unknown(reply) && !nothing(reply) {
				w.failf("%s at %d: SET PX is answered %q", c.name, c.node, reply)
			}
			return
		}
		w.saw("applied")
		var read func()
		read = func() {
			c.send(1, "GET "+key+"\r\n", func(reply string) {
				age := time.Since(sent)
				switch {
				case reply == "$1\r\nv\r\n" && age < simExpiry+simSlack:
					c.act = func(c *simClient) { read() }
				case reply == "$-1\r\n" && age > simExpiry-simSlack:
					w.saw("expired")
					c.act = (*simClient).expire
				case nothing(reply):
					c.act = (*simClient).expire
				default:
					w.failf("%s at %d: a key that lives for %v is %q after %v", c.name, c.node, simExpiry, reply, age)
				}
			}, func() { c.act = (*simClient).expire })
		}
		c.act = func(c *simClient) { read() }
	}, nil)
}
