package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// serviceAccount is where Kubernetes tells a pod how to reach its API.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// podStopCommand is the preStop hook.
func podStopCommand() subcommand {
	return subcommand{
		name: "pod-stop",
		summary: "Prepare the end of a pod of a Kubernetes StatefulSet (its preStop hook): if the set was made smaller and the pod is not to come back,\n" +
			"leave the cluster; otherwise hand leadership over.",
		declare: func(fs *pflag.FlagSet) func(*invocation) error {
			r := declareReach(fs)
			within := declareWithin(fs)
			var p pod
			fs.StringVar(&p.name, "name", "", "`name` of the pod; the host's by default")
			account := fs.String("service-account", serviceAccount, "`directory` with the token, the namespace and ca.crt of the API")
			api := fs.String("api", "https://kubernetes.default.svc", "`URL` of the API")
			return func(c *invocation) error {
				if err := errors.Join(c.noArgs(), p.locate()); err != nil {
					return err
				}
				replicas, err := p.replicas(c.ctx, *api, *account)
				switch {
				case err != nil:
					// To stay a member for nothing can be mended, to leave for nothing cannot.
					fmt.Fprintf(c.out, "whether the pod comes back is not known, so it stays a member: %v\n", err)
				case replicas > 0 && p.ordinal >= replicas: // with 0 all stop, and the cluster stays
					return c.leave(r, *within)
				}
				return c.persist(*within, func(c *invocation) (bool, error) { return c.handOver(r) })
			}
		},
	}
}

// replicas asks Kubernetes how many pods the set is to have.
func (p *pod) replicas(ctx context.Context, api, account string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	read := func(name string) (string, error) {
		b, err := os.ReadFile(filepath.Join(account, name))
		return strings.TrimSpace(string(b)), err
	}
	token, err1 := read("token")
	namespace, err2 := read("namespace")
	ca, err3 := read("ca.crt")
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca)) {
		return 0, fmt.Errorf("there is no certificate in %s/ca.crt", account)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	url := fmt.Sprintf("%s/apis/apps/v1/namespaces/%s/statefulsets/%s", api, namespace, p.set)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }() // only read from
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", url, res.Status)
	}
	var set struct {
		Spec struct {
			Replicas *int `json:"replicas"`
		} `json:"spec"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 8<<20)).Decode(&set); err != nil {
		return 0, fmt.Errorf("%s: %w", url, err)
	}
	if set.Spec.Replicas == nil {
		return 0, fmt.Errorf("%s does not say how many replicas there are", url)
	}
	return *set.Spec.Replicas, nil
}
