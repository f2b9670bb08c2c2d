package raftnode

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// enroll decides what a node with an empty data directory is: one of the first
// members of a new cluster, or one that joins. known are the members that a
// joining node was told of; its log will say the same later.
func (n *Node) enroll(client *http.Client) (who identity, known []commit.Member, err error) {
	cfg := &n.cfg
	if len(cfg.Peers) == 0 {
		return who, nil, errors.New("raftnode: the data directory is empty and no members are given")
	}
	if cfg.Join {
		return n.join(client)
	}
	if err := n.checkNotAmnesiac(client); err != nil {
		return who, nil, err
	}
	return identity{Version: 1, Cluster: clusterID(cfg.sortedPeers()), Member: cfg.ID}, nil, nil
}

// checkNotAmnesiac asks the other initial members whether this one has taken part
// before. If so, the empty data directory means that it has lost its data, its
// vote among them, and must not start again under the same id (defect R14 of
// raftexample). If none of them answers, this is the start of a cluster.
func (n *Node) checkNotAmnesiac(client *http.Client) error {
	cluster := clusterID(n.cfg.sortedPeers())
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	type answer struct {
		from Peer
		cm   *clusterMembers
	}
	answerC := make(chan answer, len(n.cfg.Peers))
	asked := 0
	for _, p := range n.cfg.Peers {
		if p.ID == n.cfg.ID {
			continue
		}
		asked++
		go func() {
			cm, err := getMembers(ctx, client, p.URL)
			if err != nil {
				cm = nil
			}
			answerC <- answer{p, cm}
		}()
	}
	var found error
	for range asked { // all of them: no goroutine stays behind
		a := <-answerC
		if a.cm == nil || a.cm.Cluster != cluster {
			continue
		}
		if err := a.cm.mayStartEmpty(n.cfg.ID); err != nil && found == nil {
			found = fmt.Errorf("member %d says: %w", a.from.ID, err)
			cancel()
		}
	}
	return found
}

// mayStartEmpty refuses a member that was removed or that has announced itself
// before.
func (cm *clusterMembers) mayStartEmpty(id uint64) error {
	if slices.Contains(cm.Removed, id) {
		return fmt.Errorf("%w: member %d was removed, its id cannot come back; choose a new id", ErrRemoved, id)
	}
	for _, m := range cm.Members {
		if m.ID == id && m.ClientAddr != "" {
			return fmt.Errorf("%w: member %d (%s) has taken part before; %s", ErrDataLost, id, m.ClientAddr, wayOut)
		}
	}
	return nil
}

// join asks the members that it was told of to take this node in as a learner.
// The leader makes it a voter once it has caught up.
func (n *Node) join(client *http.Client) (who identity, known []commit.Member, err error) {
	cfg := &n.cfg
	if cfg.PeerURL == "" {
		return who, nil, errors.New("raftnode: joining needs the own peer URL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), cfg.JoinTimeout)
	defer cancel()
	last := errors.New("no member answered")
	for {
		for _, p := range cfg.Peers {
			if p.URL == cfg.PeerURL {
				continue
			}
			cm, err := n.joinThrough(ctx, client, p.URL)
			switch {
			case err == nil:
				return identity{Version: 1, Cluster: cm.Cluster, Member: cfg.ID, Joined: true}, cm.Members, nil
			case errors.Is(err, ErrRemoved), errors.Is(err, ErrDataLost), errors.Is(err, ErrIDUsed):
				return who, nil, fmt.Errorf("join: %w", err) // no other member will say anything else
			}
			last = err
			cfg.Logger.Info("not joined yet", zap.String("through", p.URL), zap.Error(err))
		}
		select {
		case <-time.After(cfg.TickInterval * time.Duration(cfg.ElectionTicks) / 2):
		case <-ctx.Done():
			return who, nil, fmt.Errorf("join: %w", last)
		}
	}
}

func (n *Node) joinThrough(ctx context.Context, client *http.Client, peerURL string) (*clusterMembers, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ConfChangeTimeout)
	defer cancel()
	cm, err := getMembers(ctx, client, peerURL)
	if err != nil {
		return nil, err
	}
	if err := cm.mayStartEmpty(n.cfg.ID); err != nil {
		return nil, err
	}
	for _, m := range cm.Members {
		if m.ID == n.cfg.ID && m.PeerURL == n.cfg.PeerURL {
			return cm, nil // added beforehand, or in an earlier attempt
		}
	}
	for _, m := range cm.Members {
		if m.ID == cm.Leader {
			_, err := postChange(ctx, client, m.PeerURL, cm.Cluster, change{
				Op:     commit.AddLearner,
				Member: commit.Member{ID: n.cfg.ID, PeerURL: n.cfg.PeerURL, Learner: true},
			})
			return cm, err
		}
	}
	return nil, fmt.Errorf("%w at %s", commit.ErrNoLeader, peerURL)
}
