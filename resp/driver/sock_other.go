//go:build !unix

package driver

import (
	"net"
	"strings"
)

// tryWriter does not exist where sockets are no file descriptors: every write
// is left to a goroutine.
type tryWriter struct{}

func newTryWriter(net.Conn) (*tryWriter, error) { return nil, nil }

func (*tryWriter) write([]byte) (int, error) { return 0, nil }

func socketFD(net.Conn) int { return -1 }

// AddrInUse reports whether listening failed because somebody else does.
func AddrInUse(err error) bool { return strings.Contains(err.Error(), "in use") }
