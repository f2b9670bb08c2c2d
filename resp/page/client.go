package page

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// patience bounds how long the node may take for one exchange.
const patience = 10 * time.Second

// client is a connection to the node that the page is of.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	// keep is how many bytes of each string are kept; the rest is read and dropped.
	keep int
}

// A reply is a text, an int64, a failure, a []reply, or nil.
type reply any

// text is a string of the protocol, or as much of it as the client keeps.
type text struct {
	bytes []byte
	size  int // of all of it
}

func (t text) String() string { return string(t.bytes) }

// failure is an error reply.
type failure string

func (f failure) Error() string { return string(f) }

// pipe is the node's end of a connection, or ours, with the addresses that the browser's
// has: protected mode, CLIENT LIST and ACL LOG are about the browser.
type pipe struct {
	net.Conn
	local, remote net.Addr
}

func (p pipe) LocalAddr() net.Addr  { return p.local }
func (p pipe) RemoteAddr() net.Addr { return p.remote }

// connect makes a connection, and gives its other end to serve.
func connect(serve func(net.Conn), local, remote net.Addr) *client {
	ours, theirs := net.Pipe()
	// What serve says to a client that it sends away is read later, by us.
	go serve(pipe{theirs, local, remote})
	return &client{conn: ours, in: bufio.NewReaderSize(ours, 16<<10), keep: 64 << 10}
}

func (c *client) close() { _ = c.conn.Close() }

// do sends commands in one go and returns their replies. A reply may be a failure; the
// error is about the connection. A failure that comes before the end of the replies and
// ends the connection is that error.
func (c *client) do(commands ...[]string) ([]reply, error) {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var out []byte
	for _, argv := range commands {
		out = fmt.Appendf(out, "*%d\r\n", len(argv))
		for _, a := range argv {
			out = fmt.Appendf(out, "$%d\r\n", len(a))
			out = append(append(out, a...), "\r\n"...)
		}
	}
	sent := make(chan error, 1) // nobody may ask
	go func() {                 // a pipe has no buffer: replies come before all of it is taken
		_, err := c.conn.Write(out)
		sent <- err
	}()
	replies := make([]reply, 0, len(commands))
	for range commands {
		r, err := c.read(0)
		if err != nil {
			c.close()
			if len(replies) > 0 {
				if last, ok := replies[len(replies)-1].(failure); ok {
					return nil, last
				}
			}
			return nil, fmt.Errorf("ask the node: %w", err)
		}
		replies = append(replies, r)
	}
	if err := <-sent; err != nil {
		if last, ok := replies[len(replies)-1].(failure); ok {
			return nil, last
		}
		return nil, fmt.Errorf("ask the node: %w", err)
	}
	return replies, nil
}

// Bounds of what the node may answer: it is ourselves, but what it answers is data.
const (
	deepest  = 8
	longest  = 1 << 20 // elements
	lineSize = 64 << 10
)

var errProtocol = errors.New("the node's reply makes no sense")

// read reads one reply of RESP2.
func (c *client) read(depth int) (reply, error) {
	line, err := c.line()
	if err != nil {
		return nil, err
	}
	if len(line) == 0 || depth > deepest {
		return nil, errProtocol
	}
	rest := line[1:]
	switch line[0] {
	case '+':
		return text{[]byte(rest), len(rest)}, nil
	case '-':
		return failure(rest), nil
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return nil, errProtocol
	}
	switch line[0] {
	case ':':
		return n, nil
	case '$':
		if n < 0 {
			return nil, nil
		}
		return c.bulk(n)
	case '*':
		if n < 0 {
			return nil, nil
		}
		if n > longest {
			return nil, errProtocol
		}
		all := []reply{}
		for range n {
			r, err := c.read(depth + 1)
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
		return all, nil
	}
	return nil, errProtocol
}

// line reads up to CRLF, which is not part of it.
func (c *client) line() (string, error) {
	var line []byte
	for {
		part, err := c.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		line = append(line, part...)
		if err == nil {
			break
		}
		if len(line) > lineSize {
			return "", errProtocol
		}
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return "", errProtocol
	}
	return string(line[:len(line)-2]), nil
}

func (c *client) bulk(n int64) (reply, error) {
	kept := make([]byte, min(n, int64(c.keep)))
	if _, err := io.ReadFull(c.in, kept); err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, c.in, n-int64(len(kept))+2); err != nil {
		return nil, err
	}
	return text{kept, int(n)}, nil
}
