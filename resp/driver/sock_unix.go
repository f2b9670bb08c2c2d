//go:build unix

package driver

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// tryWriter writes as much as a socket takes at once.
type tryWriter struct {
	raw  syscall.RawConn
	b    []byte
	n    int
	err  error
	once func(fd uintptr) bool
}

// newTryWriter returns nil for a connection that has no socket of its own to
// ask, as one under TLS.
func newTryWriter(nc net.Conn) (*tryWriter, error) {
	if _, ok := nc.(*tls.Conn); ok {
		return nil, nil
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &tryWriter{raw: raw}
	w.once = func(fd uintptr) bool { // one closure for all writes
		for {
			w.n, w.err = syscall.Write(int(fd), w.b)
			if w.err != syscall.EINTR {
				return true
			}
		}
	}
	return w, nil
}

func (w *tryWriter) write(b []byte) (int, error) {
	w.b = b
	err := w.raw.Write(w.once)
	w.b = nil
	switch {
	case err != nil:
		return 0, err
	case w.err == syscall.EAGAIN:
		return 0, nil
	case w.err != nil:
		return 0, w.err
	default:
		return w.n, nil
	}
}

// socketFD is what CLIENT LIST shows as fd.
func socketFD(nc net.Conn) int {
	fd := -1
	if tc := TCPConn(nc); tc != nil {
		if raw, err := tc.SyscallConn(); err == nil {
			_ = raw.Control(func(f uintptr) { fd = int(f) })
		}
	}
	return fd
}

// AddrInUse reports whether listening failed because somebody else does.
func AddrInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
