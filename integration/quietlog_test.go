package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// TestQuietLog: while a member is down, the others say so, once, and do not fill the disk
// with it. (In two minutes they write less than 4 KB: what they still repeat they repeat
// after 10, 30, 70 seconds. So most of that is in the first of it, which is looked at here.)
func TestQuietLog(t *testing.T) {
	const down, most = 25, 3 << 10
	c := start(t, 3, "--log-format", "json")
	leader, follower := c.leader(), c.follower()
	size := map[*cluster.Node]int64{}
	for _, n := range c.Nodes {
		fi, err := os.Stat(n.LogFile())
		if err != nil {
			t.Fatal(err)
		}
		size[n] = fi.Size()
	}
	follower.Kill()
	eventually(t, "the member has been down for long enough", func() error {
		if _, err := cluster.Ask(leader.Addr, "SET", "k", "v"); err != nil {
			return err
		}
		v, err := cluster.Ask(leader.Addr, "RAFT", "STATUS", "JSON")
		if err != nil {
			return err
		}
		var st struct {
			Members []struct {
				ID            uint64
				SilentSeconds int `json:"silent_seconds"`
			}
		}
		if err := json.Unmarshal([]byte(fmt.Sprint(v)), &st); err != nil {
			t.Fatal(err)
		}
		for _, m := range st.Members {
			if m.ID == follower.ID && m.SilentSeconds < down {
				return fmt.Errorf("%d seconds so far", m.SilentSeconds)
			}
		}
		return nil
	})
	for _, n := range c.Nodes {
		if n == follower {
			continue
		}
		content, err := os.ReadFile(n.LogFile())
		if err != nil {
			t.Fatal(err)
		}
		added := content[size[n]:]
		if len(added) > most {
			t.Errorf("node %d has added %d bytes:\n%s", n.ID, len(added), added)
		}
		for line := range strings.Lines(string(added)) {
			var is struct{ Level, Time, Msg string }
			if err := json.Unmarshal([]byte(line), &is); err != nil || is.Level == "" || is.Time == "" || is.Msg == "" {
				t.Errorf("node %d: a line that is not JSON, or lacks something: %v: %s", n.ID, err, line)
			}
		}
		if n := bytes.Count(added, []byte("a member does not answer")); n > 1 {
			t.Errorf("it is said %d times", n)
		}
	}
	content, err := os.ReadFile(leader.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, fmt.Appendf(nil, `"member":%d,"of":%d}`, leader.ID, follower.ID)) {
		t.Errorf("the leader does not say who is gone:\n%s", content)
	}
}
