package driver

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"go.uber.org/zap"
)

// Conn is a connection's state machine: bytes go in, bytes come out. All of its
// methods but Sent and BlockSent are called on one goroutine at a time, by the
// driver that owns it.
type Conn interface {
	// Admit makes the connection known to others, who may use its link from here
	// on. It answers false if there is no room for it because the server is closing.
	Admit() bool

	// ReadInto returns where the driver is to read to: shared, or a buffer of the
	// connection's own.
	ReadInto(shared []byte) []byte
	// Received says that n bytes have been read to where ReadInto said, and runs
	// the commands in them. n may be 0; each ReadInto has its Received.
	Received(n int)
	// Resume goes on after a wake, or because Intent said ToRun.
	Resume()
	// Intent is what the connection wants next. It is asked for after Received,
	// Resume and Output.
	Intent() Intent

	// Output hands over the next block of replies, nil if there is none, and gets a
	// buffer to go on with.
	Output(spare []byte) []byte
	// Sent says that n bytes of a block are on their way. From any goroutine.
	Sent(n int)
	// BlockSent says that all of a block is. From any goroutine.
	BlockSent(block []byte)

	// Abandon is the driver's last word, after a panic or a broken connection.
	Abandon()
}

// Link is what a driver gives a connection: its way out of the state machine.
// Both methods may be called by any goroutine and never block.
type Link interface {
	// Wake has the driver call Resume soon, on the connection's own goroutine.
	Wake()
	// Kill has the driver end the connection without another reply.
	Kill()
}

// Intent is what a connection wants of its driver next.
type Intent uint8

// What a connection may want.
const (
	ToWait  Intent = iota // nothing, until a wake
	ToRun                 // Resume, once the replies so far are on their way
	ToRead                // input, or a wake
	ToClose               // to be closed when the replies are sent
	ToDie                 // to be closed at once
)

// Driver runs connections: it moves bytes between sockets and state machines.
type Driver interface {
	// Add takes over an accepted connection.
	Add(nc net.Conn) error
	// Stop ends what Add has begun, once all connections are gone.
	Stop()
	// Name is what INFO shows as multiplexing_api.
	Name() string
}

// Options is what a driver needs.
type Options struct {
	// Connect makes the state machine for an accepted connection, whose socket is
	// fd (-1: not known). It is called by the goroutine that calls Add.
	Connect func(l Link, nc net.Conn, fd int) Conn

	// Panicked is told of a panic in a connection, which has been recovered from: it
	// ends that connection alone. It is called with the stack of the panic.
	Panicked func(value any)

	Logger *zap.Logger
}

// ReadSize is the room that a read is offered at least (bytes).
const ReadSize = 16 * 1024

const (
	keepOutput = 64 * 1024  // an output buffer that grew beyond this is not kept
	portion    = 256 * 1024 // written at a time to a client that makes us wait
)

// closeTimeout bounds how long a connection that is being closed waits for its
// client to take the last replies.
const closeTimeout = 5 * time.Second

// Recycle returns an output buffer for use again, unless one large reply has
// blown it up.
func Recycle(b []byte) []byte {
	if cap(b) > keepOutput {
		return nil
	}
	return b[:0]
}

var errClosing = errors.New("the server is closing")

// TCPConn returns the TCP connection that nc is or that carries its TLS, nil if it
// is neither.
func TCPConn(nc net.Conn) *net.TCPConn {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	tc, _ := nc.(*net.TCPConn)
	return tc
}
