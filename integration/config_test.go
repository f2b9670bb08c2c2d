package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigFile: a file in redis.conf's format as the first argument, CONFIG SET
// and CONFIG REWRITE, and what was rewritten holds after a restart.
func TestConfigFile(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	path := filepath.Join(dir, "raftredis.conf")
	conf := "# my node\nport " + port + "\ncluster-port " + freePort(t) + "\nmaxclients 77\n\n# for slow clients\ntimeout 100\n"
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p := run(t, dir, path, "--dir", filepath.Join(dir, "data"))
	p.waitReady("127.0.0.1:" + port)
	c := connect(t, "127.0.0.1:"+port)
	for directive, want := range map[string]string{"maxclients": "77", "timeout": "100", "appendfsync": "always", "dir": filepath.Join(dir, "data")} {
		if v := must(t, c, "CONFIG", "GET", directive); len(v.Elems) != 2 || v.Elems[1].Str != want {
			t.Errorf("CONFIG GET %s: %s, not %s", directive, v, want)
		}
	}
	must(t, c, "CONFIG", "SET", "timeout", "200", "slowlog-max-len", "5")
	must(t, c, "CONFIG", "SET", "loglevel", "debug")
	must(t, c, "CONFIG", "REWRITE")
	p.terminate(0)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# my node\n", "# for slow clients\ntimeout 200\n", "slowlog-max-len 5\n", "maxclients 77\n"} {
		if !strings.Contains(string(content), want) {
			t.Errorf("the rewritten file lacks %q:\n%s", want, content)
		}
	}
	p = run(t, dir, path, "--dir", filepath.Join(dir, "data"))
	p.waitReady("127.0.0.1:" + port)
	if v := must(t, connect(t, "127.0.0.1:"+port), "CONFIG", "GET", "timeout"); v.Elems[1].Str != "200" {
		t.Errorf("after the restart timeout is %s", v)
	}
	p.terminate(0)
}

// TestDebugListener: profiles, metrics, readiness and liveness, on loopback, for who has no
// password. The page is for who has one.
func TestDebugListener(t *testing.T) {
	port, debug := freePort(t), freePort(t)
	p := run(t, t.TempDir(), "--port", port, "--cluster-port", freePort(t), "--pprof", debug, "--requirepass", "secret")
	for path, want := range map[string]string{
		"/readyz":                        "ready",
		"/livez":                         "alive",
		"/metrics":                       "raftredis_commands_applied_total",
		"/debug/pprof/mutex?debug=1":     "mutex",
		"/debug/pprof/block?debug=1":     "contention",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
	} {
		eventually(t, path, func() error {
			r, err := http.Get("http://127.0.0.1:" + debug + path)
			if err != nil {
				return err
			}
			defer r.Body.Close()
			body, err := io.ReadAll(r.Body)
			if err == nil && (r.StatusCode != http.StatusOK || !strings.Contains(string(body), want)) {
				err = fmt.Errorf("%s, without %q: %.200s", r.Status, want, body)
			}
			return err
		})
	}
	r, err := http.Get("http://127.0.0.1:" + debug + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusUnauthorized {
		t.Errorf("the page asks nobody for a password: %s", r.Status)
	}
	p.terminate(0)
}
