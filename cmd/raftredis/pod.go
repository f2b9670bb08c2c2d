package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/raftredis/raftredis/raftnode"
)

// pod is a node that runs in a pod of a Kubernetes StatefulSet, or is to. A set numbers its
// pods, and uses the numbers again; a cluster never uses a member's id again. So a pod's
// number says where it is reached, and its member's id is in its data directory:
//
//   - A directory with a log is a member's: it starts again.
//   - An empty one, and a cluster has been formed: it joins, under an id that nobody had.
//   - An empty one, no cluster, and the pod is one of the first: it forms the cluster with them.
//   - The directory of a member that has left (the set was made smaller) is moved aside.
//
// A directory that is lost is not replaced behind anybody's back: its id is still a member's,
// and so joining is refused until somebody says RAFT REMOVE.
type pod struct {
	name     string // raftredis-3
	set      string // raftredis
	ordinal  int    // 3
	peers    string // where pods reach each other: a URL with {pod} or {ordinal}
	founders int    // how many form the cluster
}

func (p *pod) declare(flags *pflag.FlagSet) {
	flags.StringVar(&p.name, "name", "", "`name` of the pod; the host's by default")
	flags.StringVar(&p.peers, "peers", "", "`URL` where the members reach a pod, with {pod} for its name or {ordinal} for its number")
	flags.IntVar(&p.founders, "founders", 3, "how many pods form the cluster, once: the first ones of the set")
}

// locate splits the pod's name.
func (p *pod) locate() error {
	if p.name == "" {
		var err error
		if p.name, err = os.Hostname(); err != nil {
			return fmt.Errorf("the pod's name: %w", err)
		}
	}
	at := strings.LastIndexByte(p.name, '-')
	n, err := strconv.Atoi(p.name[at+1:])
	if at < 1 || err != nil || n < 0 {
		return fmt.Errorf("%q is no name of a pod of a StatefulSet, such as raftredis-0 (%w)", p.name, errUsage)
	}
	p.set, p.ordinal = p.name[:at], n
	return nil
}

// url is where pod n is reached by the other members.
func (p *pod) url(n int) string {
	return raftnode.NormalizePeerURL(strings.NewReplacer("{pod}", fmt.Sprintf("%s-%d", p.set, n), "{ordinal}", strconv.Itoa(n)).Replace(p.peers))
}

// podCommand starts the node.
func podCommand() subcommand {
	return subcommand{
		name: "pod",
		args: "-- [node's option ...]",
		summary: "Run the node of a pod of a Kubernetes StatefulSet: with its data if it has some, and otherwise as one of those that form the\n" +
			"cluster or, if there is one, as a new member under an id that was never used.",
		declare: func(flags *pflag.FlagSet) func(*invocation) error {
			var p pod
			p.declare(flags)
			within := flags.Duration("within", 5*time.Minute, "how long to look for the cluster that it is to join")
			return func(c *invocation) error {
				if p.peers == "" || p.founders < 1 {
					return fmt.Errorf("it needs --peers and at least one of --founders (%w)", errUsage)
				}
				if err := p.locate(); err != nil {
					return err
				}
				args, err := p.start(c, *within)
				if err != nil {
					return err
				}
				o, err := parseOptions(args, c.environ)
				if err != nil {
					return err
				}
				return run(o, c.stopC)
			}
		},
	}
}

// start decides what the node is and returns its command line.
func (p *pod) start(c *invocation, within time.Duration) ([]string, error) {
	o, err := parseOptions(c.args, c.environ)
	if err != nil {
		return nil, err
	}
	begun, err := raftnode.Begun(o.dir.value)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(o.dir.value, nodeConf)); errors.Is(err, fs.ErrNotExist) {
		begun = false // a start that did not get that far is made again
	}
	var args []string
	err = c.persist(within, func(c *invocation) (bool, error) {
		members, asked := p.cluster(c, o)
		switch {
		case begun:
			args = c.args
			id, err := ownID(o.dir.value)
			if err != nil || members == nil || members.has("id", id) {
				return true, err
			}
			begun = false
			return false, setAside(c, o.dir.value, "of-member-"+id)
		case members != nil:
			id, added, err := p.enter(c, o, members)
			if err != nil {
				return false, err
			}
			if added {
				// What an attempt under another id has left behind is of nobody now.
				if err := setAside(c, o.dir.value, "before-member-"+id); err != nil {
					return true, err
				}
			}
			args = append(p.list(c.args, id, members), "--join")
			return true, nil
		case p.ordinal < p.founders:
			// If they are a cluster that cannot be asked, they say so to who comes without data.
			args = p.list(c.args, strconv.Itoa(p.ordinal+1), nil)
			return true, nil
		}
		return false, fmt.Errorf("no cluster to join: %w", asked)
	})
	return args, err
}

// setAside moves a data directory out of the way, if there is one. Nothing is deleted.
func setAside(c *invocation, dir, why string) error {
	aside := fmt.Sprintf("%s-%s-%s", filepath.Clean(dir), why, time.Now().UTC().Format("20060102T150405"))
	err := os.Rename(dir, aside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("a new member needs an empty directory (%w): %w", errForGood, err)
	}
	fmt.Fprintf(c.out, "%s is not of a member of the cluster: it goes to %s\n", dir, aside)
	return nil
}

// list is the command line with the members of the cluster, or the founders of one.
func (p *pod) list(args []string, id string, members members) []string {
	var list []string
	for _, m := range members {
		if m["id"] != id {
			list = append(list, m["id"]+"="+m["peer_url"])
		}
	}
	for n := 0; members == nil && n < p.founders; n++ {
		if n != p.ordinal {
			list = append(list, fmt.Sprintf("%d=%s", n+1, p.url(n)))
		}
	}
	list = append(list, id+"="+p.url(p.ordinal))
	return append(args[:len(args):len(args)], "--id", id, "--cluster", strings.Join(list, ","))
}

// cluster asks other pods for the members, as their leader knows them: who lags behind
// might not know of the newest. nil: there is no leader that can be asked.
func (p *pod) cluster(c *invocation, o *options) (members, error) {
	var errs []error
	r := reachOf(o)
	// Others than the founders may be all that is left. The set has no gaps: the first pod
	// that has no name is behind the last one.
	for n := 0; ; n++ {
		if n == p.ordinal {
			continue
		}
		u, err := url.Parse(p.url(n))
		if err != nil {
			return nil, fmt.Errorf("--peers: %w", err)
		}
		if n >= p.founders {
			if _, err := net.DefaultResolver.LookupHost(c.ctx, u.Hostname()); err != nil {
				break
			}
		}
		m, err := c.leadersMembers(r, net.JoinHostPort(u.Hostname(), strconv.Itoa(r.port)))
		if err == nil {
			return m, nil
		}
		errs = append(errs, err)
		if n > p.founders+p.ordinal {
			break // names that always resolve
		}
	}
	return nil, errors.Join(errs...)
}

// leadersMembers asks the node at addr for its members if it leads.
func (c *invocation) leadersMembers(r *reach, addr string) (members, error) {
	cl, err := c.dialAt(r, addr)
	if err != nil {
		return nil, err
	}
	defer cl.close()
	info, err := cl.info("raft")
	if err != nil {
		return nil, err
	}
	if info["raft_role"] != "leader" {
		return nil, fmt.Errorf("%s does not lead", addr)
	}
	return cl.members()
}

// enter has this pod added to the cluster under an id that was never used, and returns it.
// If it has been added before it is that id: raftnode refuses it if it has taken part.
func (p *pod) enter(c *invocation, o *options, all members) (id string, added bool, err error) {
	me := p.url(p.ordinal)
	next, leader := uint64(0), ""
	for _, m := range all {
		if m["peer_url"] == me {
			return m["id"], false, nil
		}
		n, err := strconv.ParseUint(m["id"], 10, 64)
		if err != nil {
			return "", false, fmt.Errorf("RAFT NODES: %w", err)
		}
		next = max(next, n+1)
		if m["role"] == "leader" {
			leader = m["client_addr"]
		}
	}
	cl, err := c.dialAt(reachOf(o), leader)
	if err != nil {
		return "", false, err
	}
	defer cl.close()
	for ; ; next++ {
		id := strconv.FormatUint(next, 10)
		_, err := cl.do("RAFT", "ADD", id, me)
		if err == nil {
			return id, true, nil
		}
		if !strings.Contains(err.Error(), "cannot come back") && !strings.Contains(err.Error(), "member "+id+" is at") {
			return "", false, fmt.Errorf("RAFT ADD: %w", err)
		}
	}
}

// ownID reads the member's id from the data directory.
func ownID(dir string) (string, error) {
	all, err := readConfFile(filepath.Join(dir, nodeConf), 0)
	if err != nil {
		return "", err
	}
	for _, d := range all {
		if d.name == "id" {
			return d.value, nil
		}
	}
	return "", fmt.Errorf("there is no id in %s", filepath.Join(dir, nodeConf))
}
