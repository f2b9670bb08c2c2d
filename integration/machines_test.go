package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// step is a block of commands in a document, and the machines it is for: "# on 10.0.0.1 and
// 10.0.0.3", or "# on all three machines".
type step struct {
	machines []int // from 1 on
	commands string
}

// steps are the blocks of commands in a document.
func steps(t *testing.T, path string) (all []step) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`10\.0\.0\.([123])`)
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)\n```").FindAllStringSubmatch(string(text), -1) {
		where, commands, _ := strings.Cut(block[1], "\n")
		s := step{commands: commands + "\n"}
		if strings.HasPrefix(where, "# on all three machines") {
			s.machines = []int{1, 2, 3}
		}
		for _, m := range address.FindAllStringSubmatch(where, -1) {
			s.machines = append(s.machines, int(m[1][0]-'0'))
		}
		if !strings.HasPrefix(where, "# on ") || len(s.machines) == 0 {
			t.Fatalf("%s: a block does not say where it is for:\n%s", path, block[1])
		}
		all = append(all, s)
	}
	return all
}

// debianPackage returns the package for this machine, which make dist has made.
func debianPackage(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("../dist/raftredis_*_" + runtime.GOARCH + ".deb")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		skip(t, fmt.Sprintf("there is no one package for this machine (make dist makes it), but %d", len(found)))
	}
	return found[0]
}

// machines are three: each has a root directory of its own, over this machine's, a
// network of its own with one address, and its own processes.
type machines struct {
	t    *testing.T
	init *exec.Cmd
	dir  string
}

// machinesScript makes the machines, in name spaces that end with it, and with them everything in
// there. Nothing of it is to be seen outside: mounts, addresses and processes are its
// own. It says ready, and ends when its input does.
//
// There is no init in a machine and no ssh between them. In their places are two
// scripts: systemctl does to the one service what its unit file says (User, StateDirectory, ExecStart),
// and scp copies from root directory to root directory. Everything else is what the document says.
const machinesScript = `
set -euo pipefail
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
cd "$1"
ip link set lo up
ip link add switch type bridge
ip link set switch up
for i in 1 2 3; do
	mkdir -p $i/upper $i/work $i/root
	mount -t overlay overlay -o "lowerdir=/,upperdir=$1/$i/upper,workdir=$1/$i/work" $i/root
	mount -t proc proc $i/root/proc
	mount -t tmpfs tmpfs $i/root/run
	mount -t tmpfs tmpfs $i/root/tmp
	mount --bind /dev $i/root/dev
	mkdir $i/root/run/machines
	unshare --net --uts sleep infinity &
	pid=$!
	until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/$$/ns/net)" ] && [ "$(cat /proc/$pid/comm)" = sleep ]; do :; done
	echo $pid > $i/pid
	ip link add port$i type veth peer name eth0 netns $pid
	ip link set port$i master switch up
	nsenter -t $pid --net ip link set lo up
	nsenter -t $pid --net ip addr add 10.0.0.$i/24 dev eth0
	nsenter -t $pid --net ip link set eth0 up
	nsenter -t $pid --uts hostname machine$i
	cp "$2" $i/root/root/
	echo "$3" > $i/root/machine
	cat > $i/root/usr/local/bin/systemctl <<'SYSTEMCTL'
#!/bin/bash
set -euo pipefail
unit=/usr/lib/systemd/system/raftredis.service
value() { sed -n "s/^$1=//p" $unit; }
running() { [ -s /run/raftredis.pid ] && kill -0 "$(cat /run/raftredis.pid)" 2>/dev/null; }
stop() {
	running || return 0
	kill "$(cat /run/raftredis.pid)"
	for _ in $(seq "$(( $(value TimeoutStopSec) * 10 ))"); do running || return 0; sleep 0.1; done
	echo "it does not stop" >&2
	exit 1
}
start() {
	running && return 0
	for kind in State:lib Logs:log Runtime:; do
		name=$(value "${kind%%:*}Directory")
		place=/var/${kind#*:}/$name
		[ "${kind#*:}" ] || place=/run/$name
		mkdir -p "$place" && chown "$(value User):$(value Group)" "$place"
	done
	cd "$(value WorkingDirectory)"
	umask "$(value UMask)"
	setsid setpriv --reuid="$(value User)" --regid="$(value Group)" --clear-groups --no-new-privs --bounding-set=-all \
		$(value ExecStart) >> /var/log/journal.txt 2>&1 < /dev/null &
	echo $! > /run/raftredis.pid
}
case "$*" in
"enable raftredis" | daemon-reload) [ -f $unit ] ;;
"start raftredis") start ;;
"stop raftredis") stop ;;
"restart raftredis") stop; start ;;
*) echo "systemctl $*: not here" >&2; exit 1 ;;
esac
SYSTEMCTL
	cat > $i/root/usr/local/bin/scp <<'SCP'
#!/bin/bash
set -euo pipefail
to=${!#} # root@10.0.0.N:path
host=${to%%:*} path=${to#*:}
case "$host" in root@10.0.0.[123]) ;; *) echo "scp to $to: not here" >&2; exit 1 ;; esac
case "$path" in /*) ;; *) path=/root/$path ;; esac
install -m 600 -g "$(stat -c %g "/run/machines/${host##*.}$(dirname "$path/x")" 2>/dev/null || echo 0)" "${@:1:$#-1}" "/run/machines/${host##*.}$path"
SCP
	chmod +x $i/root/usr/local/bin/systemctl $i/root/usr/local/bin/scp
done
for i in 1 2 3; do for j in 1 2 3; do
	mkdir $i/root/run/machines/$j
	mount --bind $j/root $i/root/run/machines/$j
done; done
echo ready
cat > /dev/null
`

func newMachines(t *testing.T) *machines {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		skip(t, "three machines take root, on Linux")
	}
	for _, tool := range []string{"unshare", "nsenter", "ip", "dpkg", "openssl", "redis-cli", "curl", "setpriv", "runuser"} {
		if _, err := exec.LookPath(tool); err != nil {
			skip(t, tool+" is not installed")
		}
	}
	deb, err := filepath.Abs(debianPackage(t))
	if err != nil {
		t.Fatal(err)
	}
	m := &machines{t: t, dir: t.TempDir()}
	// What is run there must never be run here: each machine has this in /machine.
	secret := strconv.FormatInt(time.Now().UnixNano(), 36)
	m.init = exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", machinesScript, "machines", m.dir, deb, secret)
	m.init.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log syncBuffer
	m.init.Stdout, m.init.Stderr = &log, &log
	stdin, err := m.init.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.init.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // and everything in there ends with it
		_ = m.init.Wait()
	})
	eventually(t, "three machines", func() error {
		if !strings.Contains(log.String(), "ready\n") {
			return fmt.Errorf("they say: %s", log.String())
		}
		return nil
	})
	for i := range 3 {
		if out := m.run(i+1, "cat /machine"); strings.TrimSpace(out) != secret {
			t.Fatalf("machine %d is none of ours: %q", i+1, out)
		}
	}
	return m
}

// syncBuffer is a buffer that two may use at a time.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// run runs commands as root on a machine, each of which must succeed, and returns what they print.
func (m *machines) run(machine int, commands string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	// Into the name spaces that the machines are in, then the machine's network, then its root. A
	// login of its own; and nothing is run unless /machine is there, which it is on no other.
	const enter = `dir=$1 i=$2
		exec nsenter -t "$(cat "$dir/$i/pid")" --net --uts chroot "$dir/$i/root" /usr/bin/env -i HOME=/root PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		/bin/bash -c '[ -f /machine ] || exit 99; cd /root; exec bash -euo pipefail -s'`
	child := m.childOf(m.init.Process.Pid)
	cmd := exec.CommandContext(ctx, "nsenter", "-t", child, "--mount", "--net", "--pid", "bash", "-c", enter, "machine", m.dir, strconv.Itoa(machine))
	cmd.Stdin = strings.NewReader(commands)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // a service that was started goes on with the output
	if err := cmd.Run(); err != nil && ctx.Err() == nil && cmd.ProcessState.ExitCode() != 0 || ctx.Err() != nil {
		m.t.Fatalf("on 10.0.0.%d:\n%s%v: %s\nits log:\n%s", machine, commands, err, out.String(), m.journal(machine))
	}
	return out.String()
}

// journal is the end of what a machine's service has said.
func (m *machines) journal(machine int) string {
	path := fmt.Sprintf("/proc/%s/root%s/%d/root/var/log/journal.txt", m.childOf(m.init.Process.Pid), m.dir, machine)
	return tail(path, 40)
}

// childOf is the first process in the name spaces that unshare has made.
func (m *machines) childOf(pid int) string {
	m.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil || len(strings.Fields(string(b))) != 1 {
		m.t.Fatalf("the machines are gone: %q, %v", b, err)
	}
	return strings.Fields(string(b))[0]
}

// TestThreeMachines does what docs/production.md says, to the letter: from the package, on
// three machines, to a cluster with TLS and users, a page and a backup; a machine fails, all
// fail, and the backup brings them back.
func TestThreeMachines(t *testing.T) {
	all := steps(t, "../docs/production.md")
	if len(all) < 12 {
		t.Fatalf("only %d blocks of commands", len(all))
	}
	m := newMachines(t)
	var said []string // by each block
	for _, s := range all {
		var out strings.Builder
		for _, machine := range s.machines {
			out.WriteString(m.run(machine, s.commands))
		}
		t.Logf("on %v:\n%s%s", s.machines, s.commands, out.String())
		said = append(said, out.String())
	}
	// It ran; and it came to what the document says that it comes to.
	var greetings []string
	for i, s := range all {
		if strings.HasSuffix(s.commands, "get app:greeting\n") {
			lines := strings.Split(strings.TrimSpace(said[i]), "\n")
			greetings = append(greetings, lines[len(lines)-1])
		}
		for command, want := range map[string]string{"raft nodes": "leader", "<title>": "raftredis", "--check": "whole and in order", "raftredis restore -c": "alone in the new cluster"} {
			if strings.Contains(s.commands, command) && !strings.Contains(said[i], want) {
				t.Errorf("%q says nothing of %q: %s", command, want, said[i])
			}
		}
	}
	if want := []string{"hello", "hello again", "hello"}; !slices.Equal(greetings, want) {
		t.Errorf("the greetings are %q instead of %q", greetings, want)
	}
	// TLS is spoken everywhere, and nobody comes in without a name.
	for what, command := range map[string]string{
		"a client without TLS":         "redis-cli -h 10.0.0.1 ping",
		"a client without a name":      "redis-cli -h 10.0.0.1 --tls --cacert /etc/raftredis/ca.crt get app:greeting",
		"a program on other keys":      "REDISCLI_AUTH=$(cat ~/app.password) redis-cli -h 10.0.0.1 --tls --cacert /etc/raftredis/ca.crt --user app get other",
		"a peer without a certificate": "curl -sk https://10.0.0.1:16379/members || echo refused",
	} {
		out := m.run(1, command+" 2>&1 || true\n")
		if !regexp.MustCompile(`NOAUTH|NOPERM|WRONGPASS|refused|Server closed|I/O error|reset by peer`).MatchString(out) {
			t.Errorf("%s gets %q", what, out)
		}
	}
	for i := range 3 {
		journal := m.journal(i + 1)
		if strings.Contains(journal, "anybody who reaches the peer port") || strings.Contains(journal, "panic:") {
			t.Errorf("machine %d says:\n%s", i+1, journal)
		}
	}
}
