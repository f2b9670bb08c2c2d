package integration

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// kubernetes stands in for one: it starts a process for each pod of the chart's StatefulSet,
// with the arguments, the environment, the configuration and the preStop hook that Helm
// renders, and answers the API for the hook. A pod's address is one of loopback's.
type kubernetes struct {
	t        *testing.T
	dir      string
	conf     string // with the data directory and the address to be filled in
	pod      podSpec
	env      []string // what the chart's Secret is for
	replicas atomic.Int64
	api      *httptest.Server
	port     string
	peers    string
	pods     map[int]*podProcess
}

// podSpec is what is used of the StatefulSet.
type podSpec struct {
	Args    []string `json:"args"`
	Command []string `json:"command"`
	Env     []struct {
		Name      string `json:"name"`
		ValueFrom struct {
			SecretKeyRef struct {
				Key string `json:"key"`
			} `json:"secretKeyRef"`
		} `json:"valueFrom"`
	} `json:"env"`
	Lifecycle struct {
		PreStop struct {
			Exec struct {
				Command []string `json:"command"`
			} `json:"exec"`
		} `json:"preStop"`
	} `json:"lifecycle"`
}

type podProcess struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

const podPassword = "from-the-secret"

// rendered returns what the chart renders, by kind. CHART is the program of
// integration/deploy, which is a module of its own.
func rendered(t *testing.T, values ...string) map[string]json.RawMessage {
	t.Helper()
	program := os.Getenv("CHART")
	if program == "" {
		skip(t, "CHART is not set: make chart builds bin/chart")
	}
	out, err := exec.Command(program, "--set", strings.Join(values, ","), "../deploy/helm/raftredis").Output()
	if err != nil {
		t.Fatalf("the chart: %v: %s", err, stderrOf(err))
	}
	all := map[string]json.RawMessage{}
	for line := range bytes.Lines(out) {
		var manifest struct{ Kind string }
		if err := json.Unmarshal(line, &manifest); err != nil {
			t.Fatal(err)
		}
		all[manifest.Kind] = line
	}
	return all
}

func newKubernetes(t *testing.T, replicas int) *kubernetes {
	t.Helper()
	if runtime.GOOS != "linux" {
		skip(t, "all of 127.0.0.0/8 is loopback on Linux only")
	}
	k := &kubernetes{t: t, dir: newDir(t), pods: map[int]*podProcess{}}
	k.replicas.Store(int64(replicas))
	k.port, k.peers = freePort(t), freePort(t)
	manifests := rendered(t, "auth.password="+podPassword, "ports.client="+k.port, "ports.peer="+k.peers, "ports.http="+freePort(t))
	var config struct{ Data map[string]string }
	var secret struct{ Data map[string][]byte }
	var set struct {
		Spec struct {
			Template struct {
				Spec struct{ Containers []podSpec }
			}
		}
	}
	for kind, into := range map[string]any{"ConfigMap": &config, "Secret": &secret, "StatefulSet": &set} {
		if err := json.Unmarshal(manifests[kind], into); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	k.conf, k.pod = config.Data["raftredis.conf"], set.Spec.Template.Spec.Containers[0]
	for _, v := range k.pod.Env {
		if key := v.ValueFrom.SecretKeyRef.Key; key != "" {
			k.env = append(k.env, v.Name+"="+string(secret.Data[key]))
		}
	}
	k.api = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apis/apps/v1/namespaces/default/statefulsets/raftredis" || r.Header.Get("Authorization") != "Bearer token" {
			http.Error(w, r.URL.Path, http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"spec":{"replicas":%d}}`, k.replicas.Load())
	}))
	t.Cleanup(k.api.Close)
	k.write("token", "token")
	k.write("namespace", "default")
	k.write("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.api.Certificate().Raw})))
	t.Cleanup(func() {
		for _, p := range k.pods {
			_ = p.cmd.Process.Signal(syscall.SIGKILL)
			<-p.exited
		}
	})
	return k
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

func (k *kubernetes) write(name, content string) {
	k.t.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, name), []byte(content), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kubernetes) ip(n int) string   { return fmt.Sprintf("127.7.7.1%d", n) }
func (k *kubernetes) addr(n int) string { return net.JoinHostPort(k.ip(n), k.port) }

// command makes a process of what stands in the chart for pod n, with what Kubernetes fills
// in filled in, and the names of machines that are not there.
func (k *kubernetes) command(n int, args []string) *exec.Cmd {
	conf := filepath.Join(k.dir, fmt.Sprintf("pod%d.conf", n))
	k.write(filepath.Base(conf), strings.NewReplacer("/data/", filepath.Join(k.dir, fmt.Sprintf("pod%d", n))+"/", "0.0.0.0", k.ip(n)).Replace(k.conf))
	name := fmt.Sprintf("raftredis-%d", n)
	fill := strings.NewReplacer("$(POD_NAME)", name, "$(POD_IP)", k.ip(n), "/etc/raftredis/raftredis.conf", conf)
	var filled []string
	for _, a := range args {
		a = fill.Replace(a)
		if strings.HasPrefix(a, "--peers=") {
			a = "--peers=https://127.7.7.1{ordinal}:" + k.peers
		}
		filled = append(filled, a)
	}
	cmd := exec.Command(binary(k.t), filled...)
	cmd.Env = append(append(os.Environ(), k.env...), "POD_NAME="+name, "POD_IP="+k.ip(n))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// start starts the pods that the set is to have and that do not run.
func (k *kubernetes) start() {
	k.t.Helper()
	for n := range int(k.replicas.Load()) {
		if k.pods[n] == nil {
			k.startPod(n)
		}
	}
}

func (k *kubernetes) startPod(n int) {
	k.t.Helper()
	dir := filepath.Join(k.dir, fmt.Sprintf("pod%d", n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		k.t.Fatal(err)
	}
	log, err := os.OpenFile(dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		k.t.Fatal(err)
	}
	defer log.Close()
	p := &podProcess{cmd: k.command(n, k.pod.Args), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	k.pods[n] = p
}

// stop ends a pod as Kubernetes does: the hook, SIGTERM, and the kill when grace is over.
// It returns what the hook said.
func (k *kubernetes) stop(n int) (string, error) {
	hook := k.pod.Lifecycle.PreStop.Exec.Command
	var out bytes.Buffer
	cmd := k.command(n, append(hook[1:len(hook):len(hook)], fmt.Sprintf("--name=raftredis-%d", n), "--api="+k.api.URL, "--service-account="+k.dir))
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	p := k.pods[n]
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		err = errors.Join(err, fmt.Errorf("pod %d ignores SIGTERM", n))
	}
	if err != nil {
		err = fmt.Errorf("pod %d: %w: %s", n, err, out.String())
	}
	return out.String(), err
}

// scale changes the set. Pods that go are stopped at the same time, as podManagementPolicy
// Parallel has it.
func (k *kubernetes) scale(replicas int) {
	k.t.Helper()
	was := int(k.replicas.Swap(int64(replicas)))
	type answer struct {
		said string
		err  error
	}
	answers := make(chan answer)
	for n := replicas; n < was; n++ {
		go func() {
			said, err := k.stop(n)
			answers <- answer{said, err}
		}()
	}
	for n := replicas; n < was; n++ {
		if a := <-answers; a.err != nil || !strings.Contains(a.said, "has left the cluster") {
			k.t.Errorf("a pod that is not to come back: %v: %s", a.err, a.said)
		}
	}
	for n := replicas; n < was; n++ {
		delete(k.pods, n)
	}
	k.start()
	k.ready()
}

func (k *kubernetes) do(n int, args ...string) (value, error) {
	c, err := dial(k.addr(n))
	if err != nil {
		return value{}, err
	}
	defer c.Close()
	if v, err := c.Do("AUTH", podPassword); err != nil || v.IsError() {
		return v, fmt.Errorf("AUTH: %w %s", err, v.Str)
	}
	v, err := c.Do(args...)
	if err == nil && v.IsError() {
		err = errors.New(v.Str)
	}
	return v, err
}

// ready waits until every pod is a member that votes and serves, and nobody else is one.
func (k *kubernetes) ready() {
	k.t.Helper()
	for n := range int(k.replicas.Load()) {
		eventually(k.t, fmt.Sprintf("pod %d", n), func() error {
			select {
			case <-k.pods[n].exited:
				return fmt.Errorf("%w: %s", cluster.ErrEnded, tail(filepath.Join(k.dir, fmt.Sprintf("pod%d.log", n)), 3))
			default:
			}
			v, err := k.do(n, "INFO", "raft", "persistence")
			if err != nil {
				return err
			}
			for _, want := range []string{"loading:0\r\n", fmt.Sprintf("raft_voters:%d\r\n", k.replicas.Load()), "raft_learners:0\r\n"} {
				if !strings.Contains(v.Str, want) {
					return fmt.Errorf("INFO has no %s", want)
				}
			}
			return nil
		})
	}
}

// leads reports whether pod n leads.
func (k *kubernetes) leads(n int) bool {
	v, err := k.do(n, "ROLE")
	return err == nil && len(v.Elems) > 0 && v.Elems[0].Str == "master"
}

// TestChart plays what the chart's StatefulSet does when it is installed, made larger and
// smaller, and updated.
func TestChart(t *testing.T) {
	k := newKubernetes(t, 3)
	k.start()
	k.ready()
	writes := 0
	write := func() {
		t.Helper()
		for n := range int(k.replicas.Load()) {
			eventually(t, "a write", func() error {
				_, err := k.do(n, "SET", fmt.Sprintf("key:%d", writes), "v")
				return err
			})
			writes++
		}
	}
	check := func() {
		t.Helper()
		for n := range int(k.replicas.Load()) {
			eventually(t, fmt.Sprintf("all keys at pod %d", n), func() error {
				v, err := k.do(n, "DBSIZE")
				if n, _ := v.Int(); err == nil && n != int64(writes) {
					err = fmt.Errorf("it has %d of %d", n, writes)
				}
				return err
			})
		}
	}
	write()
	k.scale(5)
	write()
	check()
	k.scale(3)
	write()
	check()

	// The numbers come back with their volumes, and the ids do not.
	k.scale(5)
	write()
	check()
	for n := 3; n < 5; n++ {
		aside, err := filepath.Glob(filepath.Join(k.dir, fmt.Sprintf("pod%d/node-of-member-*", n)))
		if err != nil || len(aside) != 1 {
			t.Errorf("pod %d: data moved aside: %v, %v", n, aside, err)
		}
	}
	k.scale(3)
	write()

	// A rolling update goes from the last pod to the first, and never waits for an election.
	for n := 2; n >= 0; n-- {
		if n == 0 && !k.leads(0) {
			if _, err := k.do(0, "RAFT", "TRANSFER"); err != nil { // so that one has to hand over
				t.Fatal(err)
			}
		}
		said, err := k.stop(n)
		if err != nil || strings.Contains(said, "left") || !strings.Contains(said, "does not lead") {
			t.Fatalf("restart of pod %d: %v: %s", n, err, said)
		}
		delete(k.pods, n)
		k.start()
		k.ready()
		write()
	}
	check()

	// A set of 0 stops, and the cluster is still there: nobody leaves.
	k.replicas.Store(0)
	if said, err := k.stop(0); err != nil || strings.Contains(said, "left") {
		t.Errorf("a pod of a set of 0: %v: %s", err, said)
	}
	delete(k.pods, 0)
	k.replicas.Store(3)
	k.start()
	k.ready()
	check()

	// A volume is lost: its pod must not come back as if it had never been there.
	if _, err := k.stop(2); err != nil {
		t.Fatal(err)
	}
	delete(k.pods, 2)
	if err := os.RemoveAll(filepath.Join(k.dir, "pod2")); err != nil {
		t.Fatal(err)
	}
	k.startPod(2)
	select {
	case <-k.pods[2].exited:
	case <-time.After(patience):
		t.Fatal("a pod without its data runs")
	}
	if log := tail(filepath.Join(k.dir, "pod2.log"), 3); !strings.Contains(log, "RAFT REMOVE") {
		t.Errorf("it does not say what to do: %s", log)
	}
	delete(k.pods, 2)
	if _, err := k.do(0, "RAFT", "REMOVE", "3"); err != nil {
		t.Fatal(err)
	}
	k.start()
	k.ready()
	check()
}
