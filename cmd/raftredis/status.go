package main

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/raftredis/raftredis/resp"
)

// statusCommand shows RAFT STATUS of a running node, with what the other members say of
// themselves.
func statusCommand() subcommand {
	return subcommand{
		name: "status",
		summary: "Shows the cluster as a node sees it, with what the other members say of themselves. The exit\n" +
			"status is 0 if there is no warning, 1 if there is one, and 2 if the node cannot be asked.",
		declare: func(fs *pflag.FlagSet) func(c *invocation) error {
			v := &statusView{reach: declareReach(fs)}
			fs.BoolVarP(&v.watch, "watch", "w", false, "show it again and again, until interrupted")
			fs.DurationVar(&v.every, "interval", time.Second, "how often, with --watch")
			fs.BoolVar(&v.json, "json", false, `print JSON: the node's own status, and under "others" that of other members by id`)
			return v.run
		},
	}
}

// statusView is what "raftredis status" is asked to show.
type statusView struct {
	reach       *reach
	watch, json bool
	every       time.Duration
}

// otherTimeout bounds how long the status waits for a member that does not answer. The
// table has no more of it then than the others know.
const otherTimeout = 3 * time.Second

func (v *statusView) run(c *invocation) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	if v.every <= 0 {
		return fmt.Errorf("--interval must be more than 0 (%w)", errUsage)
	}
	if err := v.reach.fill(c.environ); err != nil {
		return err
	}
	for {
		err := v.show(c)
		if !v.watch {
			return err
		}
		select {
		case <-c.ctx.Done():
			return nil
		case <-time.After(v.every):
		}
	}
}

// show prints the status once.
func (v *statusView) show(c *invocation) error {
	r := v.reach
	own, err := askStatus(c, r, net.JoinHostPort(r.host, strconv.Itoa(r.port)))
	const clear = "\x1b[H\x1b[2J"
	if v.watch && !v.json && c.ctx.Err() == nil {
		fmt.Fprint(c.out, clear)
	}
	if err != nil {
		if v.watch && !v.json && c.ctx.Err() == nil {
			fmt.Fprintln(c.out, err)
		}
		return exitError{2, err}
	}
	others := v.others(c, own)
	// The leader knows most of the others: what it says of them counts.
	if leader := others[own.Leader]; leader != nil {
		said := func(w string) bool {
			return slices.ContainsFunc(leader.Warnings, func(l string) bool {
				return l == w || about(l) == about(w) && about(w) != ""
			})
		}
		own.Members, own.Warnings = leader.Members, append(slices.DeleteFunc(own.Warnings, said), leader.Warnings...)
	}
	if v.json {
		text, err := json.Marshal(struct {
			*resp.Status
			Others map[uint64]*resp.Status `json:"others"`
		}{own, others})
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, string(text))
	} else {
		for _, line := range own.Table(others) {
			fmt.Fprintln(c.out, line)
		}
	}
	if len(own.Warnings) > 0 {
		return exitError{1, nil}
	}
	return nil
}

// about is which member a warning is about, "" if it is about none.
func about(warning string) string {
	what, rest, _ := strings.Cut(warning, " ")
	id, _, _ := strings.Cut(rest, " ")
	if what != "member" {
		return ""
	}
	return id
}

// others asks the other members, all at once. Who does not answer is left out.
func (v *statusView) others(c *invocation, own *resp.Status) map[uint64]*resp.Status {
	var mu sync.Mutex
	var wg sync.WaitGroup
	all := map[uint64]*resp.Status{}
	for _, m := range own.Members {
		host, port, err := net.SplitHostPort(m.ClientAddr)
		if m.ID == own.ID || err != nil {
			continue
		}
		r := *v.reach
		r.timeout = min(r.timeout, otherTimeout)
		if r.tls {
			port = strconv.Itoa(m.ClientTLSPort)
			if r.sni != "" && !r.fs.Changed("sni") {
				r.sni = host // as for the node itself, whose certificate is for its own host
			}
		}
		wg.Go(func() {
			st, err := askStatus(c, &r, net.JoinHostPort(host, port))
			if err != nil || st.ID != m.ID {
				return // the table has no more of it than the others know
			}
			mu.Lock()
			defer mu.Unlock()
			all[m.ID] = st
		})
	}
	wg.Wait()
	return all
}

// askStatus asks a node for RAFT STATUS JSON.
func askStatus(c *invocation, r *reach, addr string) (*resp.Status, error) {
	cl, err := c.dialAt(r, addr)
	if err != nil {
		return nil, err
	}
	defer cl.close()
	v, err := cl.do("RAFT", "STATUS", "JSON")
	if err != nil {
		return nil, err
	}
	text, _ := v.(string)
	st := &resp.Status{}
	if err := json.Unmarshal([]byte(text), st); err != nil {
		return nil, fmt.Errorf("%s is no raftredis, or an older one: %w", addr, err)
	}
	return st, nil
}
