package command

import "github.com/raftredis/raftredis/store/keyspace"

// The commands that send messages. They go through the log, so that every node hears
// of a message at the same place among the writes; who listens is the front's.

// PubSubs returns them.
func PubSubs() []*Spec {
	const flags = PubSub | Loading | Stale | Fast | MayReplicate
	return []*Spec{
		{
			Name: "publish", Arity: 3, Flags: flags, Channels: FirstChannel, Group: "pubsub", Since: "2.0.0",
			Complexity: "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).",
			Summary:    "Post a message to a channel", Syntax: "channel message",
			Write: func(w *Write) { w.Reply.Int(w.Publish(false, w.Args[1], w.Args[2])) },
		},
		{
			Name: "spublish", Arity: 3, Flags: flags, Channels: FirstChannel, Group: "pubsub", Since: "7.0.0", Keys: One(1, "NOT_KEY"),
			Complexity: "O(N) where N is the number of clients subscribed to the receiving shard channel.",
			Summary:    "Post a message to a shard channel", Syntax: "shardchannel message",
			Write: func(w *Write) { w.Reply.Int(w.Publish(true, w.Args[1], w.Args[2])) },
		},
	}
}

// The internal commands about keyspace events: which classes are told is a
// directive, and state. See Limits.
const (
	GetEvents = "config.get-events" // replies the classes as notify-keyspace-events has them
	SetEvents = "config.set-events" // classes
	Missed    = "keyspace.missed"   // key [key ...]: reads of a node have not found them
)

// ErrEvents is Redis's answer to a class that there is not.
const ErrEvents = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."

// Events declares the internal commands about keyspace events.
func Events() []*Spec {
	return []*Spec{
		{
			Name: GetEvents, Arity: 1, Group: "server", Since: "2.8.0", Internal: true,
			Complexity: "O(1)",
			Summary:    "Get the classes of keyspace events that are told",
			Read:       func(r *Read) { r.Reply.BulkString(r.DB.Events().String()) },
		},
		{
			Name: SetEvents, Arity: 2, Group: "server", Since: "2.8.0", Internal: true,
			Complexity: "O(1)",
			Summary:    "Set the classes of keyspace events that are told", Syntax: "classes",
			Write: setEvents,
		},
		{
			Name: Missed, Arity: -2, Group: "server", Since: "6.0.0", Internal: true,
			Complexity: "O(N) where N is the number of keys",
			Summary:    "Tell of reads of keys that are not there", Syntax: "key [key ...]",
			Write: func(w *Write) {
				for _, key := range w.Args[1:] {
					w.event(keyspace.EventMiss, "keymiss", key)
				}
				w.OK()
			},
		},
	}
}

// EventsOK reports whether all letters of notify-keyspace-events are classes.
func EventsOK(classes string) bool {
	_, ok := keyspace.ParseEvents(classes)
	return ok
}

// SameEvents reports whether two values of notify-keyspace-events mean the same.
func SameEvents(a, b string) bool {
	x, _ := keyspace.ParseEvents(a)
	y, _ := keyspace.ParseEvents(b)
	return x == y
}

func setEvents(w *Write) {
	classes, ok := keyspace.ParseEvents(string(w.Args[1]))
	if !ok {
		w.Reply.Error("ERR " + ErrEvents)
		return
	}
	w.Space.SetEvents(classes)
	w.OK()
}
