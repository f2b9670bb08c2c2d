package resp

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// goroutineDriver gives each connection a goroutine. It works everywhere and
// with TLS; many busy connections cost more with it than with event loops.
type goroutineDriver struct {
	srv   *Server
	group sync.WaitGroup
}

func newGoroutineDriver(s *Server) *goroutineDriver { return &goroutineDriver{srv: s} }

func (d *goroutineDriver) name() string { return "goroutines" }

func (d *goroutineDriver) stop() { d.group.Wait() }

// handshakeTimeout bounds how long a client may take to agree on TLS.
const handshakeTimeout = 10 * time.Second

func (d *goroutineDriver) add(nc net.Conn) error {
	g := &goConn{nc: nc, wakeC: make(chan struct{}, 1), sentC: make(chan error, 1)}
	g.try, _ = newTryWriter(nc)
	g.c = newConn(d.srv, g, nc.RemoteAddr().String(), nc.LocalAddr().String(), socketFD(nc), isLoopback(nc.RemoteAddr()))
	if !d.srv.remember(g.c) {
		return errors.New("the server is closing")
	}
	d.group.Add(1)
	go func() {
		defer d.group.Done()
		g.serve()
	}()
	return nil
}

// goConn drives one connection. Its goroutine runs the state machine and reads.
// It writes, too, as far as the socket takes it at once; what it does not take
// is left to a second goroutine for as long as it lasts. A client that sends a
// long pipeline before it reads the first reply would otherwise wait for us
// while we wait for it.
type goConn struct {
	c  *conn
	nc net.Conn

	woken   atomic.Bool
	reading atomic.Bool
	killed  atomic.Bool
	wakeC   chan struct{} // has room for one

	try   *tryWriter // nil: the socket cannot say how much it takes
	spare []byte
	inUse bool       // the second goroutine is writing
	sentC chan error // its result
}

// wake is the link's. A goroutine that is in Read is called back by a deadline
// in the past.
func (g *goConn) wake() {
	g.woken.Store(true)
	select {
	case g.wakeC <- struct{}{}:
	default:
	}
	if g.reading.Load() {
		_ = g.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

func (g *goConn) kill() {
	g.killed.Store(true)
	_ = g.nc.Close()
	g.wake()
}

func (g *goConn) serve() {
	c := g.c
	defer func() { _ = g.nc.Close() }()
	defer c.abandon()
	defer c.srv.recovered("connection", func() {})
	if t, ok := g.nc.(*tls.Conn); ok {
		_ = t.SetDeadline(time.Now().Add(handshakeTimeout))
		if t.Handshake() != nil {
			return
		}
		_ = t.SetDeadline(time.Time{})
	}
	buf := make([]byte, readSize)
	for {
		if !g.flush() {
			return
		}
		if g.killed.Load() {
			return
		}
		if g.woken.Swap(false) {
			c.run()
			c.settle()
			continue
		}
		switch c.intent() {
		case toDie:
			return
		case toClose:
			g.finish()
			return
		case toRun:
			c.run()
			c.settle()
		case toRead:
			if !g.read(buf) {
				return
			}
		case toWait:
			<-g.wakeC
		}
	}
}

// read waits for input or a wake. It reports false when the client has gone.
func (g *goConn) read(buf []byte) bool {
	p := g.c.readInto(buf)
	g.reading.Store(true)
	if g.woken.Load() {
		g.reading.Store(false)
		g.c.received(0)
		return true
	}
	n, err := g.nc.Read(p)
	g.reading.Store(false)
	if n > 0 || err == nil {
		g.c.received(n)
		return true
	}
	g.c.received(0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return g.nc.SetReadDeadline(time.Time{}) == nil
	}
	// What the client has sent before it closed its side may still have to be
	// answered: it can go on reading.
	if errors.Is(err, io.EOF) {
		g.finish()
	}
	return false
}

// flush sends what there is, without waiting for the client. It reports false
// when the connection is broken or not to be sent to any more.
func (g *goConn) flush() bool {
	if g.c.intent() == toDie {
		return false
	}
	for {
		if g.inUse {
			select {
			case err := <-g.sentC:
				g.inUse = false
				if err != nil {
					return false
				}
			default:
				return true
			}
		}
		out := g.c.output(g.spare)
		if len(out) == 0 {
			return true
		}
		g.spare = nil
		sent := 0
		if g.try != nil {
			var err error
			if sent, err = g.try.write(out); err != nil {
				return false
			}
			g.c.srv.stats.writes.Add(1)
			g.c.out.sent(sent)
		}
		g.c.srv.stats.netOut.Add(int64(len(out)))
		if sent == len(out) {
			g.c.blockSent(out)
			g.spare = recycle(out)
			continue
		}
		g.inUse = true
		go func() {
			err := g.write(out, sent)
			g.sentC <- err
			g.wake()
		}()
	}
}

// write waits for the client to take all of a block, behind the bytes that are sent.
func (g *goConn) write(block []byte, sent int) error {
	for rest := block[sent:]; len(rest) > 0; {
		n, err := g.nc.Write(rest[:min(len(rest), flushAt)])
		g.c.out.sent(n)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	g.c.blockSent(block)
	return nil
}

// finish sends the last replies, as long as the client takes them.
func (g *goConn) finish() {
	_ = g.nc.SetWriteDeadline(time.Now().Add(closeTimeout))
	if g.inUse {
		if err := <-g.sentC; err != nil {
			return
		}
		g.inUse = false
	}
	for out := g.c.output(nil); len(out) > 0; out = g.c.output(nil) {
		g.c.srv.stats.netOut.Add(int64(len(out)))
		if g.write(out, 0) != nil {
			return
		}
	}
}

// closeTimeout bounds how long a connection that is being closed waits for its
// client to take the last replies.
const closeTimeout = 5 * time.Second

// recycle returns an output buffer for use again, unless one large reply has
// blown it up.
func recycle(b []byte) []byte {
	if cap(b) > keepOutput {
		return nil
	}
	return b[:0]
}
