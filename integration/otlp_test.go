package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/integration/cluster"
)

// collected is an OpenTelemetry collector as far as nodes see it. It refuses the first that comes.
type collected struct {
	mu      sync.Mutex
	refused int
	wrong   []string                                // what should not have come
	last    map[string]map[string][]*metrics.Metric // of each instance, by name
}

func (c *collected) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == 0 {
		c.refused++
		http.Error(w, "not yet", http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(r.Body)
	var req collector.ExportMetricsServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &req)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/metrics" || r.Header.Get("Key") != "secret" {
		c.wrong = append(c.wrong, fmt.Sprintf("%s %s %v: %v", r.Method, r.URL, r.Header, err))
	}
	for _, of := range req.ResourceMetrics {
		attributes := map[string]string{}
		for _, a := range of.Resource.Attributes {
			attributes[a.Key] = a.Value.GetStringValue() + strings.TrimPrefix(strconv.FormatInt(a.Value.GetIntValue(), 10), "0")
		}
		if attributes["service.name"] != "raftredis" || attributes["deployment.environment.name"] != "here" || attributes["raftredis.member"] == "" {
			c.wrong = append(c.wrong, fmt.Sprint(attributes))
		}
		all := map[string][]*metrics.Metric{}
		for _, scope := range of.ScopeMetrics {
			for _, m := range scope.Metrics {
				all[m.Name] = append(all[m.Name], m)
			}
		}
		c.last[attributes["service.instance.id"]] = all
	}
}

// TestOTLP: a collector gets what /metrics shows, of each node, and a node whose collector
// does not take it says so and goes on.
func TestOTLP(t *testing.T) {
	got := collected{last: map[string]map[string][]*metrics.Metric{}}
	server := httptest.NewServer(&got)
	defer server.Close()
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "200")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "key=secret")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=here")
	c, at := observed(t, 3, "--otlp-endpoint", server.URL)
	for range 3 {
		if _, err := cluster.Ask(c.Nodes[0].Addr, "GET", "none"); err != nil {
			t.Fatal(err)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	instance := host + c.Nodes[0].Addr[strings.LastIndexByte(c.Nodes[0].Addr, ':'):]
	eventually(t, "what /metrics shows", func() error {
		page, err := scrape(at[0])
		if err != nil {
			return err
		}
		got.mu.Lock()
		defer got.mu.Unlock()
		if len(got.last) != 3 {
			return fmt.Errorf("%d nodes have sent metrics", len(got.last))
		}
		for line := range strings.Lines(page) {
			if name, isType := strings.CutPrefix(line, "# TYPE "); isType && got.last[instance][strings.Fields(name)[0]] == nil {
				return fmt.Errorf("the collector has no %s of %s", name, instance)
			}
		}
		for _, m := range got.last[instance]["raftredis_commands_total"] {
			for _, p := range m.GetSum().GetDataPoints() {
				if strings.Contains(fmt.Sprint(p.Attributes), `"get"`) && p.GetAsDouble() == 3 {
					return nil
				}
			}
		}
		return fmt.Errorf("the collector does not know of three GETs: %v", got.last[instance]["raftredis_commands_total"])
	})
	got.mu.Lock()
	defer got.mu.Unlock()
	if len(got.wrong) > 0 {
		t.Errorf("what came was wrong: %q", got.wrong)
	}
	said := 0
	for _, n := range c.Nodes {
		content, err := os.ReadFile(n.LogFile())
		if err != nil {
			t.Fatal(err)
		}
		said += strings.Count(string(content), "the collector does not take metrics")
	}
	if said != 1 {
		t.Errorf("that one was refused is said %d times", said)
	}
}
