package machine

import (
	"strings"
	"testing"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// A large request comes in parts, with others in between and a snapshot in the middle.
func TestLargeRequestInParts(t *testing.T) {
	m := New(testTable(t), &watcher{})
	apply := func(m *Machine, data []byte) {
		t.Helper()
		if err := m.Apply(m.Index()+1, 1, data); err != nil {
			t.Fatal(err)
		}
	}
	value := strings.Repeat("0123456789", 100_000)
	req := request(Head{4, 1, 1, 1}, func(r *Request) { r.Write(0, args("set large "+value)) })
	small := Seal(nil, 2000, 1, [][]byte{request(Head{4, 1, 2, 1}, func(r *Request) { r.Write(0, args("set small 1")) })})
	var head []byte
	for at := 0; at < len(req); at += 300_000 {
		end := min(at+300_000, len(req))
		if end == len(req) {
			head = SealLarge(nil, 3000, 1, len(req))
		}
		apply(m, commit.AppendPart(nil, len(req), at, head, req[at:end]))
		if at == 300_000 {
			apply(m, small)
			fresh := restored(t, m, &watcher{})
			if fresh.Capture().Digest() != m.Capture().Digest() || len(fresh.parts.Parts) != 2 {
				t.Fatalf("%d parts, or another digest", len(fresh.parts.Parts))
			}
			m = fresh
		}
	}
	if len(m.parts.Parts) != 0 || m.Now() != 3000 {
		t.Errorf("%d parts left over, clock %d", len(m.parts.Parts), m.Now())
	}
	other := New(m.table, &watcher{})
	apply(other, Seal(nil, 3000, 1, [][]byte{req}))
	get := func(m *Machine, key string) string {
		view := m.ks.View(0, int64(m.now))
		s, _, _ := view.Get([]byte(key))
		return string(s)
	}
	if get(m, "large") != get(other, "large") || get(m, "large") != value {
		t.Errorf("%d bytes, and not the value", len(get(m, "large")))
	}
	if get(m, "small") != "1" {
		t.Error("what came in between is missing")
	}
}
