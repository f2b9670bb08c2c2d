package integration

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// TestPubSubOrder: a subscriber at each node, publishers at each, and the leader dies.
// The subscribers on nodes that live hear every message that PUBLISH has acknowledged,
// none twice, all in one order; and who hears of a write can read it there.
func TestPubSubOrder(t *testing.T) {
	c := start(t, 3)
	const publishers, each = 3, 150
	type ear struct {
		node *cluster.Node
		l    *listener
		read *conn
		all  []string
	}
	var ears []*ear
	for _, n := range c.Nodes {
		ears = append(ears, &ear{node: n, l: listen(t, n.Addr, "PSUBSCRIBE", "news.*", markChannel), read: connect(t, n.Addr)})
	}
	if n, err := must(t, connect(t, c.Nodes[0].Addr), "PUBLISH", "news.first", "first").Int(); err != nil || n != 3 {
		t.Fatalf("PUBLISH answers %d, %v: there is one subscriber at each of three nodes", n, err)
	}
	if v := must(t, ears[1].read, "PUBSUB", "NUMPAT"); v.Str != "2" {
		t.Fatalf("NUMPAT: %s", show(v))
	}
	dead := c.leader()

	var mu sync.Mutex
	var acknowledged []string
	var group sync.WaitGroup
	for p := range publishers {
		group.Go(func() {
			var at *conn
			for i := range each {
				name := fmt.Sprintf("%d:%d", p, i)
				for try := 0; ; try++ {
					if at == nil {
						var err error
						if at, err = dial(c.Nodes[(p+try)%3].Addr); err != nil {
							time.Sleep(time.Millisecond)
							continue
						}
					}
					v, err := at.Do("SET", "written", name)
					published := err == nil && !v.IsError()
					if published {
						if v, err = at.Do("PUBLISH", "news."+fmt.Sprint(p), name); err == nil && !v.IsError() {
							mu.Lock()
							acknowledged = append(acknowledged, name)
							mu.Unlock()
							break
						}
					}
					if err != nil {
						_ = at.Close()
						at = nil
					}
					if published || try > 0 {
						break // its outcome may be unknown: it is not sent again
					}
				}
				if p == 0 && i == each/2 {
					dead.Kill()
				}
			}
			if at != nil {
				_ = at.Close()
			}
		})
	}
	group.Wait()
	ears = slices.DeleteFunc(ears, func(e *ear) bool { return e.node == dead })
	mark := ears[0].read
	eventually(t, "a mark is published", func() error {
		v, err := mark.Do("PUBLISH", markChannel, "end")
		if err == nil && v.IsError() {
			err = fmt.Errorf("%s", v.Str)
		}
		return err
	})
	for _, e := range ears {
		for _, m := range e.l.until("end") {
			e.all = append(e.all, m[strings.IndexByte(m, ' ')+1:])
		}
		seen := map[string]bool{}
		for _, m := range e.all {
			if seen[m] {
				t.Errorf("node %d heard %s twice", e.node.ID, m)
			}
			seen[m] = true
		}
		for _, m := range acknowledged {
			if !seen[m] {
				t.Errorf("node %d never heard %s, which was acknowledged", e.node.ID, m)
			}
		}
	}
	if !slices.Equal(ears[0].all, ears[1].all) {
		t.Errorf("two orders:\n%q\n%q", ears[0].all, ears[1].all)
	}
	if len(acknowledged) < publishers*each/2 {
		t.Errorf("only %d of %d messages were acknowledged", len(acknowledged), publishers*each)
	}
	// The subscribers of the node that is gone are forgotten.
	eventually(t, "PUBLISH counts the living", func() error {
		if v, err := mark.Do("PUBLISH", "news.count", "x"); err != nil || v.Str != "2" {
			return fmt.Errorf("PUBLISH: %s, %v", show(v), err)
		}
		return nil
	})
}

// TestPubSubReadsWhatItHears: who hears of a write at a node can read it there, also
// if the message came out of the same transaction.
func TestPubSubReadsWhatItHears(t *testing.T) {
	c := start(t, 3)
	writer := connect(t, c.leader().Addr)
	var subs []*listener
	for _, n := range c.Nodes {
		subs = append(subs, listen(t, n.Addr, "SUBSCRIBE", "written"))
	}
	for i := range 100 {
		text := fmt.Sprint(i)
		must(t, writer, "MULTI")
		must(t, writer, "SET", "k", text)
		must(t, writer, "PUBLISH", "written", text)
		if v := must(t, writer, "EXEC"); len(v.Elems) != 2 || v.Elems[1].Str != "3" {
			t.Fatalf("EXEC: %s", show(v))
		}
		for n, l := range subs {
			if words := l.receive().Strings(); !slices.Equal(words, []string{"message", "written", text}) {
				t.Fatalf("node %d hears %q", n+1, words)
			}
			if v := must(t, l.mark, "GET", "k"); v.Str != text {
				t.Fatalf("node %d has heard of %s and reads %s", n+1, text, v.Str)
			}
		}
	}
}

// TestManySubscriptions: 100,000 subscriptions of one client are a handful of requests,
// are counted everywhere, and go with the client.
func TestManySubscriptions(t *testing.T) {
	c := start(t, 3)
	const count, perCommand = 100000, 1000
	sub := connect(t, c.follower().Addr)
	for i := 0; i < count; i += perCommand {
		cmd := []string{"SUBSCRIBE"}
		for j := range perCommand {
			cmd = append(cmd, fmt.Sprintf("channel:%d", i+j))
		}
		if _, err := sub.Write(encode(cmd...)); err != nil {
			t.Fatal(err)
		}
		for range perCommand {
			if _, err := sub.Receive(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range c.Nodes {
		at := connect(t, n.Addr)
		eventually(t, "all nodes know", func() error {
			if v := must(t, at, "PUBSUB", "NUMSUB", "channel:99999", "channel:100000"); v.Elems[1].Str != "1" || v.Elems[3].Str != "0" {
				return fmt.Errorf("NUMSUB: %s", show(v))
			}
			return nil
		})
		if v := must(t, at, "PUBLISH", "channel:77777", "x"); v.Str != "1" {
			t.Errorf("PUBLISH: %s", show(v))
		}
		if v, err := sub.Receive(); err != nil || !slices.Equal(v.Strings(), []string{"message", "channel:77777", "x"}) {
			t.Errorf("received %s, %v", show(v), err)
		}
	}
	c.sameDigests()
	if err := sub.Close(); err != nil {
		t.Fatal(err)
	}
	at := connect(t, c.leader().Addr)
	eventually(t, "they are gone", func() error {
		if v := must(t, at, "PUBSUB", "NUMSUB", "channel:99999"); v.Elems[1].Str != "0" {
			return fmt.Errorf("NUMSUB: %s", show(v))
		}
		return nil
	})
	c.sameDigests()
}

// TestSlowSubscriber: a client that does not read is cut off at its limit, the others
// go on.
func TestSlowSubscriber(t *testing.T) {
	c := start(t, 1, "--client-output-buffer-limit", "pubsub 1mb 0 0")
	addr := c.Nodes[0].Addr
	slow := connect(t, addr)
	must(t, slow, "SUBSCRIBE", "flood")
	quick := listen(t, addr, "SUBSCRIBE", "flood")
	at := connect(t, addr)
	payload := strings.Repeat("x", 64<<10)
	eventually(t, "the slow one is cut off", func() error {
		v := must(t, at, "PUBLISH", "flood", payload)
		if words := quick.receive().Strings(); words[2] != payload {
			t.Fatalf("the quick one hears %.40q", words)
		}
		if v.Str != "1" {
			return fmt.Errorf("PUBLISH: %s", show(v))
		}
		return nil
	})
}
