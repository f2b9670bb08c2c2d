package integration

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// readyz asks a node's debug listener.
func readyz(addr string) (status int, text string, err error) {
	r, err := http.Get("http://" + addr + "/readyz")
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r.StatusCode, strings.TrimSpace(string(body)), err
}

// TestJoiningNodeIsNotReady: while a node receives the data of the cluster it
// joins it says so, everywhere, and no read sees the empty state before it. After
// that it has everything.
func TestJoiningNodeIsNotReady(t *testing.T) {
	const keys, size = 96, 1 << 20
	c := start(t, 1, "--snapshot-bytes", "1mb", "--snapshot-catch-up-bytes", "65536")
	conn := connect(t, c.Nodes[0].Addr)
	value := strings.Repeat("x", size)
	for i := range keys {
		must(t, conn, "SET", fmt.Sprint("key", i), value)
	}
	must(t, conn, "SET", "last", "here")
	must(t, conn, "SAVE")

	second, err := c.Join(2)
	if err != nil {
		t.Fatal(err)
	}
	debug, err := cluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	second.Args = append(second.Args, "--http", debug)
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	waited := 0
	for ; ; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the node was loading for too long:\n%s", tail(second.LogFile(), 20))
		}
		reply, err := ask(second.Addr, "GET", "last")
		if err == nil {
			if reply.Str != "here" {
				t.Fatalf("a joining node answers %s", reply)
			}
			break
		}
		if !strings.Contains(err.Error(), "LOADING") {
			continue // it does not listen yet
		}
		waited++
		status, text, err := readyz(debug)
		if err != nil {
			t.Fatal(err)
		}
		info, err := second.Info("persistence", "replication")
		if err != nil {
			t.Fatal(err)
		}
		// It may have become ready in between.
		if _, err := ask(second.Addr, "GET", "last"); err == nil {
			break
		}
		if status != http.StatusServiceUnavailable || text == "" {
			t.Fatalf("/readyz of a loading node: %d %q", status, text)
		}
		if info["loading"] != "1" || info["role"] != "slave" || info["master_link_status"] != "down" {
			t.Fatalf("INFO of a loading node: loading:%s role:%s master_link_status:%s", info["loading"], info["role"], info["master_link_status"])
		}
	}
	if waited == 0 {
		t.Error("the node never said that it was loading")
	}
	eventually(t, "/readyz", func() error {
		status, text, err := readyz(debug)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %s", status, text)
		}
		return err
	})
	info, err := second.Info("persistence", "replication")
	if err != nil {
		t.Fatal(err)
	}
	if info["loading"] != "0" || info["master_link_status"] != "up" || info["master_sync_in_progress"] != "0" {
		t.Errorf("INFO of a node that is ready: loading:%s master_link_status:%s master_sync_in_progress:%s", info["loading"], info["master_link_status"], info["master_sync_in_progress"])
	}
	c.sameDigests()
}

// TestStartWithoutLeader: of three nodes one starts alone. With data of its own it
// serves them after a while; before, and for ever if it is new, it has clients
// wait.
func TestStartWithoutLeader(t *testing.T) {
	c := start(t, 3)
	conn := connect(t, c.Nodes[0].Addr)
	must(t, conn, "SET", "a", "1")
	c.sameDigests()
	for _, n := range c.Nodes {
		n.Kill()
	}
	alone := c.Nodes[0]
	if err := alone.Start(); err != nil {
		t.Fatal(err)
	}
	waited := false
	eventually(t, "stale data", func() error {
		reply, err := ask(alone.Addr, "GET", "a")
		// It may not know that its last entries are committed.
		if err == nil && reply.Str != "1" && reply.Str != "" {
			t.Fatalf("the node answers %s", reply)
		}
		waited = waited || err != nil && strings.Contains(err.Error(), "LOADING")
		return err
	})
	if !waited {
		t.Error("it did not look for a leader before it served what may be stale")
	}
	info, err := alone.Info("persistence", "replication")
	if err != nil {
		t.Fatal(err)
	}
	if info["loading"] != "0" || info["master_link_status"] != "down" {
		t.Errorf("a node without a leader: loading:%s master_link_status:%s", info["loading"], info["master_link_status"])
	}
	c.startAll()
	c.sameDigests()
}
