package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// quietFor is how long the member is down. CI has the two minutes that the limit is for, beside something else.
var quietFor = flag.Duration("quietlog.down", 25*time.Second, "how long TestQuietLog leaves a member down")

// TestQuietLog: while a member is down, the others say so and do not fill the disk with it: in
// two minutes they write less than 4 KB, and nothing more than once in ten seconds. Nearly all of
// it is said in the first ten seconds.
func TestQuietLog(t *testing.T) {
	const most = 4 << 10
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
	ctx, cancel := context.WithTimeout(t.Context(), *quietFor+patience)
	defer cancel()
	if err := cluster.Until(ctx, func() error {
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
			if m.ID == follower.ID && m.SilentSeconds < int(quietFor.Seconds()) {
				return fmt.Errorf("%d seconds so far", m.SilentSeconds)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		if n == follower {
			continue
		}
		content, err := os.ReadFile(n.LogFile())
		if err != nil {
			t.Fatal(err)
		}
		added := content[size[n]:]
		t.Logf("node %d has added %d bytes", n.ID, len(added))
		if len(added) > most {
			t.Errorf("node %d has added %d bytes:\n%s", n.ID, len(added), added)
		}
		said := map[string]time.Time{}
		for line := range strings.Lines(string(added)) {
			var is struct {
				Level, Msg string
				Time       time.Time
			}
			if err := json.Unmarshal([]byte(line), &is); err != nil || is.Level == "" || is.Time.IsZero() || is.Msg == "" {
				t.Errorf("node %d: a line that is not JSON, or lacks something: %v: %s", n.ID, err, line)
			}
			if before, again := said[about(line)]; again && is.Time.Sub(before) < 10*time.Second {
				t.Errorf("node %d has said so %v before: %s", n.ID, is.Time.Sub(before), line)
			}
			said[about(line)] = is.Time
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

// about is what makes a line the same as another: all but its time, what it counts, and the words of an error. Who it is
// about is no count.
func about(line string) string {
	var fields map[string]any
	_ = json.Unmarshal([]byte(line), &fields) // the caller has
	maps.DeleteFunc(fields, func(name string, value any) bool {
		_, number := value.(float64)
		return name == "time" || name == "error" || number && name != "of" && name != "member" && name != "leader" && name != "id"
	})
	return fmt.Sprint(fields) // in order of the names
}
