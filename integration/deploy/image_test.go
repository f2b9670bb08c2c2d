package main

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// inspected is what buildah inspect prints of an image: of that, how it is run.
type inspected struct {
	Docker struct {
		Config struct {
			User        string
			Env         []string
			Entrypoint  []string
			Cmd         []string
			Volumes     map[string]struct{}
			Healthcheck struct{ Test []string }
		}
	}
}

// composeScript runs the compose file's nodes, each with a network and a root directory of its
// own: the image, which cannot be written, with the volume over it. What a container engine would
// put there is there: /etc/hosts, /proc, /dev. Everything is in name spaces that end with it.
//
// $1 is a directory with one for each node, $2 the image, $3 who it runs as, $4 its volume, $5 the password, $6
// what Prometheus mounts. A node's directory has two lists with a NUL behind each word: node and health, the
// environment and what to run.
const composeScript = `
set -euo pipefail
dir=$1 image=$2 user=$3 volume=$4 password=$5 prometheus=$6
cd "$dir"
export REDISCLI_AUTH=$password
mount --make-rprivate /
ip link set lo up
ip link add switch type bridge
ip link set switch up
ip addr add 10.0.0.254/24 dev switch
nodes=(*)
printf '127.0.0.1 localhost\n' > hosts
i=0
for n in "${nodes[@]}"; do
	i=$((i + 1))
	echo "10.0.0.$i $n" >> hosts
done
mount --bind hosts /etc/hosts

in_node() { # name, what to run there: node or health
	local words
	mapfile -d '' -t words < "$1/$2"
	exec nsenter -t "$(cat "$1/net")" --net env -i "${words[@]}"
}
start() {
	(in_node "$1" node) >> "$1/log" 2>&1 &
	pids[$1]=$!
}
within() { # seconds, a command
	local end=$((SECONDS + $1))
	until "${@:2}"; do
		[ $SECONDS -lt $end ] || { echo "not within $1 s: ${*:2}"; exit 1; }
		sleep 0.2
	done
}
healthy() { (in_node "$1" health) > "$1/health.log" 2>&1 || { kill -0 "${pids[$1]}"; return 1; }; }
get() { [ "$(redis-cli -h "$1" get greeting)" = "$2" ]; }
trap 'echo "at: $BASH_COMMAND"; tail -n 20 */log */health.log' EXIT

declare -A pids
i=0
for n in "${nodes[@]}"; do
	i=$((i + 1))
	unshare --net sleep infinity &
	pid=$!
	until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/$$/ns/net)" ] && [ "$(cat /proc/$pid/comm)" = sleep ]; do :; done
	echo $pid > $n/net
	ip link add port$i type veth peer name eth0 netns $pid
	ip link set port$i master switch up
	nsenter -t $pid --net ip link set lo up
	nsenter -t $pid --net ip addr add 10.0.0.$i/24 dev eth0
	nsenter -t $pid --net ip link set eth0 up
	mkdir -p $n/layers
	mount -t tmpfs tmpfs $n/layers
	mkdir -p $n/layers/{work,engine/{etc,proc,dev}} $n/root
	cp hosts $n/layers/engine/etc/hosts
	mount -t overlay overlay -o "lowerdir=$image,upperdir=$n/layers/engine,workdir=$n/layers/work" $n/root
	mount -t proc proc $n/root/proc
	mount --bind /dev $n/root/dev
	mount -t tmpfs tmpfs $n/root$volume
	chown --reference="$image$volume" $n/root$volume # as an engine prepares a volume
	chmod --reference="$image$volume" $n/root$volume
	mount -o remount,ro $n/root
	start $n
done
for n in "${nodes[@]}"; do within 60 healthy $n; done

# Clients and browsers come from outside, with the password or not at all.
[[ $(env -u REDISCLI_AUTH redis-cli -h "${nodes[0]}" get greeting 2>&1) = NOAUTH* ]]
[ "$(redis-cli -h "${nodes[0]}" set greeting hello)" = OK ]
for n in "${nodes[@]}"; do
	within 20 get $n hello
	curl -sf http://$n:6060/readyz > /dev/null
	[ "$(stat -c %u:%g $n/root$volume/*/node.conf)" = "$user" ]
	[ "$(awk '/^CapEff:/ {print $2}' /proc/${pids[$n]}/status)" = 0000000000000000 ]
done

# Prometheus, which the compose file gives this configuration, finds all of them.
mkdir etc-prometheus data-prometheus
cp -r "$prometheus"/. etc-prometheus
prometheus --config.file=etc-prometheus/prometheus.yml --storage.tsdb.path=data-prometheus --web.listen-address=127.0.0.1:9090 > prometheus.log 2>&1 &
up() { [ "$(curl -s --data-urlencode 'query=sum(up{job="raftredis"})' http://127.0.0.1:9090/api/v1/query | grep -o '"[0-9]*"\]')" = "\"${#nodes[@]}\"]" ]; }
within 60 up

# One stops as an engine stops it, the others go on; and it comes back with what it had.
n=${nodes[0]}
kill "${pids[$n]}"
wait "${pids[$n]}"
within 60 redis-cli -e -h "${nodes[1]}" set greeting again
start $n
within 60 healthy $n
within 20 get $n again
[ "$(cd $n/layers/engine && find . -type f)" = ./etc/hosts ] # nothing was written but to the volume
trap - EXIT
echo "all is well"
`

// TestImage runs the nodes of the compose file as an engine would from the image whose root and
// configuration .ci/image has put there. What is not seen here is the engine's own: limits, restarts, ports on the host.
func TestImage(t *testing.T) {
	image := os.Getenv("IMAGE_ROOT")
	if image == "" {
		t.Skip(".ci/image builds the image and runs this")
	}
	text, err := os.ReadFile(os.Getenv("IMAGE_JSON"))
	if err != nil {
		t.Fatal(err)
	}
	var is inspected
	if err := json.Unmarshal(text, &is); err != nil {
		t.Fatal(err)
	}
	how := is.Docker.Config
	var files []string
	if err := filepath.WalkDir(image, func(path string, _ os.DirEntry, err error) error {
		files = append(files, strings.TrimPrefix(path, image))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"", "/data", "/raftredis"}; !slices.Equal(files, want) {
		t.Errorf("there is %q in the image", files)
	}
	if len(how.Volumes) != 1 || len(how.Healthcheck.Test) < 2 || how.Healthcheck.Test[0] != "CMD" {
		t.Fatalf("the image is to be run so: %+v", how)
	}

	dir, password := t.TempDir(), ""
	for name, s := range compose(t).Services {
		if s.Build == nil {
			continue
		}
		if len(s.Volumes) != 1 || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Command != nil || s.Entrypoint != nil {
			t.Fatalf("%s is not run as it is here", name)
		}
		if _, there := how.Volumes[s.Volumes[0].Target]; !there {
			t.Errorf("%s: its volume is at %s, and the image's is another", name, s.Volumes[0].Target)
		}
		environment := slices.Clone(how.Env)
		for k, v := range s.Environment {
			if v != nil {
				environment = append(environment, k+"="+*v)
			}
		}
		password = *s.Environment["RAFTREDIS_REQUIREPASS"]
		root := filepath.Join(dir, name, "root")
		enter := []string{"setpriv", "--no-new-privs", "chroot", "--userspec=" + how.User, root}
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		for file, what := range map[string][]string{"node": slices.Concat(how.Entrypoint, how.Cmd), "health": how.Healthcheck.Test[1:]} {
			words := strings.Join(slices.Concat(environment, enter, what), "\x00") + "\x00"
			if err := os.WriteFile(filepath.Join(dir, name, file), []byte(words), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	prometheus, err := filepath.Abs(filepath.Join(directory, "prometheus"))
	if err != nil {
		t.Fatal(err)
	}
	volume := ""
	for v := range how.Volumes {
		volume = cmp.Or(volume, v)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child",
		"bash", "-c", composeScript, "compose", dir, image, how.User, volume, password, prometheus)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all is well") {
		t.Fatalf("%v:\n%s", err, out)
	}
}
