package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const directory = "../../deploy"

// TestChart renders the chart in its shapes; rendering lints, too.
func TestChart(t *testing.T) {
	for _, c := range []struct {
		name       string
		values     map[string]any
		has, lacks string // what is there, and what is not
		err        string
	}{
		{name: "as it is", has: "RAFTREDIS_PEER_SECRET", lacks: "tls-cluster"},
		{name: "TLS", values: map[string]any{"tls": map[string]any{"enabled": true, "secretName": "certificates"}}, has: `"secretName":"certificates"`, lacks: "RAFTREDIS_PEER_SECRET"},
		{name: "TLS without a secret", values: map[string]any{"tls": map[string]any{"enabled": true}}, err: "tls.secretName"},
		{name: "own options", values: map[string]any{"config": map[string]any{"read-mode": "linearizable"}, "antiAffinity": "hard"}, has: `\nread-mode linearizable\n`},
		{name: "own secret", values: map[string]any{"auth": map[string]any{"existingSecret": "mine"}}, has: `{"key":"peer-secret","name":"mine"}`, lacks: `"kind":"Secret"`},
		{name: "against the schema", values: map[string]any{"antiAffinity": "some"}, err: "antiAffinity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(&out, filepath.Join(directory, "helm", "raftredis"), c.values)
			switch {
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Fatalf("%v, and it should be about %s", err, c.err)
			case c.err == "" && err != nil:
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), c.has) || c.lacks != "" && strings.Contains(out.String(), c.lacks) {
				t.Errorf("there should be %q and not %q in:\n%s", c.has, c.lacks, out.String())
			}
		})
	}
}

// compose reads the compose file as docker compose does.
func compose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(directory, "compose.yaml")}, cli.WithName("raftredis"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestCompose looks for what the compose file mounts and for what two of its services would both
// take. TestImage runs it.
func TestCompose(t *testing.T) {
	project := compose(t)
	ports, ids := map[string]string{}, map[string]string{}
	for name, s := range project.Services {
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, p := range s.Ports {
			if other := ports[p.HostIP+":"+p.Published]; other != "" {
				t.Errorf("%s and %s both want port %s", other, name, p.Published)
			}
			ports[p.HostIP+":"+p.Published] = name
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to other machines", name, p.Published)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == "bind" {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else if _, there := project.Volumes[v.Source]; !there {
				t.Errorf("%s: there is no volume %s", name, v.Source)
			}
		}
		if id := s.Environment["RAFTREDIS_ID"]; id != nil {
			if other := ids[*id]; other != "" {
				t.Errorf("%s and %s both are member %s", other, name, *id)
			}
			ids[*id] = name
			if cluster := s.Environment["RAFTREDIS_CLUSTER"]; cluster == nil || !strings.Contains(*cluster, "//"+name+":") {
				t.Errorf("%s is not in its own list of members", name)
			}
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d nodes", len(ids))
	}
}
