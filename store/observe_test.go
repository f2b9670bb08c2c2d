package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/raftnode/commit/committest"
	"github.com/raftredis/raftredis/store/command"
)

// noting is an observer that writes down what it is told.
type noting struct {
	r     *recorder
	seen  int
	exact bool
	out   []string
}

func (n *noting) Exact() bool { return n.exact }

func (n *noting) Failed() bool {
	failed := false
	for ; n.seen < len(n.r.out); n.seen++ {
		failed = failed || strings.HasPrefix(n.r.out[n.seen], "-")
	}
	return failed
}

func (n *noting) Ran(_ int, spec *command.Spec, argv [][]byte, times, failed int, took time.Duration) {
	name := "exec"
	if spec != nil {
		name = string(argv[0]) + " " + string(argv[len(argv)-1])
	}
	slow := ""
	if name == "slow slow" && took >= 5*time.Millisecond { // the others may be slow by accident
		slow = " slow"
	}
	n.out = append(n.out, fmt.Sprintf("%s x%d failed %d%s", name, times, failed, slow))
}

// TestObserver: who is told what of the commands of a pipeline; a command that takes long
// has its time to itself, and an error is that of the command which made it.
func TestObserver(t *testing.T) {
	table, err := command.NewTable(command.Data(), []*command.Spec{
		{Name: "slow", Arity: 1, Summary: "s", Since: "1", Group: "g", Write: func(w *command.Write) {
			for began := time.Now(); time.Since(began) < 5*time.Millisecond; { // as long as work takes
			}
			w.OK()
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		line  string
		exact bool
		want  string
	}{
		{"set a 1, set b 2, set c 3", false, "set 1 x3 failed 0"},
		{"set a 1, set b 2", true, "set 1 x1 failed 0, set 2 x1 failed 0"},
		{"set a 1, incr n, incr a", false, "set 1 x1 failed 0, incr n x2 failed 0"},
		{"set a x, lpush a y, set a z", false, "set x x1 failed 0, lpush y x1 failed 1, set z x1 failed 0"},
		{"set a x, incr a, incr n, incr a", false, "set x x1 failed 0, incr a x3 failed 2"},
		{"set a 1, slow, set b 2", false, "set 1 x1 failed 0, slow slow x1 failed 0 slow, set 2 x1 failed 0"},
		{"set a 1, get a, set b 2", false, "set 1 x1 failed 0, get a x1 failed 0, set 2 x1 failed 0"},
		{"set a 1, sunionstore d e, set b 2", false, "set 1 x1 failed 0, sunionstore e x1 failed 0, set 2 x1 failed 0"},
	} {
		proposeC := make(chan *commit.Proposal, 1)
		s := New(Config{Table: table, Member: 1}, proposeC)
		s.outbox.node = &node{committest.New(1).Join(1, 1, nil), 1}
		s.node.Store(s.outbox.node)
		s.outbox.retrying = true
		r := &recorder{}
		o := &noting{r: r, exact: x.exact}
		b := &Batch{Observer: o}
		for _, line := range strings.Split(x.line, ", ") {
			argv := args(line)
			if spec := table.Lookup(argv[0]); spec.Read != nil {
				b.Read(0, spec, argv)
			} else {
				b.Write(0, spec, argv)
			}
		}
		s.Submit(b, r, func() {})
		p := <-proposeC
		p.Take()
		if err := applyData(s, s.Seal(nil, [][]byte{p.Data})); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(o.out, ", "); got != x.want {
			t.Errorf("%s (exact: %t):\n%s, want\n%s", x.line, x.exact, got, x.want)
		}
	}
}
