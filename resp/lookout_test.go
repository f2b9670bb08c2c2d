package resp

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// TestLookout: what subscribers are told when what a node sees changes.
func TestLookout(t *testing.T) {
	type step struct {
		ms     int64
		term   uint64
		leader uint64
		away   string // ids
		change func(*commit.Standing)
		want   []string
	}
	names := map[uint64]string{}
	for id := uint64(1); id <= 4; id++ {
		names[id] = nodeName(9, id)
	}
	master := func(id int) string { return fmt.Sprintf("master mymaster 10.0.0.%d 6379", id) }
	slave := func(id, of int) string {
		return fmt.Sprintf("slave 10.0.0.%d:6379 10.0.0.%d 6379 @ mymaster 10.0.0.%d 6379", id, id, of)
	}
	sentinel := func(id, of int) string {
		return fmt.Sprintf("sentinel %s 10.0.0.%d 6379 @ mymaster 10.0.0.%d 6379", names[uint64(id)], id, of)
	}
	add := func(s *commit.Standing) {
		s.Members = append(s.Members, commit.Member{ID: 4, ClientAddr: "10.0.0.4:6379", Learner: true})
	}
	remove := func(s *commit.Standing) { s.Members = s.Members[:3] }
	move := func(s *commit.Standing) { s.Members[1].ClientAddr = "10.0.0.22:6379" }
	for name, steps := range map[string][]step{
		"a leader dies and is replaced": {
			{0, 1, 0, "", nil, nil}, // nobody has been named yet
			{100, 2, 2, "", nil, []string{"+new-epoch 2"}},
			{200, 2, 2, "2", nil, nil},
			{300, 2, 0, "2", nil, nil},
			{400, 3, 3, "2", nil, []string{"+new-epoch 3", "+switch-master mymaster 10.0.0.2 6379 10.0.0.3 6379", "+slave " + slave(1, 3), "+slave " + slave(2, 3)}},
			{600, 3, 3, "2", nil, nil},
			{800, 3, 3, "2", nil, []string{"+sdown " + slave(2, 3), "+sdown " + sentinel(2, 3)}},
			{900, 3, 3, "2", nil, nil},
			{1000, 3, 3, "", nil, []string{"-sdown " + slave(2, 3), "-sdown " + sentinel(2, 3)}},
		},
		"nobody can be elected for a while": {
			{0, 2, 2, "", nil, nil},
			{100, 2, 0, "2", nil, nil},
			{700, 2, 0, "2", nil, []string{"+sdown " + master(2), "+odown " + master(2) + " #quorum 2/2", "+sdown " + sentinel(2, 2)}},
			{800, 2, 0, "2", nil, nil},
			{900, 3, 2, "", nil, []string{"+new-epoch 3", "-sdown " + master(2), "-odown " + master(2), "-sdown " + sentinel(2, 2)}},
		},
		"a node is cut off": {
			{0, 2, 2, "", nil, nil},
			{100, 2, 0, "23", nil, nil},
			{700, 2, 0, "23", nil, []string{"+sdown " + master(2), "+sdown " + sentinel(2, 2), "+sdown " + slave(3, 2), "+sdown " + sentinel(3, 2)}},
			{800, 5, 3, "", nil, []string{"+new-epoch 5", "+switch-master mymaster 10.0.0.2 6379 10.0.0.3 6379", "+slave " + slave(1, 3), "+slave " + slave(2, 3),
				"-sdown " + slave(2, 3), "-sdown " + sentinel(2, 3), "-sdown " + sentinel(3, 3)}},
		},
		"a node is cut off, and nothing has happened": {
			{0, 2, 2, "", nil, nil},
			{100, 2, 0, "23", nil, nil},
			{700, 2, 0, "23", nil, []string{"+sdown " + master(2), "+sdown " + sentinel(2, 2), "+sdown " + slave(3, 2), "+sdown " + sentinel(3, 2)}},
			{800, 2, 2, "", nil, []string{"-sdown " + master(2), "-sdown " + sentinel(2, 2), "-sdown " + slave(3, 2), "-sdown " + sentinel(3, 2)}},
		},
		"a hand-over": {
			{0, 2, 2, "", nil, nil},
			{100, 3, 1, "", nil, []string{"+new-epoch 3", "+switch-master mymaster 10.0.0.2 6379 10.0.0.1 6379", "+slave " + slave(2, 1), "+slave " + slave(3, 1)}},
		},
		"members come, move and go": {
			{0, 2, 2, "", nil, nil},
			{100, 2, 2, "", add, []string{"+slave " + slave(4, 2), "+sentinel " + sentinel(4, 2)}},
			{200, 2, 2, "", remove, nil},
			{300, 2, 2, "", move, []string{"+switch-master mymaster 10.0.0.2 6379 10.0.0.22 6379",
				"+slave slave 10.0.0.1:6379 10.0.0.1 6379 @ mymaster 10.0.0.22 6379", "+slave slave 10.0.0.3:6379 10.0.0.3 6379 @ mymaster 10.0.0.22 6379",
				"+sentinel sentinel " + names[2] + " 10.0.0.22 6379 @ mymaster 10.0.0.22 6379"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := &commit.Standing{Self: 1, Cluster: 9}
			for id := uint64(1); id <= 3; id++ {
				st.Members = append(st.Members, commit.Member{ID: id, ClientAddr: fmt.Sprintf("10.0.0.%d:6379", id)})
			}
			l := newLookout()
			for _, s := range steps {
				st.Term, st.Leader, st.Away = s.term, s.leader, nil
				for _, id := range s.away {
					st.Away = append(st.Away, uint64(id-'0'))
				}
				if s.change != nil {
					s.change(st)
				}
				top := newTopology(st)
				var got []string
				for _, e := range l.look(top, &watcher{name: "mymaster", quorum: top.needed, now: 1000 + s.ms, limit: 500}) {
					got = append(got, e.channel+" "+e.payload)
				}
				if !slices.Equal(got, s.want) {
					t.Fatalf("after %d ms:\n%s\nwant\n%s", s.ms, strings.Join(got, "\n"), strings.Join(s.want, "\n"))
				}
			}
		})
	}
}

// TestSwitchIsTold: a subscriber on every node hears of a new master once.
func TestSwitchIsTold(t *testing.T) {
	c := newTrio(t, nil)
	var all []*asker
	for _, s := range c.servers {
		a := newAsker(t, s)
		a.ask("PSUBSCRIBE +switch-* nothing")
		a.read()
		all = append(all, a)
	}
	for _, s := range c.servers {
		eventually(t, "a first look", func() bool { return s.lookout.past(0).master.id == 1 })
	}
	c.Elect(2)
	const want = "[pmessage +switch-* +switch-master mymaster 127.0.0.1 6379 127.0.0.1 6380]"
	for _, a := range all {
		if got := fmt.Sprint(a.read()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if _, err := io.WriteString(a.nc, "PUBLISH x y\r\nPING\r\n"); err != nil {
			t.Fatal(err)
		}
		a.read() // PUBLISH may not be called by who listens
		if got := fmt.Sprint(a.read()); got != "[pong ]" {
			t.Errorf("after it: %s", got)
		}
	}
}
