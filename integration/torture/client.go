package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// worker is one client. It keeps a connection to some node until that breaks,
// and then takes another node, as a client library would.
type worker struct {
	id   int
	t    *torture
	rng  *rand.Rand
	conn *cluster.Client
	node *cluster.Node
	mode string // READWRITE: linearizable reads; READONLY: local ones
}

// connect makes sure that there is a connection. It does not wait: a worker
// that finds no node tries again with its next operation.
func (w *worker) connect() bool {
	if w.conn != nil {
		return true
	}
	nodes := w.t.nodes()
	w.node = nodes[w.rng.IntN(len(nodes))]
	conn, err := cluster.Dial(w.node.Addr)
	if err != nil {
		w.rest(20 * time.Millisecond)
		return false
	}
	conn.Timeout = clientTimeout
	if reply, err := conn.Do(w.mode); err != nil || reply != "OK" {
		conn.Close()
		w.rest(20 * time.Millisecond)
		return false
	}
	w.conn = conn
	return true
}

// rest is a client's pause between two operations, cut short at the end.
func (w *worker) rest(d time.Duration) {
	select {
	case <-w.t.stop:
	case <-time.After(d):
	}
}

func (w *worker) hangUp() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// do runs one command and classifies what came of it.
func (w *worker) do(args ...string) (any, outcome) {
	reply, err := w.conn.Do(args...)
	o := classify(reply, err)
	if err != nil {
		w.hangUp()
	}
	w.t.count(o)
	if o == broken {
		w.t.fail("%v answered %v", args, reply)
	}
	return reply, o
}

// registers runs random steps on shared keys of four kinds. Keys are given up
// after a while, because checking takes time exponential in what is unknown.
func (w *worker) registers() {
	w.mode = "READWRITE"
	for !w.t.stopped() {
		if !w.connect() {
			continue
		}
		h := w.t.key(w.rng.IntN(registerKeys))
		in := w.step(h.key)
		begin := w.t.now()
		reply, o := w.do(in.args(h.key)...)
		h.record(w.id, in, begin, observe(reply), w.t.now(), o)
		if o == notApplied {
			w.hangUp() // perhaps another node is better off
		}
		w.rest(time.Duration(w.rng.IntN(8)) * time.Millisecond)
	}
	w.hangUp()
}

func (w *worker) step(key string) step {
	unique := fmt.Sprintf("<%d.%d>", w.id, w.rng.Uint32())
	switch key[0] {
	case 'c':
		return step{cmd: []string{"incr", "incr", "get"}[w.rng.IntN(3)]}
	case 'a':
		if w.rng.IntN(3) > 0 {
			return step{"append", unique}
		}
		return step{cmd: "get"}
	case 'l':
		if w.rng.IntN(3) > 0 {
			return step{"rpush", unique}
		}
		return step{cmd: "lrange"}
	}
	switch w.rng.IntN(8) {
	case 0, 1, 2:
		return step{"set", unique}
	case 3:
		return step{"setnx", unique}
	case 4:
		return step{"getset", unique}
	case 5:
		return step{cmd: "del"}
	}
	return step{cmd: "get"}
}

// pipelines checks that a connection sees its own writes in their order, on
// whatever node and with local reads.
func (w *worker) pipelines() {
	w.mode = "READONLY"
	key := fmt.Sprintf("p%d", w.id)
	for i := 0; !w.t.stopped(); i++ {
		if !w.connect() {
			continue
		}
		const depth = 8
		var sent []string
		for j := range depth {
			v := fmt.Sprintf("%d.%d", i, j)
			sent = append(sent, v)
			w.conn.Send("SET", key, v)
			w.conn.Send("GET", key)
		}
		err := w.conn.Flush()
		for j := 0; err == nil && j < depth; j++ {
			var set, get any
			if set, err = w.conn.Receive(); err != nil {
				break
			}
			if get, err = w.conn.Receive(); err != nil {
				break
			}
			o := classify(set, nil)
			w.t.count(o)
			if o == broken {
				w.t.fail("SET in a pipeline answered %v", set)
			}
			if o == applied && get != sent[j] {
				w.t.fail("pipeline: after SET %s %s came GET %v", key, sent[j], get)
			}
		}
		if err != nil {
			w.hangUp()
		}
		w.rest(time.Duration(w.rng.IntN(20)) * time.Millisecond)
	}
	w.hangUp()
}

// monotonic writes two keys at once and checks, with local reads, that nobody
// ever sees one without the other, and that one connection never goes back in
// time.
func (w *worker) monotonic() {
	w.mode = "READONLY"
	var last int64
	for !w.t.stopped() {
		if w.conn == nil {
			last = 0 // a new connection may be to a node that is behind
		}
		if !w.connect() {
			continue
		}
		if w.rng.IntN(3) == 0 {
			n := strconv.FormatInt(w.t.next.Add(1), 10)
			w.do("MSET", "m:left", n, "m:right", n)
		} else if reply, o := w.do("MGET", "m:left", "m:right"); o == applied {
			pair, ok := reply.([]any)
			if !ok || len(pair) != 2 || pair[0] != pair[1] {
				w.t.fail("MSET is not atomic: MGET on node %d answered %v", w.node.ID, reply)
			}
		}
		if w.conn == nil {
			continue
		}
		if w.id%2 == 0 {
			w.do("INCR", "m:count")
		}
		if w.conn == nil {
			continue
		}
		if reply, o := w.do("GET", "m:count"); o == applied {
			text, _ := reply.(string)
			n, _ := strconv.ParseInt(text, 10, 64)
			if n < last {
				w.t.fail("local reads on one connection to node %d went from %d back to %d", w.node.ID, last, n)
			}
			last = n
		}
		w.rest(time.Duration(w.rng.IntN(10)) * time.Millisecond)
	}
	w.hangUp()
}

// expiring sets keys with a deadline and looks at them from everywhere.
func (w *worker) expiring() {
	w.mode = "READWRITE"
	for i := 0; !w.t.stopped(); i++ {
		if !w.connect() {
			continue
		}
		key := fmt.Sprintf("e%d.%d", w.id, i)
		ttl := time.Duration(200+w.rng.IntN(1200)) * time.Millisecond
		era := w.t.clockEra.Load()
		asked := w.t.now()
		_, o := w.do("SET", key, "v", "PX", strconv.FormatInt(ttl.Milliseconds(), 10))
		answered := w.t.now()
		if o != applied {
			continue
		}
		for end := answered + ttl + 700*time.Millisecond; w.t.now() < end && !w.t.stopped(); {
			w.look(key, ttl, asked, answered, era)
			w.rest(time.Duration(20+w.rng.IntN(150)) * time.Millisecond)
		}
	}
	w.hangUp()
}

// look reads the key once, linearizably on the own connection or locally on
// any node, and holds the answer against the clock of this process.
func (w *worker) look(key string, ttl, asked, answered time.Duration, era int64) {
	var reply any
	var err error
	var where string
	local := w.rng.IntN(2) == 0
	begin := w.t.now()
	if local {
		nodes := w.t.nodes()
		n := nodes[w.rng.IntN(len(nodes))]
		where = fmt.Sprintf("locally on node %d", n.ID)
		var c *cluster.Client
		if c, err = cluster.Dial(n.Addr); err == nil {
			c.Timeout = clientTimeout
			reply, err = c.Do("GET", key)
			c.Close()
		}
	} else {
		if !w.connect() {
			return
		}
		where = fmt.Sprintf("linearizably on node %d", w.node.ID)
		reply, err = w.conn.Do("GET", key)
		if err != nil {
			w.hangUp()
		}
	}
	end := w.t.now()
	if classify(reply, err) != applied || w.t.clockEra.Load() != era || w.t.clueless.Load() >= w.t.majority() {
		return
	}
	_, gone := reply.(cluster.Nil)
	switch {
	case !gone && begin > answered+ttl+expirySlack:
		w.t.fail("%s with %v to live was seen %s %v after it was acknowledged", key, ttl, where, begin-answered)
	case gone && !local && end < asked+ttl-ttl/500:
		w.t.fail("%s with %v to live was gone %s %v after it was asked for", key, ttl, where, end-asked)
	}
}
