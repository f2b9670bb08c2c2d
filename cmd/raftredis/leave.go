package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// The subcommands for who stops nodes without a shell at hand: an image from scratch has
// none, and neither has a unit file.

// readyCommand is a health check.
func readyCommand() subcommand {
	return subcommand{
		name:    "ready",
		summary: "Ask a node whether it serves clients: the exit status is 0 if it does, 1 if it does not (yet).",
		declare: func(fs *pflag.FlagSet) func(*invocation) error {
			r := declareReach(fs)
			return func(c *invocation) error {
				if err := c.noArgs(); err != nil {
					return err
				}
				cl, err := c.dial(r)
				if err != nil {
					return err
				}
				defer cl.close()
				info, err := cl.info("persistence", "raft")
				switch {
				case err != nil:
					return err
				case info["loading"] != "0":
					return errors.New("it has not caught up with the cluster yet")
				case info["raft_leader_id"] == "0":
					return errors.New("the cluster has no leader")
				}
				fmt.Fprintf(c.out, "member %s is ready, as %s\n", info["raft_node_id"], info["raft_role"])
				return nil
			}
		},
	}
}

// handoverCommand is for before a restart.
func handoverCommand() subcommand {
	return subcommand{
		name: "handover",
		summary: "If a node leads its cluster, have it hand leadership to another member, and wait until that one leads.\n" +
			"A node does the same by itself on SIGTERM; before it, clients notice even less.",
		declare: func(fs *pflag.FlagSet) func(*invocation) error {
			r := declareReach(fs)
			within := declareWithin(fs)
			return func(c *invocation) error {
				if err := c.noArgs(); err != nil {
					return err
				}
				return c.persist(*within, func(c *invocation) (bool, error) { return c.handOver(r) })
			}
		},
	}
}

// leaveCommand is for before the end of a node.
func leaveCommand() subcommand {
	return subcommand{
		name: "leave",
		summary: "Remove a node from its cluster for good, after it has handed leadership over if it led, and wait until that has come to be.\n" +
			"The node ends then. Its id and its data directory cannot be used again: a new node joins under a new id.",
		declare: func(fs *pflag.FlagSet) func(*invocation) error {
			r := declareReach(fs)
			within := declareWithin(fs)
			return func(c *invocation) error {
				if err := c.noArgs(); err != nil {
					return err
				}
				return c.leave(r, *within)
			}
		},
	}
}

func declareWithin(fs *pflag.FlagSet) *time.Duration {
	return fs.Duration("within", time.Minute, "try again for so long")
}

// errForGood marks what does not become better by trying again.
var errForGood = errors.New("not tried again")

// persist tries until try is done, for as long as the user allows: what cannot be now may
// be possible in a moment, as elections and other members' changes pass.
func (c *invocation) persist(within time.Duration, try func(c *invocation) (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(c.ctx, within)
	defer cancel()
	bounded := *c
	bounded.ctx = ctx
	for {
		done, err := try(&bounded)
		if done || errors.Is(err, errForGood) || errors.Is(err, errUsage) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(betweenTries):
		}
	}
}

// betweenTries is longer than a message takes and shorter than an election.
const betweenTries = 200 * time.Millisecond

// handOver hands leadership over. done means that the node does not lead.
func (c *invocation) handOver(r *reach) (done bool, err error) {
	cl, err := c.dial(r)
	if err != nil {
		return false, err
	}
	defer cl.close()
	info, err := cl.info("raft")
	switch {
	case err != nil:
		return false, err
	case info["raft_role"] != "leader":
		fmt.Fprintf(c.out, "member %s does not lead; the leader is %s\n", info["raft_node_id"], info["raft_leader_id"])
		return true, nil
	case info["raft_voters"] == "1":
		return false, fmt.Errorf("member %s is the only one that votes: there is nobody to hand over to (%w)", info["raft_node_id"], errForGood)
	}
	// Between the two commands it may have been deposed, and would ask for leadership
	// itself: then the next look undoes that.
	_, err = cl.do("RAFT", "TRANSFER")
	return false, err
}

// leave removes the node that the options mean.
func (c *invocation) leave(r *reach, within time.Duration) error {
	var l leaving
	return c.persist(within, func(c *invocation) (bool, error) {
		done, err := l.try(c, r)
		if done {
			fmt.Fprintf(c.out, "member %s has left the cluster\n", l.id)
		}
		return done, err
	})
}

// leaving is a node on its way out of its cluster.
type leaving struct {
	id     string   // once it was asked to go: it may be gone with the next command
	others []string // where clients reach the members that stay
}

func (l *leaving) try(c *invocation, r *reach) (done bool, err error) {
	cl, err := c.dial(r)
	if err != nil && l.id != "" {
		return l.gone(c, r)
	} else if err != nil {
		return false, err
	}
	defer cl.close()
	info, err := cl.info("raft")
	switch {
	case err != nil:
		return false, err
	case info["raft_voters"] == "1" && info["raft_role"] == "leader":
		return false, fmt.Errorf("member %s is the only one that votes: the cluster would be gone (%w)", info["raft_node_id"], errForGood)
	}
	members, err := cl.members()
	if err != nil {
		return false, err
	}
	id := info["raft_node_id"]
	l.others = l.others[:0]
	for _, m := range members {
		if m["id"] != id && m["client_addr"] != "" {
			l.others = append(l.others, m["client_addr"])
		}
	}
	l.id = id
	_, err = cl.do("RAFT", "REMOVE", id)
	var refused replyError
	if err != nil && !errors.As(err, &refused) {
		return l.gone(c, r)
	}
	return err == nil, err
}

// gone asks the others whether it has left: a node ends when it hears that it is removed,
// be it before it has answered who asked for that.
func (l *leaving) gone(c *invocation, r *reach) (bool, error) {
	errs := []error{fmt.Errorf("nobody can say whether member %s has left", l.id)}
	for _, addr := range l.others {
		members, err := func() (members, error) {
			cl, err := c.dialAt(r, addr)
			if err != nil {
				return nil, err
			}
			defer cl.close()
			return cl.members()
		}()
		if err == nil {
			if members.has("id", l.id) {
				return false, fmt.Errorf("member %s has ended, and is still a member at %s", l.id, addr)
			}
			return true, nil
		}
		errs = append(errs, err)
	}
	return false, errors.Join(errs...)
}
