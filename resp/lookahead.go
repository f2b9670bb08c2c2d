package resp

import "github.com/raftredis/raftredis/store/keyspace"

// lookAhead has the store bring the keys of the commands that follow in the
// input into the processor's caches, before the first of them is looked up. It
// is called for a read, with the reader begun.
//
// What it takes from the input is a guess and nothing more: the first argument
// of commands in the usual form, whose lengths have at most two digits. It stops
// at anything else.
func (c *conn) lookAhead() {
	var keys [keyspace.MaxAhead][]byte
	b := c.in[c.r:c.w]
	n := 0
	for n < len(keys) {
		args, rest, ok := smallCount(b, '*')
		if !ok {
			break
		}
		b = rest
		for i := range args {
			size, rest, ok := smallCount(b, '$')
			if !ok || size+2 > len(rest) {
				b = nil
				break
			}
			if i == 1 {
				keys[n] = rest[:size]
				n++
			}
			b = rest[size+2:]
		}
	}
	c.ahead = n - 1
	if n > 1 {
		c.reader.LookAhead(c.db, keys[:n])
	}
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
