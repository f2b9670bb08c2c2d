package resp

import (
	"strconv"

	"github.com/raftredis/raftredis/store/command"
)

func commandContainer() local {
	const flags = command.Loading | command.Stale
	return local{
		spec: command.Spec{Name: "command", Arity: -1, Flags: flags, Group: "server", Since: "2.8.13", Complexity: "O(N) where N is the total number of Redis commands", Summary: "Get array of Redis command details"},
		when: anytime, run: (*conn).cmdCommand,
		subs: []local{
			{spec: command.Spec{Name: "count", Arity: 2, Flags: flags, Since: "2.8.13", Complexity: "O(1)", Summary: "Get total number of Redis commands"},
				when: anytime, run: func(c *conn, _ [][]byte) { c.enc.Int(int64(len(c.srv.commands))) }},
		},
	}
}

func (c *conn) cmdCommand([][]byte) { c.enc.Array(0) }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
