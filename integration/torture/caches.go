package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// cachedKeys is how many counters the caches hold.
const cachedKeys = 6

// cache is what a client has read, as client-side caching libraries keep it: a push
// takes away, a reply puts in, and a broken connection takes all.
type cache struct {
	values map[string]int64
	told   int
}

func (c *cache) push(p []any) {
	if len(p) != 2 || p[0] != "invalidate" {
		return
	}
	c.told++
	keys, ok := p[1].([]any)
	if !ok { // null: everything
		clear(c.values)
		return
	}
	for _, key := range keys {
		delete(c.values, fmt.Sprint(key))
	}
}

// trackingModes are how the caches ask to be told.
var trackingModes = [][]string{
	{"CLIENT", "TRACKING", "ON"},
	{"CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "cached:"},
	{"CLIENT", "TRACKING", "ON", "OPTIN"},
	{"CLIENT", "TRACKING", "ON", "OPTOUT"},
}

// caches keeps counters that only grow in a cache, and checks that it never holds
// a value that is older than one which was on its node before: what another
// connection to that node has read, the next round trip must have told of.
func (w *worker) caches() {
	w.mode = "READONLY"
	var local *cluster.Client
	hangUp := func() {
		w.hangUp()
		if local != nil {
			local.Close()
			local = nil
		}
	}
	c := &cache{values: map[string]int64{}}
	mode := 0
	for !w.t.stopped() {
		if w.conn == nil {
			hangUp()
			clear(c.values)
			if !w.connect() {
				continue
			}
			w.conn.OnPush = c.push
			mode = w.rng.IntN(len(trackingModes))
			var err error
			if _, err = w.conn.Do("HELLO", "3"); err == nil {
				_, err = w.conn.Do(trackingModes[mode]...)
			}
			if err == nil {
				local, err = cluster.Dial(w.node.Addr)
			}
			if err != nil {
				hangUp()
				continue
			}
			local.Timeout = clientTimeout
		}
		if !w.fill(c, trackingModes[mode][len(trackingModes[mode])-1] == "OPTIN") {
			continue
		}
		key := fmt.Sprintf("cached:%d", w.rng.IntN(cachedKeys))
		reply, err := local.Do("GET", key)
		if err != nil {
			hangUp()
			continue
		}
		there, ok := number(reply)
		if pong, o := w.do("PING"); !ok || o != applied || pong != "PONG" {
			continue
		}
		if mine, cached := c.values[key]; cached && mine < there {
			w.t.fail("a cache over node %d (%v) has %s at %d, which was %d there, and was not told", w.node.ID, trackingModes[mode], key, mine, there)
			delete(c.values, key)
		}
		w.rest(time.Duration(w.rng.IntN(6)) * time.Millisecond)
	}
	hangUp()
	w.t.told.Add(int64(c.told))
}

// fill sends a pipeline of reads and now and then a write, and keeps what is read. It
// reports false if the connection broke.
func (w *worker) fill(c *cache, optIn bool) bool {
	type read struct{ key string }
	var sent []read
	send := func(key string, args ...string) {
		w.conn.Send(args...)
		sent = append(sent, read{key})
	}
	for range 1 + w.rng.IntN(4) {
		key := fmt.Sprintf("cached:%d", w.rng.IntN(cachedKeys))
		if w.rng.IntN(3) == 0 {
			send("", "INCR", key)
		}
		if optIn {
			send("", "CLIENT", "CACHING", "YES")
		}
		send(key, "GET", key)
	}
	if err := w.conn.Flush(); err != nil {
		w.hangUp()
		return false
	}
	for _, s := range sent {
		reply, err := w.conn.Receive()
		if err != nil {
			w.hangUp()
			return false
		}
		if n, ok := number(reply); ok && s.key != "" {
			c.values[s.key] = n
		}
	}
	return true
}

func number(reply any) (int64, bool) {
	s, ok := reply.(string)
	n, err := strconv.ParseInt(s, 10, 64)
	return n, ok && err == nil
}
