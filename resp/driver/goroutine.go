package driver

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
	opts  Options
	group sync.WaitGroup
}

// NewGoroutines returns a driver with a goroutine for each connection.
func NewGoroutines(o Options) Driver { return &goroutineDriver{opts: o} }

func (d *goroutineDriver) Name() string { return "goroutines" }

func (d *goroutineDriver) Stop() { d.group.Wait() }

// handshakeTimeout bounds how long a client may take to agree on TLS.
const handshakeTimeout = 10 * time.Second

func (d *goroutineDriver) Add(nc net.Conn) error {
	g := &goConn{nc: nc, wakeC: make(chan struct{}, 1), sentC: make(chan error, 1)}
	g.try, _ = newTryWriter(nc)
	g.c = d.opts.Connect(g, nc, socketFD(nc))
	if !g.c.Admit() {
		return errClosing
	}
	d.group.Add(1)
	go func() {
		defer d.group.Done()
		g.serve(d.opts.Panicked)
	}()
	return nil
}

// goConn drives one connection. Its goroutine runs the state machine and reads.
// It writes, too, as far as the socket takes it at once; what it does not take
// is left to a second goroutine for as long as it lasts. A client that sends a
// long pipeline before it reads the first reply would otherwise wait for us
// while we wait for it.
type goConn struct {
	c  Conn
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

// Wake is the link's. A goroutine that is in Read is called back by a deadline
// in the past.
func (g *goConn) Wake() {
	g.woken.Store(true)
	select {
	case g.wakeC <- struct{}{}:
	default:
	}
	if g.reading.Load() {
		_ = g.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

func (g *goConn) Kill() {
	g.killed.Store(true)
	_ = g.nc.Close()
	g.Wake()
}

func (g *goConn) serve(panicked func(value any)) {
	c := g.c
	defer func() { _ = g.nc.Close() }()
	defer c.Abandon()
	defer func() {
		if v := recover(); v != nil {
			panicked(v)
		}
	}()
	if t, ok := g.nc.(*tls.Conn); ok {
		_ = t.SetDeadline(time.Now().Add(handshakeTimeout))
		if t.Handshake() != nil {
			return
		}
		_ = t.SetDeadline(time.Time{})
	}
	buf := make([]byte, ReadSize)
	for {
		if !g.flush() {
			return
		}
		if g.killed.Load() {
			return
		}
		if g.woken.Swap(false) {
			c.Resume()
			continue
		}
		switch c.Intent() {
		case ToDie:
			return
		case ToClose:
			g.finish()
			return
		case ToRun:
			c.Resume()
		case ToRead:
			if !g.read(buf) {
				return
			}
		case ToWait:
			<-g.wakeC
		}
	}
}

// read waits for input or a wake. It reports false when the client has gone.
func (g *goConn) read(buf []byte) bool {
	p := g.c.ReadInto(buf)
	g.reading.Store(true)
	if g.woken.Load() {
		g.reading.Store(false)
		g.c.Received(0)
		return true
	}
	n, err := g.nc.Read(p)
	g.reading.Store(false)
	if n > 0 || err == nil {
		g.c.Received(n)
		return true
	}
	g.c.Received(0)
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
	if g.c.Intent() == ToDie {
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
		out := g.c.Output(g.spare)
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
			g.c.Sent(sent)
		}
		if sent == len(out) {
			g.c.BlockSent(out)
			g.spare = Recycle(out)
			continue
		}
		g.inUse = true
		go func() {
			err := g.write(out, sent)
			g.sentC <- err
			g.Wake()
		}()
	}
}

// write waits for the client to take all of a block, behind the bytes that are sent.
func (g *goConn) write(block []byte, sent int) error {
	for rest := block[sent:]; len(rest) > 0; {
		n, err := g.nc.Write(rest[:min(len(rest), portion)])
		g.c.Sent(n)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	g.c.BlockSent(block)
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
	for out := g.c.Output(nil); len(out) > 0; out = g.c.Output(nil) {
		if g.write(out, 0) != nil {
			return
		}
	}
}
