package main

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/raftredis/raftredis/raftnode/commit"
)

func TestTextLog(t *testing.T) {
	at := time.Date(2026, 11, 26, 12, 45, 17, 996_123_456, time.UTC)
	for want, line := range map[string]struct {
		name, message string
		with, fields  []zap.Field
	}{
		"2026-11-26T12:45:17.996Z warn  raft: it is so  member=1 took=1.5s\n": {
			"raft", "it is so", nil, []zap.Field{zap.Uint64("member", 1), zap.Duration("took", 1500*time.Millisecond)}},
		"2026-11-26T12:45:17.996Z warn  a\\nforged line  b=2 a=\"x \\\"y\\\"\\n\" empty=\"\" error=gone list=[\"a\",\"b\"]\n": {
			"", "a\nforged line", []zap.Field{zap.Int("b", 2)},
			[]zap.Field{zap.String("a", "x \"y\"\n"), zap.String("empty", ""), zap.Error(errors.New("gone")), zap.Strings("list", []string{"a", "b"})}},
	} {
		enc := newTextEncoder().Clone()
		for _, f := range line.with {
			f.AddTo(enc)
		}
		b, err := enc.EncodeEntry(zapcore.Entry{Time: at, Level: zapcore.WarnLevel, LoggerName: line.name, Message: line.message}, line.fields)
		if err != nil || b.String() != want {
			t.Errorf("%v\n got %q\nwant %q", err, b.String(), want)
		}
	}
}

// TestCalm: what is said every second about a member is written at 0, 10, 30, 70, ...
// seconds, and what concerns another member is another line.
func TestCalm(t *testing.T) {
	c := newCalm()
	start := time.Unix(1000, 0)
	say := func(s int, member uint64) (bool, uint64) {
		return c.say(zapcore.Entry{Time: start.Add(time.Duration(s) * time.Second), Level: zapcore.WarnLevel, Message: "it is gone"},
			[]zap.Field{zap.Uint64("member", member), zap.Error(fmt.Errorf("in second %d", s))})
	}
	var at []int
	for s := range 160 {
		yes, missed := say(s, 3)
		if yes {
			if len(at) > 0 && missed != uint64(s-at[len(at)-1]-1) {
				t.Errorf("second %d: %d missed", s, missed)
			}
			at = append(at, s)
		}
		if s == 5 {
			if yes, _ := say(s, 4); !yes {
				t.Error("another member's line is not written")
			}
		}
	}
	if got := fmt.Sprint(at); got != "[0 10 30 70 150]" {
		t.Errorf("written at %s", got)
	}
	if yes, missed := say(160+int(calmMost/time.Second), 3); !yes || missed != 0 {
		t.Error("after a long time it is not new")
	}
	for i := range 3 * calmSize {
		say(1000, uint64(i))
	}
	if len(c.said) > calmSize {
		t.Errorf("%d lines are remembered", len(c.said))
	}
}

func TestTaskReport(t *testing.T) {
	var lines []string
	log := zap.New(zapcore.NewCore(newTextEncoder(), zapcore.AddSync(writer(func(b []byte) { lines = append(lines, string(b[25:])) })), zapcore.InfoLevel),
		zap.WithClock(fixed{}))
	r := taskReport{log: log}
	task := commit.Task{ID: 1, Kind: commit.LoadSnapshot, Total: 100, Unit: "bytes"}
	for s := 2; s < 25; s++ {
		task.Age, task.Done = time.Duration(s)*time.Second, int64(s)
		r.look([]commit.Task{task})
	}
	r.look(nil)
	r.look(nil)
	want := []string{
		"info  loading a snapshot: 2 %, 1 m 38 s to go  task=load-snapshot done=2 total=100 unit=bytes\n",
		"info  loading a snapshot: 12 %, 1 m 28 s to go  task=load-snapshot done=12 total=100 unit=bytes\n",
		"info  loading a snapshot: 22 %, 1 m 18 s to go  task=load-snapshot done=22 total=100 unit=bytes\n",
		"info  done: loading a snapshot  task=load-snapshot after=\"24 s\"\n",
	}
	if fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("got %q", lines)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

// fixed is a clock that stands still.
type fixed struct{}

func (fixed) Now() time.Time                         { return time.Unix(1000, 0) }
func (fixed) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }
