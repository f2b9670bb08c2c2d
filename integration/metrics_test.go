package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
		node.Args = append(node.Args, "--http", addr)
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
			`raftredis_memory_used_bytes [1-9]`, `raftredis_memory_limit_bytes 0`, `raftredis_keys_evicted_total 0`, `raftredis_out_of_memory 0`, `raftredis_error_replies_total{error="WRONGTYPE"} 1`,
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

// TestDashboardAndAlerts: every metric that an expression of the dashboard or of the
// alerts names is one that a cluster shows, promtool can read the rules, and there is a
// paragraph on what to do for each alert.
func TestDashboardAndAlerts(t *testing.T) {
	promtool := tool(t, "promtool")
	deploy := filepath.Join("..", "deploy")
	for _, args := range [][]string{
		{"check", "rules", filepath.Join(deploy, "prometheus", "alerts.yml")},
		{"check", "config", "--syntax-only", filepath.Join(deploy, "prometheus", "scrape.yml")},
		{"check", "config", filepath.Join(deploy, "prometheus", "prometheus.yml")},
	} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v: %s", args, err, out)
		}
	}

	c, at := observed(t, 3)
	for _, node := range c.Nodes {
		for _, args := range [][]string{{"SET", "a", "1", "EX", "1000"}, {"GET", "a"}, {"LPUSH", "a", "1"}} {
			if _, err := cluster.Ask(node.Addr, args...); (err != nil) != (args[0] == "LPUSH") {
				t.Fatal(args, err)
			}
		}
	}
	read := func(name ...string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(append([]string{deploy}, name...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	alerts, runbook := read("prometheus", "alerts.yml"), read("prometheus", "RUNBOOK.md")
	exprs := []string{}
	for _, m := range regexp.MustCompile(`(?m)^ +expr: (.*)$`).FindAllStringSubmatch(alerts, -1) {
		exprs = append(exprs, m[1])
	}
	names := regexp.MustCompile(`(?m)^ +- alert: (.*)$`).FindAllStringSubmatch(alerts, -1)
	for _, m := range names {
		if !regexp.MustCompile(`(?m)^## ` + m[1] + `$

\S`).MatchString(runbook) {
			t.Errorf("RUNBOOK.md has no paragraph about %s", m[1])
		}
		if !strings.Contains(alerts, "runbook: RUNBOOK.md#"+strings.ToLower(m[1])+"\n") {
			t.Errorf("%s does not say where its paragraph is", m[1])
		}
	}
	if len(names) == 0 || len(names) != len(exprs) || len(names) != strings.Count(runbook, "\n## ") {
		t.Errorf("%d alerts, %d expressions, %d paragraphs", len(names), len(exprs), strings.Count(runbook, "\n## "))
	}
	var dashboard any
	if err := json.Unmarshal([]byte(read("grafana", "raftredis.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	before := len(exprs)
	exprs = append(exprs, values(dashboard, "expr")...)
	exprs = append(exprs, values(dashboard, "definition")...)
	if len(exprs)-before < 40 {
		t.Errorf("the dashboard has only %d expressions", len(exprs)-before)
	}
	eventually(t, "every metric of the expressions", func() error {
		var there []string
		for _, url := range at {
			page, err := scrape(url)
			if err != nil {
				return err
			}
			there = append(there, metricNames(page)...)
		}
		for _, expr := range exprs {
			used := regexp.MustCompile(`\b(raftredis|process|go|etcd)_[a-z0-9_]+`).FindAllString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, ""), -1)
			if len(used) == 0 && !strings.Contains(expr, "up{") {
				return fmt.Errorf("no metric in %s", expr)
			}
			for _, name := range used {
				if !slices.Contains(there, name) {
					return fmt.Errorf("there is no %s, as in %s", name, expr)
				}
			}
		}
		return nil
	})
}

// values returns the strings that stand under a name anywhere in a JSON value.
func values(v any, name string) (all []string) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			all = append(all, values(x, name)...)
		}
	case map[string]any:
		for k, x := range v {
			if s, is := x.(string); is && k == name {
				all = append(all, s)
			}
			all = append(all, values(x, name)...)
		}
	}
	return all
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
