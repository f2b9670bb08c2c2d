package integration

import (
	"context"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// persistPoints are the places of the persist path at which a node is made to
// die: before and after each step that a restart has to cope with.
var persistPoints = []string{
	"walBeforeSave", "walAfterSave", "walBeforeRelease",
	"snapBodyBeforeSync", "snapBodyBeforeRename", "snapBodyBeforeDirSync", "snapBodyAfterDirSync",
	"snapBeforeDescriptor", "snapBeforeDescriptorDirSync", "snapBeforeWALRecord", "snapAfterWALRecord",
	"purge", "incarnationBeforeRename", "promiseBeforeRename",
}

// TestCrashAtEveryPoint: a node dies at each step of writing the log and
// snapshots, under load, and comes back; every acknowledged write is there once.
func TestCrashAtEveryPoint(t *testing.T) {
	c := start(t, 3, "--snapshot-bytes", "4096", "--snapshot-catch-up-bytes", "1024")
	victim := c.Nodes[2]
	w := count(c.Nodes[:2], 6, "n")
	for _, point := range persistPoints {
		passing := "=2" // the first may come before the node takes part
		if point == "incarnationBeforeRename" {
			passing = "=1"
		}
		victim.Kill()
		if err := victim.Start("--failpoint", point+passing); err != nil {
			t.Fatal(err)
		}
		if err := waitExit(victim); err != nil {
			t.Fatalf("%s is never passed: %v", point, err)
		}
		if victim.ExitCode() != -1 {
			t.Fatalf("%s: exit status %d instead of a kill: %s", point, victim.ExitCode(), tail(victim.LogFile(), 1))
		}
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		c.ready()
		w.waitAcked(t, 20)
	}
	w.finish(t, c, "n")
}

// waitExit waits for a node to end by itself.
func waitExit(n *cluster.Node) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return n.WaitExit(ctx)
}

// TestDiskError: a node whose disk fails stops at once and says why, and the
// others go on.
func TestDiskError(t *testing.T) {
	c := start(t, 3, "--snapshot-bytes", "4096", "--snapshot-catch-up-bytes", "1024")
	w := count(c.Nodes, 6, "n")
	for i, point := range []string{"walBeforeSave", "snapBeforeWALRecord"} {
		victim := c.Nodes[i]
		w.waitAcked(t, 100)
		victim.Kill()
		if err := victim.Start("--failpoint", point+"=2:error"); err != nil {
			t.Fatal(err)
		}
		if err := waitExit(victim); err != nil {
			t.Fatalf("a node goes on with a disk that fails: %v", err)
		}
		if last := tail(victim.LogFile(), 1); victim.ExitCode() != 1 || !strings.HasPrefix(last, "raftredis: ") || !strings.Contains(last, point) {
			t.Errorf("%s: exit status %d, last words %s", point, victim.ExitCode(), last)
		}
		w.waitAcked(t, 100)
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		c.ready()
	}
	w.finish(t, c, "n")
}
