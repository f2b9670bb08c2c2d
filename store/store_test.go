package store

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPipeline(t *testing.T) {
	log := newFakeLog(t, 1)
	a := log.start(1, 1, Config{}, nil)
	b := log.start(2, 1, Config{}, nil)
	defer a.stop()
	defer b.stop()
	for _, n := range []*fakeNode{a, b} {
		c := client{t: t, s: n.store}
		got := c.do("ping", "get k", "set k 1", "get k", "incr k", "incr k", "get k", "ping", "del k", "get k", "incr k", "del k")
		want := `ping nil OK "1" 2 3 "3" ping 1 nil 1 1`
		if got != want {
			t.Errorf("member %d: got  %s\nwant %s", n.id, got, want)
		}
	}
	log.settle()
}
