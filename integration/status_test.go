package integration

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// status runs raftredis status at a node. The exit status says whether there are warnings.
func status(t *testing.T, addr string, args ...string) (out string, warned bool, err error) {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	cmd := exec.Command(binary(t), append([]string{"status", "--host", host, "--port", port}, args...)...)
	text, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code == 1 {
		return string(text), true, nil
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return string(text), false, err
}

// has reports which of the patterns a text lacks.
func has(text string, patterns ...string) error {
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)` + p).MatchString(text) {
			return fmt.Errorf("there is no %s in:\n%s", p, text)
		}
	}
	return nil
}

// TestStatus looks at a cluster while all is well, while a member is gone and while the
// others have elected another leader: as a person does, with the program and with
// redis-cli, and as a program.
func TestStatus(t *testing.T) {
	cli := tool(t, "redis-cli")
	c := start(t, 3)
	follower, first := c.follower(), c.leader()
	if _, err := cluster.Ask(follower.Addr, "SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a status without warnings", func() error {
		out, warned, err := status(t, follower.Addr)
		if err != nil {
			return err
		}
		if warned {
			return fmt.Errorf("there are warnings: %s", out)
		}
		want := []string{`^member  role +clients`, `^times +sync `, `^election  member \d leads since term \d+: the first`, `^all is well$`, ` 1 keys,`}
		for _, n := range c.Nodes {
			want = append(want, fmt.Sprintf(`^%d +(leader|follower) +%s +%s +\d+ +`, n.ID, regexp.QuoteMeta(n.Addr), regexp.QuoteMeta(n.URL)))
		}
		return has(out, want...)
	})

	host, port, _ := strings.Cut(first.Addr, ":")
	out, err := exec.Command(cli, "-h", host, "-p", port, "RAFT", "STATUS").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if err := has(string(out), `^member  role +clients`, `^all is well$`); err != nil {
		t.Error(err)
	}

	first.Kill()
	var left *cluster.Node
	eventually(t, "the others say what has happened", func() error {
		left = c.leader()
		out, _, err := status(t, left.Addr)
		if err != nil {
			return err
		}
		return has(out, fmt.Sprintf(`^election  member %d leads since term \d+: (the process of member %d was gone|member %d was not heard of)`, left.ID, first.ID, first.ID),
			fmt.Sprintf(`^! member %d has not answered for \d+ s: start it again`, first.ID), `^! only 2 of 3 voters are there`)
	})
	eventually(t, "the lag of the one that is gone", func() error {
		if _, err := cluster.Ask(left.Addr, "SET", "k", "w"); err != nil {
			return err
		}
		v, err := cluster.Ask(left.Addr, "RAFT", "STATUS", "JSON")
		if err != nil {
			return err
		}
		var st struct {
			Election struct{ Reason string }
			Members  []struct {
				ID            uint64
				Reached       bool
				BehindSeconds int `json:"behind_seconds"`
			}
			Warnings []string
		}
		if err := json.Unmarshal([]byte(fmt.Sprint(v)), &st); err != nil {
			t.Fatalf("%v: %v", err, v)
		}
		for _, m := range st.Members {
			if m.ID == first.ID && (m.Reached || m.BehindSeconds < 2) || m.ID != first.ID && (!m.Reached || m.BehindSeconds != 0) {
				return fmt.Errorf("member %+v", m)
			}
		}
		return nil
	})
	if _, _, err := status(t, first.Addr); err == nil {
		t.Error("a node that is gone has a status")
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is well again", func() error {
		out, warned, err := status(t, follower.Addr, "--json")
		if err != nil {
			return err
		}
		if warned {
			return fmt.Errorf("there are warnings: %s", out)
		}
		return has(out, `"others":\{"\d"`)
	})
}
