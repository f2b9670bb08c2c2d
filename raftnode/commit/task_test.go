package commit

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestTasks(t *testing.T) {
	now := time.Unix(1000, 0)
	tasks := NewTasks(func() time.Time { return now })
	load := tasks.Begin(LoadSnapshot, 0, 10, "bytes")
	now = now.Add(3 * time.Second)
	send := tasks.Begin(SendSnapshot, 3, 0, "bytes")
	if n, err := io.Copy(io.Discard, load.Reader(strings.NewReader("six by"))); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	list := tasks.List(0)
	if len(list) != 2 || list[0].String() != "loading a snapshot: 60 %, 2 s to go" || list[1].String() != "sending a snapshot to member 3: 0 bytes so far" {
		t.Errorf("%v", list)
	}
	if list := tasks.List(TaskPatience); len(list) != 1 || list[0].Kind != LoadSnapshot || list[0].Age != 3*time.Second {
		t.Errorf("the slow ones: %v", list)
	}
	load.End()
	load.End()
	send.Set(7, 7)
	if list := tasks.List(0); len(list) != 1 || list[0].Part() != 1 || list[0].Left() != 0 {
		t.Errorf("%v", list)
	}

	var none *Tasks
	nobody := none.Begin(ReadLog, 0, 1, "bytes")
	nobody.Add(1)
	nobody.Set(1, 1)
	nobody.End()
	if none.List(0) != nil || nobody.Reader(strings.NewReader("")) == nil {
		t.Error("a nil list keeps something")
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 1499 * time.Millisecond: "1 s", 59 * time.Second: "59 s", time.Minute: "1 m", 200 * time.Second: "3 m 20 s", 125 * time.Minute: "2 h 5 m",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
