package driver

import (
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// epollEvents: edge-triggered, one registration for a connection's whole life.
const epollEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// epollConn is one socket. All of it but the link's functions and queued is its
// loop's.
type epollConn struct {
	loop *epollLoop
	c    Conn
	fd   int

	queued bool // in the loop's inbox, guarded by its mu
	killed atomic.Bool

	registered bool
	readable   bool // there may be something to read
	ending     bool // epoll has reported the end: it comes after what is still to be read
	hungUp     bool // the client sends no more
	closed     bool
	replying   bool   // in the loop's list of the same name
	finishing  bool   // closed as soon as the last replies are sent
	out        []byte // replies on their way: out[sent:] is left
	sent       int
	spare      []byte
}

func (p *epollConn) Wake() { p.loop.look(p) }

func (p *epollConn) Kill() {
	p.killed.Store(true)
	p.loop.look(p)
}

// turn takes in what there is, or goes on after a wait. What comes of it is sent
// by reply, after all other connections have had their turns.
func (p *epollConn) turn(woken bool) {
	c := p.c
	switch {
	case p.killed.Load():
		p.end()
	case woken:
		c.Resume()
	case p.readable && !p.hungUp && !p.finishing && p.out == nil && c.Intent() == ToRead:
		if !p.read() {
			p.end()
		}
	}
}

// reply sends replies and does whatever else there is to do for the connection,
// within reason: what is left comes after the others have had their turns.
func (p *epollConn) reply() {
	c := p.c
	for range 16 {
		if !p.flush() {
			p.end()
			return
		}
		if p.finishing {
			if p.out == nil {
				p.end()
			}
			return
		}
		switch c.Intent() {
		case ToDie:
			p.end()
			return
		case ToClose:
			p.finish()
		case ToRun:
			c.Resume()
		case ToRead:
			if p.hungUp {
				p.finish()
				continue
			}
			if !p.readable {
				return
			}
			if !p.read() {
				p.end()
				return
			}
		case ToWait:
			return
		}
	}
	p.loop.look(p)
}

// read takes in what one read gives. It reports false if the connection is
// broken.
func (p *epollConn) read() bool {
	b := p.c.ReadInto(p.loop.buf)
	for {
		n, err := rawRead(p.fd, b)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			p.readable = false
			p.c.Received(0)
			return true
		case err != nil:
			p.c.Received(0)
			return false
		case n == 0:
			p.hungUp = true
			p.c.Received(0)
			return true
		}
		if n < min(len(b), rawMost) && !p.ending {
			p.readable = false // that was all: epoll says when there is more
		}
		p.c.Received(n)
		return true
	}
}

// flush sends what the socket takes. It reports false if the connection is
// broken or not to be sent to any more.
func (p *epollConn) flush() bool {
	if p.c.Intent() == ToDie {
		return false
	}
	for {
		if p.out == nil {
			p.out, p.sent = p.c.Output(p.spare), 0
			if p.out == nil {
				return true
			}
			p.spare = nil
		}
		n, err := rawWrite(p.fd, p.out[p.sent:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			return false
		}
		p.sent += n
		p.c.Sent(n)
		if p.sent < len(p.out) {
			continue // until it says EAGAIN: epoll reports only what changes
		}
		p.c.BlockSent(p.out)
		p.spare = Recycle(p.out)
		p.out = nil
	}
}

// finish closes the connection once everything is sent, or when the client has
// had its time to take it.
func (p *epollConn) finish() {
	p.finishing = true
	if p.out != nil {
		time.AfterFunc(closeTimeout, p.Kill)
	}
}

// end closes the connection.
func (p *epollConn) end() {
	if p.closed {
		return
	}
	p.closed = true
	delete(p.loop.conns, int32(p.fd))
	if err := syscall.Close(p.fd); err != nil {
		p.loop.opts.Logger.Warn("close a client", zap.Error(err))
	}
	p.c.Abandon()
}
