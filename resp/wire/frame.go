package wire

import (
	"bytes"

	"github.com/raftredis/raftredis/store/command"
)

// A ProtocolError ends a connection after the client was told why. The texts
// are Redis's.
type ProtocolError string

// Error returns the text without its ERR code.
func (e ProtocolError) Error() string { return "Protocol error: " + string(e) }

// Frame finds where the command at the beginning of a buffer ends, and checks
// every length on the way. It remembers how far it has come, so that a command
// which arrives in a thousand pieces is still looked at once only; redcon's
// parser, which begins anew at every call, is shown complete commands alone.
//
// The zero Frame is ready for a new command.
type Frame struct {
	pos  int // everything before has been checked
	scan int // no line end between pos and here
	args int // bulks still missing; 0: the command's header has not been read
	seen int // bulks that are there; when Next returns a command, all of it
	bulk int // length of the bulk being read plus one; 0: not known yet
}

// FrameLimits are the bounds that depend on the connection and on directives.
type FrameLimits struct {
	Bulk   int  // bytes of an argument
	NoAuth bool // the client has yet to authenticate
}

// Next looks at b, which begins where the command does and holds at least what
// it held at the last call. It returns the length of the command, or 0 and the
// number of bytes that b must hold before it is worth asking again.
//
// What Redis does not look at, it does not look at either: the two bytes behind
// a bulk, and the second byte of a line end, may be anything. They are set to
// what redcon's parser wants to see there.
func (f *Frame) Next(b []byte, lim FrameLimits) (n, need int, err error) {
	if f.args == 0 {
		if len(b) == 0 {
			return 0, 1, nil
		}
		if b[0] != '*' {
			return f.nextInline(b)
		}
		v, ok, err := f.length(b, "too big mbulk count string", "invalid multibulk length")
		if !ok || err != nil {
			return 0, len(b) + 1, err
		}
		switch {
		case v > maxArgs:
			return 0, 0, ProtocolError("invalid multibulk length")
		case v > maxArgsNoAuth && lim.NoAuth:
			return 0, 0, ProtocolError("unauthenticated multibulk length")
		case v <= 0:
			// Nothing to do, and nothing to answer.
			n = f.pos
			*f = Frame{}
			return n, 0, nil
		}
		f.args, f.seen = int(v), 0
	}
	for f.args > 0 {
		if f.bulk == 0 {
			if f.pos >= len(b) {
				return 0, len(b) + 1, nil
			}
			if b[f.pos] != '$' {
				// As Redis, complain only once there is a whole line.
				if end := bytes.IndexByte(b[f.scanFrom():], '\r'); end < 0 || f.scanFrom()+end+1 >= len(b) {
					if len(b)-f.pos > maxInline {
						return 0, 0, ProtocolError("too big bulk count string")
					}
					return 0, len(b) + 1, nil
				}
				return 0, 0, ProtocolError("expected '$', got '" + string(b[f.pos:f.pos+1]) + "'")
			}
			v, ok, err := f.length(b, "too big bulk count string", "invalid bulk length")
			if !ok || err != nil {
				return 0, len(b) + 1, err
			}
			switch {
			case v < 0 || v > int64(lim.Bulk):
				return 0, 0, ProtocolError("invalid bulk length")
			case v > maxBulkNoAuth && lim.NoAuth:
				return 0, 0, ProtocolError("unauthenticated bulk length")
			}
			f.bulk = int(v) + 1
		}
		end := f.pos + f.bulk - 1
		if len(b) < end+2 {
			return 0, end + 2, nil
		}
		b[end], b[end+1] = '\r', '\n'
		f.pos, f.scan, f.bulk = end+2, end+2, 0
		f.args--
		f.seen++
	}
	n = f.pos
	*f = Frame{seen: f.seen}
	return n, 0, nil
}

// Args returns how many arguments have been seen of the command that is being
// received, or, right after Next has returned one, how many it has.
func (f *Frame) Args() int { return f.seen }

// Reset forgets the command: the next one begins where b does.
func (f *Frame) Reset() { *f = Frame{} }

func (f *Frame) scanFrom() int { return max(f.scan, f.pos) }

// length reads the line at f.pos, a type byte and a decimal number, and moves
// behind it.
func (f *Frame) length(b []byte, tooBig, invalid ProtocolError) (v int64, ok bool, err error) {
	// Nearly every number has one digit or two: no search for the line end then.
	if p := f.pos; len(b)-p >= 5 {
		d := b[p+1] - '0'
		switch {
		case d <= 9 && b[p+2] == '\r':
			b[p+3] = '\n'
			f.pos = p + 4
			f.scan = f.pos
			return int64(d), true, nil
		case d-1 <= 8 && b[p+2]-'0' <= 9 && b[p+3] == '\r':
			b[p+4] = '\n'
			f.pos = p + 5
			f.scan = f.pos
			return int64(d)*10 + int64(b[p+2]-'0'), true, nil
		}
	}
	from := f.scanFrom()
	end := bytes.IndexByte(b[from:], '\r')
	if end < 0 {
		f.scan = len(b)
		if len(b)-f.pos > maxInline {
			return 0, false, tooBig
		}
		return 0, false, nil
	}
	end += from
	if end+1 >= len(b) {
		f.scan = end
		return 0, false, nil
	}
	v, ok = command.ParseInt(b[f.pos+1 : end])
	if !ok {
		return 0, false, invalid
	}
	b[end+1] = '\n'
	f.pos, f.scan = end+2, end+2
	return v, true, nil
}

func (f *Frame) nextInline(b []byte) (n, need int, err error) {
	end := bytes.IndexByte(b[f.scan:], '\n')
	if end < 0 {
		f.scan = len(b)
		if len(b) > maxInline {
			return 0, 0, ProtocolError("too big inline request")
		}
		return 0, len(b) + 1, nil
	}
	n = f.scan + end + 1
	*f = Frame{}
	return n, 0, nil
}
