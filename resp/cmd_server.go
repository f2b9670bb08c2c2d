package resp

import (
	"github.com/raftredis/raftredis/store/command"
)

func serverFamily() []local {
	const group = "server"
	return []local{
		configContainer(),
		commandContainer(),
		{spec: command.Spec{Name: "info", Arity: -1, Flags: command.Loading | command.Stale | command.Dangerous, Group: group, Since: "1.0.0", Complexity: "O(1)",
			Summary: "Get information and statistics about the server", Syntax: "[section [section ...]]"}, when: inOrder, run: (*conn).cmdInfo},
		{spec: command.Spec{Name: "time", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Group: group, Since: "2.6.0", Complexity: "O(1)",
			Summary: "Return the current server time"}, when: anytime, run: (*conn).cmdTime},
	}
}

func (c *conn) cmdTime([][]byte) {
	now := c.srv.now()
	c.enc.Array(2)
	c.enc.BulkString(decimal(now.Unix()))
	c.enc.BulkString(decimal(int64(now.Nanosecond() / 1000)))
}
