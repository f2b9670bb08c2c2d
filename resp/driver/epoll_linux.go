package driver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"go.uber.org/zap"
)

// epollDriver drives all connections with a few loops, each of which waits for
// its sockets with one epoll of its own. A loop is a goroutine that is parked in
// the runtime's poller while it has nothing to do (the runtime watches the epoll
// descriptor like a socket), so that no thread is held up in a system call and
// waking a loop costs what waking a goroutine costs.
//
// Against a goroutine for each connection that saves a switch for each command
// of a client that does not pipeline, and all but a few bytes for a client that
// is idle: the loop's buffer serves all of its connections.
type epollDriver struct {
	opts  *Options
	loops []*epollLoop
	next  atomic.Uint64
	group sync.WaitGroup
}

// NewEpoll returns a driver of event loops for plain TCP connections; loops 0: as many
// as suit the machine.
func NewEpoll(o Options, loops int) (Driver, error) {
	if loops == 0 {
		loops = max(1, runtime.GOMAXPROCS(0)/2)
	}
	opts := &o
	d := &epollDriver{opts: opts}
	for range loops {
		l, err := newEpollLoop(opts)
		if err != nil {
			d.Stop()
			return nil, err
		}
		d.loops = append(d.loops, l)
		d.group.Add(1)
		go func() {
			defer d.group.Done()
			l.run()
		}()
	}
	return d, nil
}

func (d *epollDriver) Name() string { return "epoll" }

func (d *epollDriver) Stop() {
	for _, l := range d.loops {
		l.stopping.Store(true)
		l.poke()
	}
	d.group.Wait()
}

// Add takes over the socket of nc under a descriptor of its own and lets the
// runtime forget the connection.
func (d *epollDriver) Add(nc net.Conn) error {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("not a TCP connection: %T", nc)
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	var dupErr error
	if err := raw.Control(func(f uintptr) { fd, dupErr = dup(int(f)) }); err != nil {
		return err
	}
	if dupErr != nil {
		return os.NewSyscallError("dup", dupErr)
	}
	l := d.loops[d.next.Add(1)%uint64(len(d.loops))]
	p := &epollConn{loop: l, fd: fd}
	p.c = d.opts.Connect(p, nc, fd)
	_ = nc.Close() // the socket lives on under fd
	if !p.c.Admit() {
		_ = syscall.Close(fd)
		return errClosing
	}
	l.admit(p)
	return nil
}

func dup(fd int) (int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// epollLoop owns the connections that were given to it.
type epollLoop struct {
	opts     *Options
	epfd     int
	file     *os.File // of epfd: must stay referenced, or its finalizer closes it
	raw      syscall.RawConn
	events   []syscall.EpollEvent
	buf      []byte // input of whichever connection is being run
	conns    map[int32]*epollConn
	replying []*epollConn // had their turn since the last send

	// For wait: a function that the runtime calls before it parks the goroutine
	// and again whenever the epoll descriptor has become readable.
	ready   func(uintptr) bool
	polled  int
	pollErr error

	wakeR, wakeW int // a pipe; one byte in it for any number of wakes
	stopping     atomic.Bool

	mu     sync.Mutex
	inbox  []*epollConn // connections to be looked at
	poked  bool         // a byte is in the pipe
	asleep bool         // the loop will look at nothing but its descriptors
	spare  []*epollConn
}

func newEpollLoop(opts *Options) (*epollLoop, error) {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Non-blocking before NewFile: only then does the runtime put the descriptor
	// into its own poller. The other way round RawConn.Read fails at once, and
	// the loop spins.
	if err := syscall.SetNonblock(epfd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), syscall.Close(epfd))
	}
	file := os.NewFile(uintptr(epfd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		return nil, errors.Join(os.NewSyscallError("pipe2", err), file.Close())
	}
	l := &epollLoop{
		opts: opts, epfd: epfd, file: file, raw: raw,
		events: make([]syscall.EpollEvent, 256),
		buf:    make([]byte, 4*ReadSize),
		conns:  make(map[int32]*epollConn),
		wakeR:  pipe[0], wakeW: pipe[1],
	}
	l.ready = func(uintptr) bool {
		l.polled, l.pollErr = l.poll()
		return l.polled != 0 || l.pollErr != nil
	}
	wake := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(l.wakeR)}
	if err := syscall.EpollCtl(epfd, syscall.EPOLL_CTL_ADD, l.wakeR, &wake); err != nil {
		return nil, errors.Join(os.NewSyscallError("epoll_ctl", err), l.release())
	}
	return l, nil
}

func (l *epollLoop) release() error {
	l.mu.Lock()
	l.poked = true // the pipe's number may soon be another file's
	l.mu.Unlock()
	return errors.Join(l.file.Close(), syscall.Close(l.wakeR), syscall.Close(l.wakeW))
}

// poke has the loop look at its inbox.
func (l *epollLoop) poke() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pokeLocked()
}

// pokeLocked writes to the pipe if the loop might sleep otherwise. A loop that
// is busy looks at its inbox before it sleeps.
func (l *epollLoop) pokeLocked() {
	if l.poked || !l.asleep {
		return
	}
	l.poked = true
	for {
		if _, err := syscall.Write(l.wakeW, []byte{0}); err != syscall.EINTR {
			return
		}
	}
}

// look puts a connection into the inbox.
func (l *epollLoop) look(p *epollConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !p.queued {
		p.queued = true
		l.inbox = append(l.inbox, p)
		l.pokeLocked()
	}
}

// admit gives the loop a new connection, which it registers itself: what touches
// conns is on the loop's goroutine.
func (l *epollLoop) admit(p *epollConn) { l.look(p) }

// takeInbox returns the connections to look at. With none there, it says that
// the loop is about to sleep.
func (l *epollLoop) takeInbox(sleep bool) []*epollConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.inbox
	l.inbox, l.spare = l.spare[:0], nil
	for _, p := range in {
		p.queued = false
	}
	l.asleep = sleep && len(in) == 0
	return in
}

func (l *epollLoop) run() {
	defer func() {
		for _, p := range l.conns {
			p.end()
		}
		if err := l.release(); err != nil {
			l.opts.Logger.Warn("close an event loop", zap.Error(err))
		}
	}()
	for !l.stopping.Load() {
		in := l.takeInbox(true)
		for _, p := range in {
			l.handle(p, 0)
		}
		clear(in)
		l.spare = in[:0]
		n, err := l.wait(len(in) == 0)
		l.mu.Lock()
		l.asleep = false // until the inbox has been looked at again
		l.mu.Unlock()
		if err != nil {
			// Nothing that a client can do leads here.
			l.opts.Logger.Error("wait for clients", zap.Error(err))
			return
		}
		for i := range n {
			ev := &l.events[i]
			if ev.Fd == int32(l.wakeR) {
				l.drainWakes()
				continue
			}
			if p := l.conns[ev.Fd]; p != nil {
				l.handle(p, ev.Events)
			}
		}
		l.send()
	}
}

// send sends the replies of all connections that have had a turn. They are sent
// together, as Redis does: a client with many connections, or the clients of one
// host, are woken once and find all of them, where replies that trickle in wake
// them again and again, beside a server that needs the processor itself.
func (l *epollLoop) send() {
	for _, p := range l.replying {
		l.reply(p)
	}
	clear(l.replying)
	l.replying = l.replying[:0]
}

// recovered ends a connection that has panicked, and no other.
func (l *epollLoop) recovered(p *epollConn) {
	if v := recover(); v != nil {
		l.opts.Panicked(v)
		p.end()
	}
}

func (l *epollLoop) reply(p *epollConn) {
	p.replying = false
	if !p.closed {
		defer l.recovered(p)
		p.reply()
	}
}

// wait asks for events, and sleeps until there are some if it may.
func (l *epollLoop) wait(sleep bool) (int, error) {
	if !sleep {
		return l.poll()
	}
	if err := l.raw.Read(l.ready); err != nil {
		return 0, err
	}
	return l.polled, l.pollErr
}

func (l *epollLoop) poll() (int, error) {
	for {
		n, err := epollPoll(l.epfd, l.events)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("epoll_pwait", err)
		}
		return n, nil
	}
}

func (l *epollLoop) drainWakes() {
	var b [16]byte
	for {
		if n, err := syscall.Read(l.wakeR, b[:]); err != syscall.EINTR && n < len(b) {
			break
		}
	}
	l.mu.Lock()
	l.poked = false
	l.mu.Unlock()
}

// handle gives a connection its turn. A panic in it ends that connection alone.
func (l *epollLoop) handle(p *epollConn, events uint32) {
	if p.closed {
		return
	}
	defer l.recovered(p)
	if !p.registered {
		// Edge-triggered: one registration for the connection's whole life.
		ev := syscall.EpollEvent{Events: epollEvents, Fd: int32(p.fd)}
		l.conns[int32(p.fd)] = p
		p.registered = true
		if err := syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, p.fd, &ev); err != nil {
			p.end()
			return
		}
	}
	if events&syscall.EPOLLIN != 0 {
		p.readable = true
	}
	if events&(syscall.EPOLLHUP|syscall.EPOLLERR|syscall.EPOLLRDHUP) != 0 {
		p.readable, p.ending = true, true // the end is read like anything else
	}
	p.turn(events == 0)
	if !p.replying && !p.closed {
		p.replying = true
		l.replying = append(l.replying, p)
	}
}
