package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// With -upgrade-from a cluster begins with an older program. Until half of the time is
// over, a fault restarts one node after the other with the program that it does not run,
// forward and back, beside all other faults; the newer one keeps the cluster at the level
// of the older one. Then all run the newer one, the level rises, and the faults go on.

// hold are the options of a node that may have to go back.
func (t *torture) hold(n *cluster.Node) []string {
	if t.older == "" || n.Binary == t.older || t.upgraded {
		return nil
	}
	return []string{"--cluster-level", "1"}
}

// changeProgram restarts a node with the program that it does not run.
func changeProgram(t *torture, rng *rand.Rand) (func(), error) {
	if t.upgraded {
		return restart(t, rng)
	}
	n := pick(rng, t.nodes())
	was := "older"
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if rng.IntN(3) == 0 {
		n.Kill()
	} else if err := n.Stop(ctx); err != nil {
		return nil, err
	}
	if n.Binary == t.older {
		n.Binary = ""
	} else {
		n.Binary, was = t.older, "newer"
	}
	t.log("node %d ran the %s program", n.ID, was)
	return func() { t.start(n) }, nil
}

// finishUpgrade has all nodes run the newer program, and waits until the cluster is at its
// level. An older one does not start any more.
func (t *torture) finishUpgrade() error {
	if t.upgraded {
		return nil
	}
	t.upgraded = true
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	for _, n := range t.c.Nodes {
		n.Binary = ""
	}
	for _, n := range t.nodes() {
		if err := n.Stop(ctx); err != nil {
			return err
		}
		t.start(n)
		if err := n.WaitReady(ctx); err != nil {
			return fmt.Errorf("node %d with the newer program: %w", n.ID, err)
		}
	}
	for _, n := range t.nodes() {
		if err := cluster.Until(ctx, func() error {
			info, err := n.Info("raft")
			if err == nil && info["raft_level"] != info["raft_level_known"] {
				err = fmt.Errorf("it is at level %s of %s, waiting for %q", info["raft_level"], info["raft_level_known"], info["raft_level_waits"])
			}
			return err
		}); err != nil {
			return fmt.Errorf("node %d does not come to the new level: %w", n.ID, err)
		}
	}
	t.log("all nodes run the newer program, and its level is in force")
	victim := t.nodes()[0]
	if err := victim.Stop(ctx); err != nil {
		return err
	}
	victim.Binary = t.older
	if err := victim.Start(); err != nil {
		return err
	}
	if err := victim.WaitExit(ctx); err != nil {
		return fmt.Errorf("the older program runs where the newer level is in force: %w", err)
	}
	if status := victim.ExitCode(); status != 1 {
		return fmt.Errorf("the older program ended with status %d where the newer level is in force", status)
	}
	victim.Binary = ""
	t.start(victim)
	return nil
}
