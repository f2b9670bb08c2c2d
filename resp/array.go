package resp

import "github.com/tidwall/redcon"

// parseArray splits a complete command of the protocol's usual form. The
// arguments alias b.
func (c *conn) parseArray(b []byte) bool {
	if b[1] == '0' || b[1] == '-' {
		c.args = c.args[:0]
		return true // no arguments, no command, no reply
	}
	if c.frame.seen > cap(c.args) {
		c.args = make([][]byte, 0, c.frame.seen) // rather than by doubling
	}
	complete, args, kind, rest, err := redcon.ReadNextCommand(b, c.args)
	if err != nil || !complete || len(rest) != 0 || kind != redcon.Redis {
		// frame has let something through that redcon reads differently. Go no
		// further than that: the two would be out of step from here on.
		c.srv.log.Error("a command was framed wrongly")
		c.dead = true
		return false
	}
	c.args = args
	return true
}
