package resp

import (
	"github.com/raftredis/raftredis/resp/wire"
	"github.com/raftredis/raftredis/store"
)

// What a connection does to listen. Its subscriptions are the store's (store.Subscriber),
// which hands it every message on the apply loop's goroutine. There it is only put
// into the push queue: it is written between two replies, on the connection's own.

// listening is what a connection subscribes to.
type listening struct {
	counts     [store.ShardChannels + 1]int
	announcing bool // the log is yet to hear of a change: see conn.announce
}

// total is how many subscriptions there are.
func (l *listening) total() int {
	return l.counts[store.Channels] + l.counts[store.Patterns] + l.counts[store.ShardChannels]
}

// shown is the number that the reply to a subscription of that kind shows.
func (l *listening) shown(kind store.Topic) int {
	if kind == store.ShardChannels {
		return l.counts[kind]
	}
	return l.counts[store.Channels] + l.counts[store.Patterns]
}

// topicWords are what Redis calls a subscription, its end, and its messages.
//
//nolint:gochecknoglobals // a constant that Go cannot write as one
var topicWords = [...]struct{ subscribe, unsubscribe, message string }{
	store.Channels:      {"subscribe", "unsubscribe", "message"},
	store.Patterns:      {"psubscribe", "punsubscribe", "pmessage"},
	store.ShardChannels: {"ssubscribe", "sunsubscribe", "smessage"},
}

// subscribe subscribes to names. The replies, which are messages that CLIENT REPLY does
// not silence, are held back until that is in force: see announce.
func (c *conn) subscribe(kind store.Topic, names [][]byte) {
	if c.subscriber.Deliver == nil {
		c.subscriber.Deliver, c.subscriber.Cut = c.deliver, c.link.Kill
	}
	to := &c.sink.client
	for _, name := range names {
		if c.srv.store.Subscribe(&c.subscriber, kind, name) {
			c.listen.counts[kind]++
			c.listen.announcing = true
			c.listens.Store(true)
		}
		to.Push(3)
		to.BulkString(topicWords[kind].subscribe)
		to.Bulk(name)
		to.Int(int64(c.listen.shown(kind)))
	}
}

// unsubscribe ends subscriptions, all of a kind if no names are given.
func (c *conn) unsubscribe(kind store.Topic, names [][]byte) {
	to, word := &c.sink.client, topicWords[kind].unsubscribe
	if len(names) == 0 {
		if c.listen.counts[kind] == 0 {
			to.Push(3)
			to.BulkString(word)
			to.Null()
			to.Int(int64(c.listen.shown(kind)))
			return
		}
		for _, name := range c.srv.store.Subscriptions(&c.subscriber, kind) {
			names = append(names, []byte(name))
		}
	}
	for _, name := range names {
		if c.srv.store.Unsubscribe(&c.subscriber, kind, string(name)) {
			c.listen.counts[kind]--
			c.listen.announcing = true
			c.listens.Store(c.listen.total() > 0)
			if !c.executing { // else this would be in the middle of the replies of EXEC
				c.takePushes() // what it had before comes before the reply
			}
		}
		to.Push(3)
		to.BulkString(word)
		to.Bulk(name)
		to.Int(int64(c.listen.shown(kind)))
	}
}

// unlisten ends all subscriptions without a word, for RESET.
func (c *conn) unlisten() {
	c.srv.store.Unlisten(&c.subscriber, false)
	c.listen = listening{}
	c.listens.Store(false)
}

// announce waits until the changes of subscriptions that have been made are in force.
// A pipeline of SUBSCRIBE waits once, at its end.
func (c *conn) announce() {
	c.endRead()
	c.listen.announcing = false
	c.wait(forAudience)
	c.srv.store.Announce(c.signal)
}

// inSubscribedMode reports whether the connection may do nothing but listen. In RESP3
// messages can be told from replies, and it may do anything.
func (c *conn) inSubscribedMode() bool { return !c.enc.RESP3() && c.listen.total() > 0 }

// deliver takes a message. The apply loop calls it: see store.Subscriber.
func (c *conn) deliver(m *store.Message) {
	c.push.put(pushed{message: m}, int64(len(m.Name)+len(m.Channel)+len(m.Payload)+messageOverhead))
	c.link.Wake()
	if c.overOutputLimit(closedSoon) {
		c.link.Kill()
	}
}

// messageOverhead is about what a message takes beside its words.
const messageOverhead = 48

func writeMessage(e *wire.Encoder, m *store.Message) {
	n := 3
	if m.Topic == store.Patterns {
		n = 4
	}
	e.Push(n)
	e.BulkString(topicWords[m.Topic].message)
	e.BulkString(m.Name)
	if m.Topic == store.Patterns {
		e.BulkString(m.Channel)
	}
	e.Bulk(m.Payload)
}
