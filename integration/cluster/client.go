package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Client is a minimal client, RESP2 unless HELLO has changed that: it shows replies as they are, errors
// included, and hides nothing behind retries.
type Client struct {
	conn    net.Conn
	r       *bufio.Reader
	out     []byte
	Timeout time.Duration // of one Do or Receive; 10 s if zero
	OnPush  func([]any)   // called for pushes that stand in front of a reply
}

// Error is an error reply, without the '-'.
type Error string

func (e Error) Error() string { return string(e) }

// Code returns the first word, such as CLUSTERDOWN.
func (e Error) Code() string { code, _, _ := strings.Cut(string(e), " "); return code }

// Nil is the null reply.
type Nil struct{}

// Dial connects to a client address.
func Dial(addr string) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, r: bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (c *Client) Close() { c.conn.Close() }

// Send writes one command, into the buffer that Flush sends.
func (c *Client) Send(args ...string) {
	c.out = append(c.out, '*')
	c.out = strconv.AppendInt(c.out, int64(len(args)), 10)
	for _, a := range args {
		c.out = append(c.out, "\r\n$"...)
		c.out = strconv.AppendInt(c.out, int64(len(a)), 10)
		c.out = append(c.out, "\r\n"...)
		c.out = append(c.out, a...)
	}
	c.out = append(c.out, "\r\n"...)
}

// Flush sends what Send wrote.
func (c *Client) Flush() error {
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout())); err != nil {
		return err
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *Client) timeout() time.Duration {
	if c.Timeout == 0 {
		return 10 * time.Second
	}
	return c.Timeout
}

// Do sends one command and returns its reply: string, int64, []any, Nil or
// Error. The error is the connection's, after which it is of no use.
func (c *Client) Do(args ...string) (any, error) {
	c.Send(args...)
	if err := c.Flush(); err != nil {
		return nil, err
	}
	return c.Receive()
}

// Receive reads one reply.
func (c *Client) Receive() (any, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.timeout())); err != nil {
		return nil, err
	}
	return c.reply()
}

func (c *Client) reply() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, errors.New("empty line for a reply")
	}
	switch line[0] {
	case '_':
		return Nil{}, nil
	case '>':
		n, err := strconv.Atoi(line[1:])
		if err != nil {
			return nil, err
		}
		push, err := c.list(n)
		if err != nil {
			return nil, err
		}
		if c.OnPush != nil {
			c.OnPush(push)
		}
		return c.reply()
	case '%':
		n, err := strconv.Atoi(line[1:])
		if err != nil {
			return nil, err
		}
		return c.list(2 * n)
	case '+':
		return line[1:], nil
	case '-':
		return Error(line[1:]), nil
	case ':':
		return strconv.ParseInt(line[1:], 10, 64)
	case '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return Nil{}, err
		}
		buf := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, buf); err != nil {
			return nil, err
		}
		return string(buf[:n]), nil
	case '*':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return Nil{}, err
		}
		return c.list(n)
	}
	return nil, fmt.Errorf("not a reply: %q", line)
}

func (c *Client) list(n int) (list []any, err error) {
	list = make([]any, n)
	for i := range list {
		if list[i], err = c.reply(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Ask opens a connection, runs one command and closes it. An error reply is
// returned as the error.
func Ask(addr string, args ...string) (any, error) {
	c, err := Dial(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	reply, err := c.Do(args...)
	if e, ok := reply.(Error); ok {
		return nil, e
	}
	return reply, err
}
