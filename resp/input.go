package resp

import (
	"github.com/raftredis/raftredis/resp/driver"
	"github.com/raftredis/raftredis/resp/wire"
	"github.com/raftredis/raftredis/store/command"
)

// input is what a client has sent and what is known of the command at its head.
type input struct {
	// in[r:w] has been read and not been consumed. borrowed says that in
	// is the driver's buffer and only valid until Received returns.
	in       []byte
	r, w     int
	borrowed bool
	need     int // bytes that in[r:] must hold to complete the command
	frame    wire.Frame
	args     [][]byte
	total    int64 // bytes received so far
}

// borrow has the next read go to the driver's buffer.
func (i *input) borrow(shared []byte) { i.in, i.r, i.w, i.borrowed = shared, 0, 0, true }

// grew says that n bytes more are there.
func (i *input) grew(n int) {
	i.w += n
	i.total += int64(n)
}

// makeRoom makes room for at least driver.ReadSize bytes in the connection's own
// buffer. It grows by doubling, so that the bytes of a big argument are copied
// twice at most, and never to more than twice of what has really arrived,
// whatever length a client has announced.
func (i *input) makeRoom() {
	have := i.w - i.r
	if cap(i.in)-i.w >= driver.ReadSize || have > 0 && i.need > have && i.need <= cap(i.in)-i.r {
		i.in = i.in[:cap(i.in)]
		if i.w < len(i.in) {
			return
		}
	}
	size := max(2*have, have+driver.ReadSize)
	if i.need > have && i.need < size && i.need >= have+driver.ReadSize {
		size = i.need // the rest of the argument fits exactly
	}
	// While something waits for the store, arguments may still be in use:
	// always move to a new buffer rather than within the old one.
	grown := command.Append(make([]byte, 0, size), i.in[i.r:i.w])
	i.in, i.r, i.w = grown[:size], 0, have
}

// keep brings what is left into a buffer of the connection's own, and lets go of
// buffers that are not needed.
func (i *input) keep() {
	switch {
	case i.r == i.w:
		i.in, i.r, i.w = nil, 0, 0
	case i.borrowed:
		rest := i.in[i.r:i.w]
		own := make([]byte, max(2*len(rest), 1024))
		i.w = copy(own, rest)
		i.in, i.r = own, 0
	}
	i.borrowed = false
	// The arguments point into a buffer that is to be let go.
	if cap(i.args) > 256 {
		i.args = nil
	} else {
		clear(i.args[:cap(i.args)])
		i.args = i.args[:0]
	}
}
