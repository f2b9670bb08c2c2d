package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// listener is a connection that has subscribed, and one to mark places with.
type listener struct {
	t    testing.TB
	sub  *conn
	mark *conn
	n    int
}

// markChannel is where listener.until sends its marks. It matches the pattern, so that
// a mark takes the way of the events.
const markChannel = "__keyspace@0__:mark "

func listen(t testing.TB, addr string, args ...string) *listener {
	t.Helper()
	l := &listener{t: t, sub: connect(t, addr), mark: connect(t, addr)}
	if v := must(t, l.sub, args...); v.Type != '*' {
		t.Fatalf("%q: %s", args, show(v))
	}
	for range len(args) - 2 { // must has taken the first of the replies
		l.receive()
	}
	return l
}

func (l *listener) receive() value {
	l.t.Helper()
	v, err := l.sub.Receive()
	if err != nil {
		l.t.Fatalf("receive a message: %v", err)
	}
	return v
}

// heard returns the messages up to now.
func (l *listener) heard() (all []string) {
	l.t.Helper()
	l.n++
	end := fmt.Sprint(l.n)
	must(l.t, l.mark, "PUBLISH", markChannel, end)
	return l.until(end)
}

func (l *listener) until(end string) (all []string) {
	l.t.Helper()
	for {
		words := l.receive().Strings()
		channel, text := words[len(words)-2], words[len(words)-1]
		if channel == markChannel && text == end {
			return all
		}
		all = append(all, channel+" "+text)
	}
}

const (
	allEvents   = "AKEnm"
	eventScheme = "__key*@*__:*"
)

// TestKeyspaceEvents compares the keyspace events of raftredis, heard at every node of
// three, with those of redis-server: of each line of the scripts, and of random
// commands.
func TestKeyspaceEvents(t *testing.T) {
	real := startRedis(t)
	c := start(t, 3, "--enable-debug-command", "yes", "--appendfsync", "no")
	must(t, connect(t, c.follower().Addr), "CONFIG", "SET", "notify-keyspace-events", allEvents)
	must(t, connect(t, real), "CONFIG", "SET", "notify-keyspace-events", allEvents)
	theirs := listen(t, real, "PSUBSCRIBE", eventScheme)
	var ours []*listener
	for _, n := range c.Nodes {
		ours = append(ours, listen(t, n.Addr, "PSUBSCRIBE", eventScheme))
	}
	mark := connect(t, c.leader().Addr)
	n := 0
	check := func(t *testing.T, what string) (same bool) {
		t.Helper()
		n++
		end := fmt.Sprint(n)
		must(t, mark, "PUBLISH", markChannel, end)
		want := theirs.heard()
		for i, l := range ours {
			if got := l.until(end); !slices.Equal(got, want) {
				t.Errorf("%s: events at node %d\nraftredis    %q\nredis-server %q", what, i+1, got, want)
				for _, rest := range ours[i+1:] {
					rest.until(end)
				}
				return false
			}
		}
		return true
	}
	scripts, err := filepath.Glob("testdata/differential/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		if name == "connection" || name == "pubsub" { // about connections
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := newPair(t, c.leader().Addr, real, false)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p.do(t, "FLUSHALL")
			check(t, "FLUSHALL")
			for i, line := range strings.Split(string(content), "\n") {
				line = strings.TrimSpace(line)
				if line == "" || line[0] == '#' {
					continue
				}
				_, args, run, _, err := parseLine(line, false)
				if err != nil {
					t.Fatal(err)
				}
				if run {
					p.do(t, args...)
					check(t, fmt.Sprintf("%s:%d: %.200s", filepath.Base(path), i+1, line))
				}
			}
		})
	}
	t.Run("random", func(t *testing.T) {
		seed := *differentialSeed
		if seed == 0 {
			seed = uint64(time.Now().UnixNano())
		}
		t.Logf("seed %d (repeat with -differential.seed %d)", seed, seed)
		rng := rand.New(rand.NewPCG(seed, 1))
		known := map[string]entry{}
		for _, e := range commonCommands(t, c.Nodes[0].Addr, real) {
			known[e.name] = e
		}
		grammar := readGrammar(t, known)
		p := newPair(t, c.leader().Addr, real, false)
		p.do(t, "FLUSHALL")
		for i := range *differentialCount / 5 { // a mark behind each makes them slow
			call := grammar[rng.IntN(len(grammar))].make(rng)
			if strings.EqualFold(call[0], "SWAPDB") {
				continue
			}
			p.do(t, call...)
			if !check(t, fmt.Sprintf("seed %d, command %d: %q", seed, i, call)) {
				return
			}
		}
	})
	c.sameDigests()
}
