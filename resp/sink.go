package resp

import (
	"github.com/raftredis/raftredis/resp/driver"
	"github.com/raftredis/raftredis/resp/wire"
)

// sink is where the replies of a connection's commands go: to its client or, after
// CLIENT REPLY OFF or SKIP, to nobody. One of the two is chosen when a command is
// taken from the input, and holds for all of it, wherever it runs and however long
// that takes. Nothing else asks whether a reply is wanted.
type sink struct {
	client wire.Encoder // replies that the driver has not taken yet
	nobody wire.Encoder // emptied with each command

	off  bool // CLIENT REPLY OFF
	next bool // CLIENT REPLY SKIP: the next command is not answered
	skip bool // the command being run is that command
}

// choose returns where the command at the head of the input answers. It may be asked
// more than once for a command that has to wait before it runs.
func (s *sink) choose() *wire.Encoder {
	if s.next {
		s.next, s.skip = false, true
	}
	if !s.off && !s.skip {
		return &s.client
	}
	s.nobody.Buf = driver.Recycle(s.nobody.Buf)
	return &s.nobody
}

// taken says that the command has left the input.
func (s *sink) taken() { s.skip = false }

// setRESP3 chooses the protocol version.
func (s *sink) setRESP3(on bool) {
	s.client.SetRESP3(on)
	s.nobody.SetRESP3(on)
}
