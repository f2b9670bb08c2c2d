package integration

import (
	"fmt"
	"strings"
	"testing"
)

// tracker is a RESP3 client that has a key in its cache.
func (c *nodes) tracker(addr, key string) *conn {
	c.t.Helper()
	client := connect(c.t, addr)
	must(c.t, client, "HELLO", "3")
	must(c.t, client, "CLIENT", "TRACKING", "ON")
	must(c.t, client, "GET", key)
	return client
}

// told waits until the client hears that the key is invalid.
func told(t *testing.T, who string, c *conn, key string) {
	t.Helper()
	v, err := c.Receive()
	if err != nil || v.Type != '>' || len(v.Elems) != 2 || v.Elems[0].Str != "invalidate" || strings.Join(v.Elems[1].Strings(), " ") != key {
		t.Fatalf("%s heard %v, %v, want that %s is invalid", who, v, err, key)
	}
}

// TestTracking: clients of leader and followers hear of writes wherever they were made,
// and go on to after the leader's death. Nothing that they hold is older than what
// they were told.
func TestTracking(t *testing.T) {
	c := start(t, 3)
	writer := connect(t, c.leader().Addr)
	must(t, writer, "SET", "k", "0")
	for i, from := range c.Nodes {
		var clients []*conn
		for _, n := range c.Nodes {
			clients = append(clients, c.tracker(n.Addr, "k"))
		}
		must(t, connect(t, from.Addr), "SET", "k", fmt.Sprint(i))
		for j, client := range clients {
			told(t, fmt.Sprintf("a client of node %d", c.Nodes[j].ID), client, "k")
			if v := must(t, client, "GET", "k"); v.Str != fmt.Sprint(i) {
				t.Errorf("node %d has told of a write and then answers %v", c.Nodes[j].ID, v)
			}
		}
	}
	// Expiry is an entry of the log like any other.
	must(t, writer, "SET", "e", "1", "PX", "200")
	follower := c.follower()
	client := c.tracker(follower.Addr, "e")
	if v, err := client.Receive(); err != nil || v.Type != '>' {
		t.Fatalf("heard %v, %v of an expired key", v, err)
	}
	client = c.tracker(follower.Addr, "k")
	leader := c.leader()
	leader.Kill()
	other := c.leader()
	eventually(t, "writes are possible again", func() error {
		v, err := connect(t, other.Addr).Do("SET", "k", "after")
		if err == nil && v.IsError() {
			err = fmt.Errorf("%v", v)
		}
		return err
	})
	told(t, "a client of a follower, after the leader's death", client, "k")
	if v := must(t, client, "GET", "k"); v.Str != "after" {
		t.Errorf("it reads %v", v)
	}
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	c.sameDigests()
}
