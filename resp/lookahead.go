package resp

import "github.com/raftredis/raftredis/store"

// lookAhead has the store bring what the next commands in the input will read into
// the processor's caches (see keyspace.View.CallsAhead). It is called for the first
// of them, with the reader begun.
func (c *conn) lookAhead() {
	var calls ahead
	n := calls.read(c.in[c.r:c.w])
	c.ahead = n - 1
	if n > 1 {
		c.reader.LookAhead(c.db, calls.keys[:n], calls.args[:n])
	}
}

// ahead are the arguments of the next commands: the keys, and the first and the last one
// behind each.
type ahead struct {
	keys [store.MaxAhead][]byte
	args [store.MaxAhead][2][]byte
}

// read finds them in b and returns how many there are. It is a guess that nothing but
// speed depends on: it stops at everything but whole arguments in the usual form, of fewer
// than 100 bytes. To take the commands apart is wire.Frame's business.
func (a *ahead) read(b []byte) (n int) {
	for n < len(a.keys) {
		args, rest, ok := smallCount(b, '*')
		if !ok {
			return n
		}
		b = rest
		for i := range args {
			size, rest, ok := smallCount(b, '$')
			if !ok || size+2 > len(rest) {
				return n
			}
			switch arg := rest[:size]; i {
			case 0:
			case 1:
				a.keys[n] = arg
				n++
			case 2:
				a.args[n-1] = [2][]byte{arg, arg}
			case args - 1:
				a.args[n-1][1] = arg
			}
			b = rest[size+2:]
		}
	}
	return n
}

// smallCount reads a header line with a number of one digit or two.
func smallCount(b []byte, kind byte) (n int, rest []byte, ok bool) {
	if len(b) < 5 || b[0] != kind {
		return 0, nil, false
	}
	d, e := b[1]-'0', b[2]-'0'
	switch {
	case d <= 9 && b[2] == '\r':
		return int(d), b[4:], true
	case d <= 9 && e <= 9 && b[3] == '\r':
		return int(d)*10 + int(e), b[5:], true
	}
	return 0, nil, false
}
