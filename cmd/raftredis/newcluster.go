package main

import (
	"fmt"
	"io"

	"github.com/raftredis/raftredis/raftnode"
)

// newCluster is --force-new-cluster. It ends afterwards: an option that is left in a
// unit file must not make a new cluster at every start.
func (o *options) newCluster(log *logs, w io.Writer) error {
	cfg := o.raftConfig(nil)
	cfg.Logger = log.Named("raft")
	r, err := raftnode.NewCluster(cfg, o.now())
	if err != nil {
		return fmt.Errorf("--force-new-cluster: %w", err)
	}
	fmt.Fprintf(w, "%s is now cluster %x, with member %d alone; it was cluster %x.\n", o.dir.value, r.Cluster, cfg.ID, r.OldCluster)
	if r.Damage != nil {
		fmt.Fprintf(w, "It was damaged: %v\n", r.Damage)
		fmt.Fprintf(w, "What could still be read reaches up to log index %d, and whatever came after that is lost: up to index %d it was certainly committed, and perhaps more.\n",
			r.Last, max(r.Last, r.Committed))
	}
	fmt.Fprintf(w, "It keeps the data up to log index %d. Up to index %d the old cluster had certainly committed it.\n", r.Last, r.Committed)
	if r.Doubtful > 0 {
		fmt.Fprintf(w, "Nobody can vouch for the last %d entries: they may be acknowledged writes, or such as were never acknowledged. They are kept.\n", r.Doubtful)
	}
	fmt.Fprintln(w, "What the lost members had acknowledged after that index is lost.")
	for _, m := range r.Gone {
		fmt.Fprintf(w, "Member %d (%s) is removed, and its id cannot come back: move its data directory away; its machine may join under a new id.\n", m.ID, m.PeerURL)
	}
	fmt.Fprintf(w, "The old log is in %s. Start this node without --force-new-cluster now.\n", r.Aside)
	return nil
}
