package resp

import (
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/glob"
)

func pubsubFamily() []local {
	const group = "pubsub"
	const flags = command.PubSub | command.NoScript | command.Loading | command.Stale
	const perName = "O(N) where N is the number of channels to subscribe to."
	channels := func(l local) local { l.spec.Keys = command.All(1, 1, "NOT_KEY"); return l }
	family := []local{
		{spec: command.Spec{Name: "subscribe", Arity: -2, Flags: flags, Channels: command.AllChannels, Since: "2.0.0", Complexity: perName,
			Summary: "Listen for messages published to the given channels", Syntax: "channel [channel ...]"},
			when: inOrder, role: subscribes, run: func(c *conn, argv [][]byte) { c.subscribe(store.Channels, argv[1:]) }},
		{spec: command.Spec{Name: "psubscribe", Arity: -2, Flags: flags, Channels: command.AllPatterns, Since: "2.0.0", Complexity: perName,
			Summary: "Listen for messages published to channels matching the given patterns", Syntax: "pattern [pattern ...]"},
			when: inOrder, role: subscribes, run: func(c *conn, argv [][]byte) { c.subscribe(store.Patterns, argv[1:]) }},
		channels(local{spec: command.Spec{Name: "ssubscribe", Arity: -2, Flags: flags, Channels: command.AllChannels, Since: "7.0.0", Complexity: perName,
			Summary: "Listen for messages published to the given shard channels", Syntax: "shardchannel [shardchannel ...]"},
			when: inOrder, role: subscribes, run: (*conn).cmdSSubscribe}),
		{spec: command.Spec{Name: "unsubscribe", Arity: -1, Flags: flags, Since: "2.0.0", Complexity: perName,
			Summary: "Stop listening for messages posted to the given channels", Syntax: "[channel [channel ...]]"},
			when: inOrder, role: subscribes, run: func(c *conn, argv [][]byte) { c.unsubscribe(store.Channels, argv[1:]) }},
		{spec: command.Spec{Name: "punsubscribe", Arity: -1, Flags: flags, Since: "2.0.0", Complexity: perName,
			Summary: "Stop listening for messages posted to channels matching the given patterns", Syntax: "[pattern [pattern ...]]"},
			when: inOrder, role: subscribes, run: func(c *conn, argv [][]byte) { c.unsubscribe(store.Patterns, argv[1:]) }},
		channels(local{spec: command.Spec{Name: "sunsubscribe", Arity: -1, Flags: flags, Since: "7.0.0", Complexity: perName,
			Summary: "Stop listening for messages posted to the given shard channels", Syntax: "[shardchannel [shardchannel ...]]"},
			when: inOrder, role: subscribes, run: func(c *conn, argv [][]byte) { c.unsubscribe(store.ShardChannels, argv[1:]) }}),
		pubsubContainer(),
	}
	for i := range family {
		family[i].spec.Group = group
	}
	return family
}

// pubsubContainer is about the subscribers of the whole cluster, whichever node is
// asked: to clients it is one server.
func pubsubContainer() local {
	const flags = command.PubSub | command.Loading | command.Stale
	sub := func(name string, arity int, since, complexity, summary, syntax string, run func(*conn, [][]byte)) local {
		return local{spec: command.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Complexity: complexity, Summary: summary, Syntax: syntax}, when: inOrder, run: run}
	}
	const matching = "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)"
	help := command.Help("pubsub", "pubsub", "6.2.0",
		"CHANNELS [<pattern>]",
		"    Return the currently active channels matching a <pattern> (default: '*').",
		"NUMPAT",
		"    Return number of subscriptions to patterns.",
		"NUMSUB [<channel> ...]",
		"    Return the number of subscribers for the specified channels, excluding",
		"    pattern subscriptions(default: no channels).",
		"SHARDCHANNELS [<pattern>]",
		"    Return the currently active shard level channels matching a <pattern> (default: '*').",
		"SHARDNUMSUB [<shardchannel> ...]",
		"    Return the number of subscribers for the specified shard level channel(s)")
	help.ACL = "slow"
	return local{
		spec: command.Spec{Name: "pubsub", Arity: -2, Since: "2.8.0", Complexity: "Depends on subcommand.", Summary: "A container for Pub/Sub commands"},
		subs: []local{
			sub("channels", -2, "2.8.0", matching, "List active channels", "[pattern]", func(c *conn, argv [][]byte) { c.pubsubChannels(store.Channels, argv) }),
			sub("numpat", 2, "2.8.0", "O(1)", "Get the count of unique patterns pattern subscriptions", "", func(c *conn, _ [][]byte) {
				c.enc.Int(int64(c.srv.store.CountSubscribed(store.Patterns)))
			}),
			sub("numsub", -2, "2.8.0", "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
				"Get the count of subscribers for channels", "[channel [channel ...]]", func(c *conn, argv [][]byte) { c.pubsubNumsub(store.Channels, argv[2:]) }),
			sub("shardchannels", -2, "7.0.0", matching, "List active shard channels", "[pattern]", func(c *conn, argv [][]byte) { c.pubsubChannels(store.ShardChannels, argv) }),
			sub("shardnumsub", -2, "7.0.0", "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
				"Get the count of subscribers for shard channels", "[shardchannel [shardchannel ...]]", func(c *conn, argv [][]byte) { c.pubsubNumsub(store.ShardChannels, argv[2:]) }),
			{spec: *help},
		},
	}
}

func (c *conn) pubsubChannels(kind store.Topic, argv [][]byte) {
	if len(argv) > 3 {
		c.enc.Error(subcommandSyntax(argv))
		return
	}
	names := c.srv.store.Subscribed(kind)
	if len(argv) == 3 {
		kept := names[:0]
		for _, name := range names {
			if glob.MatchString(argv[2], name) {
				kept = append(kept, name)
			}
		}
		names = kept
	}
	c.enc.Strings(names...)
}

func (c *conn) pubsubNumsub(kind store.Topic, names [][]byte) {
	c.enc.Array(2 * len(names))
	for _, name := range names {
		c.enc.Bulk(name)
		c.enc.Int(c.srv.store.Subscribers(kind, name))
	}
}

// cmdSSubscribe refuses in a transaction, where Redis does.
func (c *conn) cmdSSubscribe(argv [][]byte) {
	if c.executing {
		c.enc.Error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
		return
	}
	c.subscribe(store.ShardChannels, argv[1:])
}
