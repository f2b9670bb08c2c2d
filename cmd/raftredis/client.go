package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// reach says where a running node is and how to log in there. Its options are those of
// redis-cli. What is not said is taken from the node's own configuration, file and
// environment, so that on the node's machine little need be said.
type reach struct {
	config, host      string
	port              int
	user, pass        string
	tls, insecure     bool
	cacert, cert, key string
	sni               string
	timeout           time.Duration
	fs                *pflag.FlagSet
}

// declareReach adds the options to a subcommand's.
func declareReach(fs *pflag.FlagSet) *reach {
	r := &reach{fs: fs}
	fs.StringVarP(&r.config, "config", "c", "", "configuration `file` of the node: where it listens, its password, its certificates")
	fs.StringVarP(&r.host, "host", "h", "127.0.0.1", "`name` or address of the node")
	fs.IntVarP(&r.port, "port", "p", 6379, "port of the node")
	fs.StringVar(&r.user, "user", "", "`name` to log in with")
	fs.StringVarP(&r.pass, "pass", "a", "", "`password`; better in the environment, as REDISCLI_AUTH")
	fs.BoolVar(&r.tls, "tls", false, "speak TLS")
	fs.StringVar(&r.cacert, "cacert", "", "`file` with the certificates of who has signed the node's")
	fs.StringVar(&r.cert, "cert", "", "`file` with the certificate to show")
	fs.StringVar(&r.key, "key", "", "`file` with the key of --cert")
	fs.StringVar(&r.sni, "sni", "", "`name` that the node's certificate is for, if that is not --host")
	fs.BoolVar(&r.insecure, "insecure", false, "take any certificate")
	fs.DurationVar(&r.timeout, "timeout", 10*time.Second, "how long to wait for an answer")
	return r
}

// fill takes from the configuration what was not said.
func (r *reach) fill(environ []string) error {
	said := r.fs.Changed
	for _, kv := range environ {
		if pass, ok := strings.CutPrefix(kv, "REDISCLI_AUTH="); ok && !said("pass") {
			r.pass = pass
		}
	}
	var args []string
	if r.config != "" {
		args = []string{"--config", r.config}
	}
	o, err := parseOptions(args, environ)
	if err != nil {
		return err
	}
	r.take(o)
	return nil
}

// reachOf is how to reach a node that is configured like this one.
func reachOf(o *options) *reach {
	r := &reach{timeout: 3 * time.Second, fs: pflag.NewFlagSet("", pflag.ContinueOnError)}
	r.take(o)
	return r
}

func (r *reach) take(o *options) {
	said, front := r.fs.Changed, &o.front
	if r.pass == "" && r.user == "" && !said("pass") {
		r.pass = front.RequirePass
	}
	if !said("host") {
		r.host = o.near()
	} else if r.sni == "" {
		r.sni = r.host
	}
	if !said("port") {
		if front.Port == 0 && !said("tls") {
			r.tls = true
		}
		r.port = front.Port
		if r.tls {
			r.port = front.TLSPort
		}
	}
	if !said("cacert") {
		r.cacert = front.TLSCAFile
	}
	if !said("cert") && !said("key") {
		r.cert, r.key = front.TLSCertFile, front.TLSKeyFile
	}
}

// near is an address that this node listens at, seen from its own machine.
func (o *options) near() string {
	for _, b := range o.front.Bind {
		b = strings.TrimPrefix(b, "-")
		ip := net.ParseIP(b)
		switch {
		case b == "*" || ip != nil && ip.IsUnspecified():
			return "127.0.0.1"
		case ip != nil && ip.IsLoopback():
			return b
		}
	}
	return o.bound()
}

// tlsConfig checks the node's certificate as redis-cli does: that somebody in cacert (or
// known to the system) has signed it, and whom it is for where a host was named.
func (r *reach) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.sni, InsecureSkipVerify: true} //nolint:gosec // VerifyConnection below looks, as redis-cli does, unless --insecure
	if r.cert != "" {
		pair, err := tls.LoadX509KeyPair(r.cert, r.key)
		if err != nil {
			return nil, fmt.Errorf("--cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if r.insecure {
		return c, nil
	}
	var roots *x509.CertPool // nil: the system's
	if r.cacert != "" {
		pem, err := os.ReadFile(r.cacert)
		if err != nil {
			return nil, fmt.Errorf("--cacert: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cacert: there is no certificate in %s", r.cacert)
		}
	}
	c.VerifyConnection = func(state tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range state.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: r.sni})
		return err
	}
	return c, nil
}

// dial connects to the node that the options mean, and logs in.
func (c *invocation) dial(r *reach) (*client, error) {
	if err := r.fill(c.environ); err != nil {
		return nil, err
	}
	return c.dialAt(r, net.JoinHostPort(r.host, strconv.Itoa(r.port)))
}

// dialAt is dial for another node of the same cluster.
func (c *invocation) dialAt(r *reach, addr string) (*client, error) {
	ctx, cancel := context.WithTimeout(c.ctx, r.timeout)
	defer cancel()
	var d interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	} = &net.Dialer{}
	if r.tls {
		config, err := r.tlsConfig()
		if err != nil {
			return nil, err
		}
		d = &tls.Dialer{Config: config}
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	cl := &client{conn: conn, r: bufio.NewReader(conn), addr: addr, timeout: r.timeout}
	cl.unhook = context.AfterFunc(c.ctx, func() { _ = conn.Close() }) // what waits ends with an error
	if r.pass != "" {
		login := []string{"AUTH", r.pass}
		if r.user != "" {
			login = []string{"AUTH", r.user, r.pass}
		}
		if _, err := cl.do(login...); err != nil {
			cl.close()
			return nil, fmt.Errorf("log in at %s: %w", addr, err)
		}
	}
	return cl, nil
}

// client is a connection to a running node, such as any client has. It is for one
// goroutine.
type client struct {
	conn    net.Conn
	r       *bufio.Reader
	addr    string
	timeout time.Duration // of one command; 0: none
	unhook  func() bool
}

// replyError is an error reply, without the '-'.
type replyError string

func (e replyError) Error() string { return string(e) }

// maxReply bounds one bulk string of a reply: Redis's own limit.
const maxReply = 512 << 20

// do sends one command and returns its reply as RESP2 has it: string, int64, []any or nil.
// An error reply is a replyError; with any other error the connection is of no more use.
func (c *client) do(args ...string) (any, error) {
	deadline := time.Time{}
	if c.timeout > 0 {
		deadline = time.Now().Add(c.timeout)
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return nil, fmt.Errorf("%s: %w", c.addr, err)
	}
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := c.conn.Write(b); err != nil {
		return nil, fmt.Errorf("%s: %w", c.addr, err)
	}
	v, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.addr, err)
	}
	if e, is := v.(replyError); is {
		return nil, e
	}
	return v, nil
}

// read reads one reply. An error reply is a value here, as it may be one of many.
func (c *client) read() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, errors.New("not a Redis server: an empty line for a reply")
	}
	kind, rest := line[0], line[1:]
	if kind == '+' {
		return rest, nil
	}
	if kind == '-' {
		return replyError(rest), nil
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	switch {
	case err != nil || n > maxReply && kind != ':':
		return nil, fmt.Errorf("not a Redis server: reply %.80q", line)
	case kind == ':':
		return n, nil
	case kind == '$' && n < 0, kind == '*' && n < 0:
		return nil, nil
	case kind == '$':
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, err
		}
		return string(b[:n]), nil
	case kind == '*':
		var all []any
		for range n {
			v, err := c.read()
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		return all, nil
	}
	return nil, fmt.Errorf("not a Redis server: reply %.80q", line)
}

func (c *client) close() {
	c.unhook()
	_ = c.conn.Close() // every reply has been read
}

// info returns sections of INFO, by name.
func (c *client) info(sections ...string) (map[string]string, error) {
	v, err := c.do(append([]string{"INFO"}, sections...)...)
	if err != nil {
		return nil, err
	}
	text, _ := v.(string)
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			all[name] = value
		}
	}
	return all, nil
}

// members is what RAFT NODES says of each member, by name.
type members []map[string]string

func (all members) has(name, value string) bool {
	return slices.ContainsFunc(all, func(m map[string]string) bool { return m[name] == value })
}

func (c *client) members() (members, error) {
	v, err := c.do("RAFT", "NODES")
	if err != nil {
		return nil, err
	}
	var all members
	list, _ := v.([]any)
	for _, one := range list {
		pairs, _ := one.([]any)
		m := map[string]string{}
		for i := 0; i+1 < len(pairs); i += 2 {
			m[fmt.Sprint(pairs[i])] = fmt.Sprint(pairs[i+1])
		}
		all = append(all, m)
	}
	return all, nil
}
