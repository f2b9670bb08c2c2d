package integration

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/integration/cluster"
)

// observed starts a cluster whose nodes serve /metrics, and returns where.
func observed(t *testing.T, n int, args ...string) (c *nodes, at []string) {
	t.Helper()
	c = prepare(t, n, args...)
	for _, node := range c.Nodes {
		addr, err := cluster.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		node.Args = append(node.Args, "--pprof", addr)
		at = append(at, "http://"+addr)
	}
	c.startAll()
	return c, at
}

// scrape returns what a node shows at /metrics.
func scrape(url string) (string, error) {
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// TestMetrics has promtool check what the nodes of a busy cluster show, and looks for
// what an operator of etcd or of Redis looks at, by label.
func TestMetrics(t *testing.T) {
	promtool := tool(t, "promtool")
	c, at := observed(t, 3)
	for _, node := range c.Nodes {
		for _, args := range [][]string{
			{"SET", "a", "1", "EX", "1000"}, {"INCR", "a"}, {"GET", "a"}, {"GET", "none"}, {"HSET", "h", "f", "v"}, {"HGET", "h", "f"}, {"LPUSH", "a", "1"}, {"ECHO", "1"},
		} {
			if _, err := cluster.Ask(node.Addr, args...); (err != nil) != (args[0] == "LPUSH") { // at a string
				t.Fatal(args, err)
			}
		}
	}
	leader := c.leader()
	for i, node := range c.Nodes {
		want := []string{
			`raftredis_build_info{version="`,
			`raftredis_sync_duration_seconds_count [1-9]`, `raftredis_sync_duration_seconds_bucket{le="\+Inf"} [1-9]`,
			`raftredis_apply_duration_seconds_count [1-9]`,
			`raftredis_command_duration_seconds_bucket{family="string",le="[^"]*"} `, `raftredis_command_duration_seconds_count{family="hash"} [1-9]`,
			`raftredis_command_wait_seconds_count{family="string"} [1-9]`,
			`raftredis_commands_total{command="get",family="string"} 2`, `raftredis_commands_failed_total{command="lpush",family="list"} 1`,
			`raftredis_proposal_outcomes_total{outcome="applied"} [1-9]`, `raftredis_proposal_outcomes_total{outcome="unknown"} 0`,
			`raftredis_raft_elections_total{reason="start"} 1`, `raftredis_raft_elections_total{reason="silent"} 0`,
			fmt.Sprintf(`raftredis_raft_leader_info{leader="%d"} 1`, leader.ID),
			`raftredis_log_disk_bytes [1-9]`, `raftredis_disk_free_bytes [1-9]`, `raftredis_snapshot_disk_bytes `,
			`raftredis_keys{db="0"} 2`, `raftredis_keys_with_expiry{db="0"} 1`, `raftredis_keyspace_hits_total [1-9]`, `raftredis_keyspace_misses_total [1-9]`,
			`raftredis_clients [0-9]`, `raftredis_clients_limit [1-9]`, `raftredis_client_received_bytes_total [1-9]`, `raftredis_client_input_buffer_bytes `,
			`raftredis_memory_used_bytes [1-9]`, `raftredis_error_replies_total{error="WRONGTYPE"} 1`,
		}
		if node == leader {
			want = append(want, `raftredis_round_duration_seconds_count [1-9]`)
			for _, other := range c.Nodes {
				if other != leader {
					want = append(want, fmt.Sprintf(`raftredis_member_lag_seconds{member="%d"} 0`, other.ID), fmt.Sprintf(`raftredis_member_link_up{member="%d"} 1`, other.ID),
						fmt.Sprintf(`raftredis_member_active{member="%d"} 1`, other.ID))
				}
			}
		}
		var page string
		eventually(t, fmt.Sprintf("the metrics of node %d", node.ID), func() (err error) {
			if page, err = scrape(at[i]); err != nil {
				return err
			}
			for _, w := range want {
				if !regexp.MustCompile(`(?m)^` + w).MatchString(page) {
					return fmt.Errorf("there is no %s", w)
				}
			}
			return nil
		})
		checkMetrics(t, promtool, page)
	}
}

// checkMetrics runs promtool over a page of metrics. What it has to say of those that
// other packages have is not for us to change; that it can read them is.
func checkMetrics(t *testing.T, promtool, page string) {
	t.Helper()
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(page)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) { // 3: there are remarks
		t.Fatalf("promtool: %v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "raftredis_") {
			t.Errorf("promtool: %s", line)
		}
	}
	if strings.Count(page, "# TYPE raftredis_") < 40 {
		t.Errorf("only %d metrics of our own", strings.Count(page, "# TYPE raftredis_"))
	}
}

// metricNames returns the names of the metrics on a page, those of histograms' series
// among them.
func metricNames(page string) (names []string) {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(line), "{")
		name, _, _ = strings.Cut(name, " ")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
