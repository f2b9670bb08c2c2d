package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// conn is a client that shows every byte of the protocol.
type conn struct {
	net.Conn
	r *bufio.Reader
	// Timeout bounds each reply.
	Timeout time.Duration
}

// dial connects to a server.
func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 1<<16), Timeout: patience}, nil
}

// encode encodes a command as clients do.
func encode(args ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

// Send writes a command without waiting for its reply.
func (c *conn) Send(args ...string) error {
	_, err := c.Write(encode(args...))
	return err
}

// Do sends a command and returns its reply. An error reply is a value, not an
// error.
func (c *conn) Do(args ...string) (value, error) {
	if err := c.Send(args...); err != nil {
		return value{}, err
	}
	return c.Receive()
}

// Receive reads one reply.
func (c *conn) Receive() (value, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.Timeout)); err != nil {
		return value{}, err
	}
	return readReply(c.r)
}

// value is one reply: its type byte, and what follows from it.
type value struct {
	Type  byte    // + - : $ * _ # , ( = % ~ > ! |
	Str   string  // of scalars; the number's text, the status, the error
	Null  bool    // _, $-1, *-1
	Elems []value // of aggregates; keys and values alternate in maps
	Raw   []byte  // the bytes of all of it
}

// IsError reports whether the reply is an error.
func (v value) IsError() bool { return v.Type == '-' || v.Type == '!' }

// Int returns an integer reply, or one in a string.
func (v value) Int() (int64, error) {
	if v.IsError() {
		return 0, errors.New(v.Str)
	}
	return strconv.ParseInt(v.Str, 10, 64)
}

// String returns the reply as a person would write it.
func (v value) String() string {
	switch {
	case v.Null:
		return "(nil)"
	case v.IsError():
		return "(error) " + v.Str
	case v.Elems != nil || strings.IndexByte("*%~>", v.Type) >= 0:
		var b strings.Builder
		b.WriteByte('[')
		for i, e := range v.Elems {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(e.String())
		}
		b.WriteByte(']')
		return b.String()
	}
	return v.Str
}

// Strings returns the elements of an aggregate as strings.
func (v value) Strings() []string {
	all := make([]string, len(v.Elems))
	for i, e := range v.Elems {
		all[i] = e.Str
	}
	return all
}

var errProtocol = errors.New("not RESP")

func readReply(r *bufio.Reader) (value, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return value{}, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return value{}, fmt.Errorf("%w: %q", errProtocol, line)
	}
	v := value{Type: line[0], Str: string(line[1 : len(line)-2]), Raw: line}
	var children int
	switch v.Type {
	case '+', '-', ':', '#', ',', '(':
		return v, nil
	case '_':
		v.Null = true
		return v, nil
	case '$', '=', '!':
		n, err := strconv.Atoi(v.Str)
		if err != nil || n < -1 {
			return v, fmt.Errorf("%w: %q", errProtocol, line)
		}
		if n == -1 {
			v.Null, v.Str = true, ""
			return v, nil
		}
		body := make([]byte, n+2)
		if _, err := io.ReadFull(r, body); err != nil {
			return v, err
		}
		if !bytes.HasSuffix(body, []byte("\r\n")) {
			return v, fmt.Errorf("%w: no line ends the bulk %q", errProtocol, line)
		}
		v.Str, v.Raw = string(body[:n]), append(v.Raw, body...)
		return v, nil
	case '*', '~', '>', '%', '|':
		n, err := strconv.Atoi(v.Str)
		if err != nil || n < -1 {
			return v, fmt.Errorf("%w: %q", errProtocol, line)
		}
		v.Str, v.Null = "", n == -1
		if children = n; v.Type == '%' || v.Type == '|' {
			children = 2 * n
		}
	default:
		return v, fmt.Errorf("%w: %q", errProtocol, line)
	}
	for range children {
		e, err := readReply(r)
		if err != nil {
			return v, err
		}
		v.Elems = append(v.Elems, e)
		v.Raw = append(v.Raw, e.Raw...)
	}
	return v, nil
}
