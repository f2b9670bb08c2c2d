package resp

import (
	"context"
	"encoding/json"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
)

// raftFamily is the cluster's administration. Every command that changes
// something answers when the change is applied on this node.
func raftFamily() []local {
	const flags = command.Admin | command.NoScript | command.NoMulti | command.Loading | command.Stale | command.AllowBusy
	sub := func(name string, arity int, summary, syntax string, w when, run func(*conn, [][]byte)) local {
		return local{spec: command.Spec{Name: name, Arity: arity, Flags: flags, Since: "7.0.0", Complexity: "O(1)", Summary: summary, Syntax: syntax}, when: w, run: run}
	}
	return []local{{
		spec: command.Spec{Name: "raft", Arity: -2, Group: "raft", Since: "7.0.0", Complexity: "Depends on subcommand.", Summary: "A container for commands about the raft cluster"},
		subs: []local{
			sub("info", 2, "Describe this node's part in the cluster", "", inOrder, (*conn).cmdRaftInfo).as(harmless),
			sub("status", -2, "Describe the cluster as this node sees it, for people", "[TABLE | JSON]", inOrder, (*conn).cmdRaftStatus).as(harmless),
			sub("nodes", 2, "List the members of the cluster", "", inOrder, (*conn).cmdRaftNodes).as(harmless),
			sub("add", 4, "Add a member, which learns first and votes once it has caught up", "id peer-url", slow, (*conn).cmdRaftAdd),
			sub("remove", 3, "Remove a member for good", "id", slow, (*conn).cmdRaftRemove),
			sub("promote", 3, "Make a learner that has caught up a voter", "id", slow, (*conn).cmdRaftPromote),
			sub("update", 4, "Change the URL where the other members reach a member", "id peer-url", slow, (*conn).cmdRaftUpdate),
			sub("transfer", -2, "Hand leadership to a member", "[id]", slow, (*conn).cmdRaftTransfer),
			sub("snapshot", 2, "Take a snapshot on this node and compact its log", "", slow, func(c *conn, _ [][]byte) { c.done(c.srv.takeSnapshot()) }),
			sub("backup", -3, "Read a backup of the whole state at one index, piece by piece", "<BEGIN [LOCAL] | NEXT>", slow, (*conn).cmdRaftBackup),
			sub("digest", 2, "Get the applied index and the digest of the state there", "", slow, (*conn).cmdRaftDigest).as(harmless),
			{spec: *command.Help("raft", "raft", "7.0.0",
				"INFO",
				"    Describe this node's part in the cluster, as names and values.",
				"STATUS [TABLE|JSON]",
				"    Describe the cluster as this node sees it: a table for people with warnings in",
				"    words (the default), or the same and more as JSON. The leader knows most.",
				"NODES",
				"    List the members: id, addresses, role, progress (progress on the leader only).",
				"ADD <id> <peer-url>",
				"    Add a member under an id that was never used. It receives the log first and",
				"    is made a voter by itself once it has caught up.",
				"REMOVE <id>",
				"    Remove a member. Its id never comes back.",
				"PROMOTE <id>",
				"    Make a learner that has caught up a voter.",
				"UPDATE <id> <peer-url>",
				"    Change the URL where the other members reach a member: after it, start that",
				"    one at its new place.",
				"TRANSFER [<id>]",
				"    Hand leadership to a member, or to whichever suits.",
				"SNAPSHOT",
				"    Take a snapshot on this node and compact its log.",
				"BACKUP BEGIN [LOCAL]",
				"    Take a snapshot on this node and open it for this connection. It has all that",
				"    was acknowledged before, on any node; with LOCAL all that this node knows of.",
				"BACKUP NEXT",
				"    Return the next piece of it; an empty one is the end. (The program's own",
				"    \"raftredis backup\" does this, and checks what it gets.)",
				"DIGEST",
				"    Return this node's applied index and a digest of its state at that index.",
				"    Nodes that answer with the same index answer with the same digest.")},
		},
	}}
}

func (c *conn) cmdRaftInfo([][]byte) {
	c.pairs(c.srv.raftStatus())
}

// cmdRaftStatus answers with the lines of a table, as simple strings: redis-cli prints
// those as they are, whether it writes to a terminal or not.
func (c *conn) cmdRaftStatus(argv [][]byte) {
	st := c.srv.Status()
	switch {
	case len(argv) == 2 || len(argv) == 3 && command.EqualFold(argv[2], "table"):
		lines := st.Table(nil)
		c.enc.Array(len(lines))
		for _, l := range lines {
			c.enc.Status(oneLine(l))
		}
	case len(argv) == 3 && command.EqualFold(argv[2], "json"):
		text, err := json.Marshal(st)
		if err != nil {
			c.enc.Error("ERR " + oneLine(err.Error()))
			return
		}
		c.enc.Bulk(text)
	default:
		c.enc.Error(subcommandSyntax(argv))
	}
}

func (c *conn) cmdRaftNodes([][]byte) {
	st := c.srv.cluster.Status()
	c.enc.Array(len(st.Members))
	for _, m := range st.Members {
		role := memberRole(&st, m)
		p, known := st.Progress[m.ID]
		pairs := 4
		if known {
			pairs = 9
		}
		c.enc.Map(pairs)
		c.enc.BulkString("id")
		c.enc.Int(int64(m.ID))
		c.enc.BulkString("role")
		c.enc.BulkString(role)
		c.enc.BulkString("client_addr")
		c.enc.BulkString(m.ClientAddr)
		c.enc.BulkString("peer_url")
		c.enc.BulkString(m.PeerURL)
		if known {
			c.enc.BulkString("match_index")
			c.enc.Int(int64(p.Match))
			c.enc.BulkString("state")
			c.enc.BulkString(p.State)
			c.enc.BulkString("disk_low")
			c.enc.Bool(p.DiskLow)
			c.enc.BulkString("level")
			c.enc.Int(int64(p.Level))
			c.enc.BulkString("active")
			c.enc.Bool(p.RecentActive)
		}
	}
}

// memberID reads a member's id, or says what is wrong with it.
func (c *conn) memberID(b []byte) (uint64, bool) {
	id, ok := command.ParseInt(b)
	if !ok || id < 1 {
		c.enc.Error("ERR a member's id is a positive number")
		return 0, false
	}
	return uint64(id), true
}

// change runs a membership change for the connection.
func (c *conn) change(do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	c.done(do(ctx))
}

func (c *conn) cmdRaftAdd(argv [][]byte) {
	if id, ok := c.memberID(argv[2]); ok {
		c.change(func(ctx context.Context) error {
			return c.srv.cluster.ChangeMembership(ctx, commit.AddLearner, commit.Member{ID: id, PeerURL: string(argv[3]), Learner: true})
		})
	}
}

func (c *conn) cmdRaftUpdate(argv [][]byte) {
	if id, ok := c.memberID(argv[2]); ok {
		if len(argv[3]) == 0 {
			c.enc.Error("ERR a member's peer URL is http://host:port or https://host:port")
			return
		}
		c.change(func(ctx context.Context) error {
			return c.srv.cluster.ChangeMembership(ctx, commit.Update, commit.Member{ID: id, PeerURL: string(argv[3])})
		})
	}
}

func (c *conn) cmdRaftRemove(argv [][]byte) {
	if id, ok := c.memberID(argv[2]); ok {
		c.change(func(ctx context.Context) error {
			return c.srv.cluster.ChangeMembership(ctx, commit.Remove, commit.Member{ID: id})
		})
	}
}

func (c *conn) cmdRaftPromote(argv [][]byte) {
	if id, ok := c.memberID(argv[2]); ok {
		c.change(func(ctx context.Context) error {
			return c.srv.cluster.ChangeMembership(ctx, commit.Promote, commit.Member{ID: id})
		})
	}
}

func (c *conn) cmdRaftTransfer(argv [][]byte) {
	var id uint64
	if len(argv) > 3 {
		c.enc.Error(subcommandSyntax(argv))
		return
	}
	if len(argv) == 3 {
		var ok bool
		if id, ok = c.memberID(argv[2]); !ok {
			return
		}
	}
	c.change(func(ctx context.Context) error { return c.srv.cluster.Transfer(ctx, id) })
}

func (c *conn) cmdRaftDigest([][]byte) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	index, digest, err := c.srv.store.Digest(ctx)
	if err != nil {
		c.done(err)
		return
	}
	c.enc.Array(2)
	c.enc.Int(int64(index))
	c.enc.BulkString(digest)
}
