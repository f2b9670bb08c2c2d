package raftnode

import (
	"container/list"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
)

// peerGuard is the peer port's listener. A connection is a stranger until it has sent a
// whole head of a request; with TLS that takes a member's certificate. Strangers have strangerTime
// for it, all in all and not from one byte to the next, and there are maxStrangers at a
// time: the one who has been at it for longest makes room for the next. So whoever
// floods the port costs a bounded number of sockets, and keeps out members only as long as
// he connects more often in a handshake's time than there are strangers.
type peerGuard struct {
	net.Listener
	patience time.Duration // strangerTime

	mu        sync.Mutex
	strangers *list.List // of *peerConn, the oldest first
	open      int
}

const (
	strangerTime = 5 * time.Second
	maxStrangers = 128
	// maxPeerConns are more than members ever need: for ports that know nobody.
	maxPeerConns = 1024
)

// peerConn is a connection of the peer port. A read or write that makes no progress is given
// up after the timeouts that rafthttp is made for.
type peerConn struct {
	net.Conn
	guard    *peerGuard
	place    *list.Element // among the strangers; guard.mu
	until    time.Time     // as a stranger
	known    atomic.Bool
	closing  sync.Once
	closeErr error

	reading sync.Mutex // the deadline of reads
	cut     bool       // it has passed: whoever set it wants no read to wait
}

func newPeerGuard(ln net.Listener) *peerGuard {
	return &peerGuard{Listener: ln, patience: strangerTime, strangers: list.New()}
}

// Accept implements net.Listener.
func (g *peerGuard) Accept() (net.Conn, error) {
	for {
		nc, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		now := time.Now() //nolint:forbidigo // how long a connection takes is no state
		c := &peerConn{Conn: nc, guard: g, until: now.Add(g.patience)}
		oldest, full := g.admit(c)
		if oldest != nil {
			_ = oldest.Close() // whoever it was gets an error
		}
		if !full {
			return c, nil
		}
		_ = nc.Close()
	}
}

// admit takes in a stranger. It returns the one that has to go for it.
func (g *peerGuard) admit(c *peerConn) (oldest *peerConn, full bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= maxPeerConns {
		return nil, true
	}
	if g.strangers.Len() >= maxStrangers {
		oldest, _ = g.strangers.Front().Value.(*peerConn)
	}
	g.open++
	c.place = g.strangers.PushBack(c)
	return oldest, false
}

// forget takes c from among the strangers, and, if it is closed, from all.
func (g *peerGuard) forget(c *peerConn, closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.place != nil {
		g.strangers.Remove(c.place)
		c.place = nil
	}
	if closed {
		g.open--
	}
}

func (c *peerConn) Read(b []byte) (int, error) {
	until := time.Now().Add(rafthttp.ConnReadTimeout) //nolint:forbidigo // as in Accept
	if !c.known.Load() && c.until.Before(until) {
		until = c.until
	}
	if err := c.giveUpAt(until); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// giveUpAt sets the deadline of a read, unless none may wait.
func (c *peerConn) giveUpAt(until time.Time) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.cut {
		return nil
	}
	return c.Conn.SetReadDeadline(until)
}

// SetReadDeadline implements net.Conn. One that has passed ends a read that is under way, and those
// that come until there is another: net/http has one going on beside every handler, and ends it
// so before a connection changes hands, without knowing whether it has begun.
func (c *peerConn) SetReadDeadline(t time.Time) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.cut = !t.IsZero() && t.Before(time.Now()) //nolint:forbidigo // as in Accept
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *peerConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *peerConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(rafthttp.ConnWriteTimeout)); err != nil { //nolint:forbidigo // as in Accept
		return 0, err
	}
	return c.Conn.Write(b)
}

// Close implements net.Conn.
func (c *peerConn) Close() error {
	c.closing.Do(func() {
		c.guard.forget(c, true)
		c.closeErr = c.Conn.Close()
	})
	return c.closeErr
}

// peerConnKey is where the context of a request has its connection.
type peerConnKey struct{}

// connContext is http.Server.ConnContext.
func (g *peerGuard) connContext(ctx context.Context, nc net.Conn) context.Context {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	return context.WithValue(ctx, peerConnKey{}, nc)
}

// knows serves requests, whose senders are no strangers any more.
func (g *peerGuard) knows(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(peerConnKey{}).(*peerConn); ok && !c.known.Swap(true) {
			g.forget(c, false)
		}
		h.ServeHTTP(w, r)
	})
}

// errNoMember refuses a certificate that is good for a client only. The certificates of
// clients may come from the same authority.
var errNoMember = errors.New("the certificate is a client's, not a member's: it is not for servers")

// memberOnly is tls.Config.VerifyConnection of the peer port: a member serves as well as it
// asks, so its certificate has to be good for both.
func memberOnly(s tls.ConnectionState) error {
	leaf := s.PeerCertificates[0] // there is one: it is required
	forServers := slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	if !forServers && len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 {
		return errNoMember
	}
	return nil
}
