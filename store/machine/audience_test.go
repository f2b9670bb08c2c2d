package machine

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/keyspace"
)

// TestMessages: what is published is heard at its place, and counted by what members
// have announced, whoever applies the log; a run's subscribers go with it; and all of
// it is in the snapshot.
func TestMessages(t *testing.T) {
	a, b := newRun(t, 1), newRun(t, 2)
	apply := func(h Head, build func(*Request)) {
		t.Helper()
		entry := Seal(nil, 1000, 7, [][]byte{request(h, build)})
		for _, r := range []*run{a, b} {
			if err := r.apply(entry); err != nil {
				t.Fatal(err)
			}
		}
	}
	announce := func(upTo uint64, all ...Announcement) func(*Request) {
		return func(r *Request) { r.Announce(upTo, all) }
	}
	write := func(lines ...string) func(*Request) {
		return func(r *Request) {
			for _, line := range lines {
				r.Write(0, args(line))
			}
		}
	}
	expect := func(what string, heard ...string) {
		t.Helper()
		for _, r := range []*run{a, b} {
			if !slices.Equal(r.w.heard, heard) {
				t.Errorf("%s: heard %q, not %q", what, r.w.heard, heard)
			}
			r.w.heard = nil
		}
		if x, y := a.digest(), b.digest(); x != y {
			t.Fatalf("%s: digests differ", what)
		}
	}
	counts := func(what, want string) {
		t.Helper()
		if got := a.w.replies(); got != want {
			t.Errorf("%s: replies %s, not %s", what, got, want)
		}
	}
	apply(Head{1, 1, 1, 1}, announce(5, Announcement{Channels, "c", 2}, Announcement{Patterns, "c*", 1}, Announcement{ShardChannels, "c", 4}))
	apply(Head{2, 1, 1, 1}, announce(1, Announcement{Channels, "c", 1}, Announcement{Patterns, "c*", 1}))
	a.w.replies() // of the announcement
	expect("announcements", "1 announced 5", "2 announced 1")
	apply(Head{1, 1, 2, 2}, write("set k v", "publish c m", "publish d m", "spublish c m", "publish cc m"))
	expect("messages", "c=m", "d=m", "sc=m", "cc=m")
	counts("messages", "OK 5 0 4 2")
	apply(Head{1, 1, 3, 3}, func(r *Request) {
		r.Exec(nil, 2)
		r.ExecWrite(0, args("publish c x"))
		r.ExecWrite(0, args("config.set-events KEA"))
	})
	expect("transaction", "c=x")
	counts("transaction", "exec=true 5 OK executed")
	apply(Head{1, 1, 4, 4}, write("eval return(redis.call('publish','c','m')+redis.call('spublish','c','n')) 0"))
	expect("script", "c=m", "sc=n")
	a.w.replies()
	apply(Head{1, 1, 5, 5}, write("rpush l 1", "lpop l"))
	expect("events", "__keyspace@0__:l=rpush", "__keyevent@0__:rpush=l", "__keyspace@0__:l=lpop", "__keyevent@0__:lpop=l",
		"__keyspace@0__:l=del", "__keyevent@0__:del=l")
	a.w.replies()

	var body bytes.Buffer
	if err := a.Capture().Write(&body); err != nil {
		t.Fatal(err)
	}
	w := &watcher{member: 1}
	m, err := Load(testTable(t), w, &body)
	if err != nil {
		t.Fatal(err)
	}
	a = &run{t, m, w}
	apply(Head{1, 1, 6, 6}, write("publish c y", "del k"))
	expect("after loading", "c=y", "__keyspace@0__:k=del", "__keyevent@0__:del=k")
	counts("after loading", "5 1")
	var names []string
	a.Subscribed(Patterns, func(name string) { names = append(names, name) })
	if !slices.Equal(names, []string{"c*"}) || a.CountSubscribed(Channels) != 1 || a.Subscribers(Channels, "c") != 3 || len(a.Listening()) != 2 {
		t.Errorf("subscribed %q, %d, %d, %v", names, a.CountSubscribed(Channels), a.Subscribers(Channels, "c"), a.Listening())
	}

	apply(Head{2, 2, 1, 1}, write("publish c z"))
	expect("a new run", "2 silenced", "c=z")
	apply(Head{3, 1, 1, 1}, func(r *Request) { r.GiveUp(1, 1) })
	expect("given up", "1 silenced")
	apply(Head{1, 1, 7, 7}, write("publish c z", "spublish c z"))
	expect("nobody", "c=z", "sc=z")
	counts("nobody", "0 0")
	if n := len(a.Listening()); n != 0 {
		t.Errorf("%d members are listening", n)
	}
	if err := a.apply(Seal(nil, 1000, 7, [][]byte{request(Head{1, 1, 8, 8}, announce(1, Announcement{Topics, "c", 1}))})); err == nil ||
		!strings.Contains(err.Error(), "no such topic") {
		t.Errorf("a topic that there is not: %v", err)
	}
}

func TestEventNames(t *testing.T) {
	for in, want := range map[string]string{"": "", "KEA": "AKE", "AKEmn": "AKEm", "Kn": "nK", "mnEKdgx": "gxdnKEm", "lK$E": "$lKE", "g$lshzxetd": "A"} {
		e, ok := keyspace.ParseEvents(in)
		if !ok || e.String() != want {
			t.Errorf("%q: %q, %v; Redis shows %q", in, e, ok, want)
		}
	}
	if _, ok := keyspace.ParseEvents("Ky"); ok {
		t.Error("y is no class")
	}
}
