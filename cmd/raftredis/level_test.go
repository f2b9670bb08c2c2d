package main

import (
	"testing"

	"github.com/raftredis/raftredis/raftnode"
)

// A node that may have to go back to 0.1.0 begins with a log that 0.1.0 can read.
func TestLogOfAKeptLevel(t *testing.T) {
	for level, want := range map[string]raftnode.LogEngine{"auto": "", "1": raftnode.EtcdLog, "2": ""} {
		o := newOptions()
		if err := o.clusterLevel.Set(level); err != nil {
			t.Fatal(err)
		}
		if cfg := o.raftConfig(nil); cfg.NewLogEngine != want || cfg.LogEngine != "" {
			t.Errorf("cluster-level %s: a new directory gets %q, any %q", level, cfg.NewLogEngine, cfg.LogEngine)
		}
	}
}
