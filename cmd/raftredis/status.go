package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"github.com/tidwall/redcon"

	"github.com/raftredis/raftredis/resp"
)

// statusCommand is "raftredis status": RAFT STATUS of a running node, with what the other
// members say of themselves.
type statusCommand struct {
	addr, user, password string
	useTLS               bool
	caFile, cert, key    string
	serverName           string
	insecure             bool
	watch, json          bool
	every                time.Duration
	timeout              time.Duration

	tls *tls.Config // nil: plain
}

func (s *statusCommand) flags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("raftredis status", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	fs.StringVarP(&s.addr, "addr", "a", "127.0.0.1:6379", "a node, any of the cluster: host, port or host:port")
	fs.StringVar(&s.user, "user", "", "ACL user; the default user otherwise")
	fs.StringVar(&s.password, "pass", "", "password; better in the environment variable REDISCLI_AUTH")
	fs.BoolVar(&s.useTLS, "tls", false, "speak TLS")
	fs.StringVar(&s.caFile, "cacert", "", "CA that has signed the nodes' certificates; the system's otherwise")
	fs.StringVar(&s.cert, "cert", "", "own certificate, where the nodes ask for one")
	fs.StringVar(&s.key, "key", "", "its key")
	fs.StringVar(&s.serverName, "sni", "", "name that the nodes' certificates must have, if it is not their host")
	fs.BoolVar(&s.insecure, "insecure", false, "do not check the nodes' certificates")
	fs.BoolVarP(&s.watch, "watch", "w", false, "show it again and again, until interrupted")
	fs.DurationVar(&s.every, "interval", time.Second, "how often, with --watch")
	fs.DurationVar(&s.timeout, "timeout", 3*time.Second, "how long to wait for a node")
	fs.BoolVar(&s.json, "json", false, "print JSON: the node's own status, and under \"others\" that of other members by id")
	return fs
}

// runStatus is main for "raftredis status".
func runStatus(args, environ []string, stopC <-chan os.Signal, out, complain io.Writer) int {
	s := &statusCommand{}
	fs := s.flags()
	switch err := fs.Parse(args); {
	case err == pflag.ErrHelp:
		fmt.Fprintf(out, "usage: raftredis status [options]\n\nShows the cluster as a node sees it, with what the other members say of themselves.\n"+
			"The exit status is 0 if there is no warning, 1 if there is one, and 2 if the node cannot be asked.\n\n%s", fs.FlagUsages())
		return 0
	case err != nil:
		fmt.Fprintln(complain, "raftredis status:", err)
		return 2
	case fs.NArg() > 0:
		fmt.Fprintf(complain, "raftredis status: argument %q is no option: did you mean --addr %s?\n", fs.Arg(0), fs.Arg(0))
		return 2
	}
	if s.password == "" {
		s.password = lookupEnv(environ, "REDISCLI_AUTH")
	}
	if err := s.prepare(); err != nil {
		fmt.Fprintln(complain, "raftredis status:", err)
		return 2
	}
	for {
		status := s.show(out, complain)
		if !s.watch {
			return status
		}
		select {
		case <-stopC:
			return 0
		case <-time.After(s.every):
		}
	}
}

func lookupEnv(environ []string, name string) string {
	for _, kv := range environ {
		if len(kv) > len(name) && kv[:len(name)+1] == name+"=" {
			return kv[len(name)+1:]
		}
	}
	return ""
}

// prepare completes what was given.
func (s *statusCommand) prepare() error {
	if _, err := strconv.ParseUint(s.addr, 10, 16); err == nil {
		s.addr = net.JoinHostPort("127.0.0.1", s.addr)
	} else if _, _, err := net.SplitHostPort(s.addr); err != nil {
		s.addr = net.JoinHostPort(s.addr, "6379")
	}
	if !s.useTLS && s.caFile == "" && s.cert == "" && !s.insecure {
		return nil
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.serverName, InsecureSkipVerify: s.insecure}
	if s.caFile != "" {
		pem, err := os.ReadFile(s.caFile)
		if err != nil {
			return fmt.Errorf("--cacert: %w", err)
		}
		s.tls.RootCAs = x509.NewCertPool()
		if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("--cacert: there is no certificate in %s", s.caFile)
		}
	}
	if s.cert != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return fmt.Errorf("--cert, --key: %w", err)
		}
		s.tls.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// show prints the status once and returns the exit status.
func (s *statusCommand) show(out, complain io.Writer) int {
	own, err := s.ask(s.addr)
	const clear = "\x1b[H\x1b[2J"
	if s.watch && !s.json {
		fmt.Fprint(out, clear)
	}
	if err != nil {
		fmt.Fprintf(complain, "raftredis status: %s: %v\n", s.addr, err)
		return 2
	}
	others := s.others(own)
	// The leader knows most of the others: what it says of them counts.
	if leader := others[own.Leader]; leader != nil {
		own.Members, own.Warnings = leader.Members, append(about(own.Warnings, leader.Warnings), leader.Warnings...)
	}
	if s.json {
		text, err := json.Marshal(struct {
			*resp.Status
			Others map[uint64]*resp.Status `json:"others"`
		}{own, others})
		if err != nil {
			fmt.Fprintln(complain, "raftredis status:", err)
			return 2
		}
		fmt.Fprintln(out, string(text))
	} else {
		for _, line := range own.Table(others) {
			fmt.Fprintln(out, line)
		}
	}
	if len(own.Warnings) > 0 {
		return 1
	}
	return 0
}

// about leaves out what the leader says as well.
func about(own, leader []string) (rest []string) {
	for _, w := range own {
		said := false
		for _, l := range leader {
			said = said || l == w
		}
		if !said {
			rest = append(rest, w)
		}
	}
	return rest
}

// others asks the other members, all at once. Who does not answer is left out.
func (s *statusCommand) others(own *resp.Status) map[uint64]*resp.Status {
	var mu sync.Mutex
	var wg sync.WaitGroup
	all := map[uint64]*resp.Status{}
	for _, m := range own.Members {
		if m.ID == own.ID || m.ClientAddr == "" {
			continue
		}
		wg.Go(func() {
			st, err := s.ask(s.reach(m))
			if err != nil || st.ID != m.ID {
				return // the table has no more of it than the others know
			}
			mu.Lock()
			defer mu.Unlock()
			all[m.ID] = st
		})
	}
	wg.Wait()
	return all
}

// reach is where to ask a member.
func (s *statusCommand) reach(m resp.MemberStatus) string {
	if host, _, err := net.SplitHostPort(m.ClientAddr); err == nil && s.tls != nil && m.ClientTLSPort != 0 {
		return net.JoinHostPort(host, strconv.Itoa(m.ClientTLSPort))
	}
	return m.ClientAddr
}

// ask asks a node for RAFT STATUS JSON.
func (s *statusCommand) ask(addr string) (*resp.Status, error) {
	var c net.Conn
	var err error
	dialer := &net.Dialer{Timeout: s.timeout}
	if s.tls != nil {
		c, err = tls.DialWithDialer(dialer, "tcp", addr, s.tls)
	} else {
		c, err = dialer.Dial("tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // all is read
	if err := c.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		return nil, err
	}
	request, replies := redcon.AppendArray(nil, 3), 1
	for _, arg := range []string{"RAFT", "STATUS", "JSON"} {
		request = redcon.AppendBulkString(request, arg)
	}
	if s.password != "" {
		login := []string{"AUTH", s.password}
		if s.user != "" {
			login = []string{"AUTH", s.user, s.password}
		}
		auth := redcon.AppendArray(nil, len(login))
		for _, arg := range login {
			auth = redcon.AppendBulkString(auth, arg)
		}
		request, replies = append(auth, request...), 2
	}
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	var got []byte
	buf := make([]byte, 16<<10)
	for {
		for {
			n, reply := redcon.ReadNextRESP(got)
			if n == 0 {
				break
			}
			got = got[n:]
			replies--
			switch {
			case reply.Type == redcon.Error:
				return nil, errors.New(string(reply.Data))
			case replies > 0:
				continue
			}
			st := &resp.Status{}
			if err := json.Unmarshal(reply.Data, st); err != nil {
				return nil, fmt.Errorf("this is no raftredis, or an older one: %w", err)
			}
			return st, nil
		}
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil && n == 0 {
			return nil, err
		}
	}
}
