package resp

import "github.com/raftredis/raftredis/store"

// lookAhead has the store bring the keys of the next commands in the input into
// the processor's caches (see keyspace.View.LookAhead). It is called for the first
// of them, with the reader begun.
func (c *conn) lookAhead() {
	var keys [store.MaxAhead][]byte
	n := keysAhead(c.in[c.r:c.w], keys[:])
	c.ahead = n - 1
	if n > 1 {
		c.reader.LookAhead(c.db, keys[:n])
	}
}

// keysAhead puts the first arguments of the commands in b into keys and returns
// how many there are. It is a guess that nothing but speed depends on: it stops at
// everything but whole arguments in the usual form, of fewer than 100 bytes. To
// take the commands apart is wire.Frame's business.
func keysAhead(b []byte, keys [][]byte) (n int) {
	for n < len(keys) {
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
			if i == 1 {
				keys[n] = rest[:size]
				n++
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
