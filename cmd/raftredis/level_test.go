package main

import "testing"

// A node that may have to go back to 0.1.0 begins with a log that 0.1.0 can read.
func TestLevelOfANewDirectory(t *testing.T) {
	for level, journal := range map[string]bool{"auto": true, "1": false, "2": true} {
		o := newOptions()
		if err := o.clusterLevel.Set(level); err != nil {
			t.Fatal(err)
		}
		cfg := o.raftConfig(nil)
		if told, inForce := cfg.TellLevel(); told >= cfg.JournalLevel != journal || inForce >= cfg.JournalLevel {
			t.Errorf("cluster-level %s: it tells %d, with %d in force, and journals need %d", level, told, inForce, cfg.JournalLevel)
		}
	}
}
