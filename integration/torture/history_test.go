package main

import (
	"errors"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/raftredis/raftredis/integration/cluster"
)

// TestChecker shows that the checker finds what it is for.
func TestChecker(t *testing.T) {
	type op struct {
		in         step
		begin, end time.Duration
		out        seen
		o          outcome
	}
	ok := seen{text: "OK"}
	for _, c := range []struct {
		name string
		ops  []op
		want porcupine.CheckResult
	}{
		{"in order", []op{{step{"set", "1"}, 0, 1, ok, applied}, {step{cmd: "get"}, 2, 3, seen{text: "1"}, applied}}, porcupine.Ok},
		{"a lost write", []op{{step{"set", "1"}, 0, 1, ok, applied}, {step{cmd: "get"}, 2, 3, seen{nil: true}, applied}}, porcupine.Illegal},
		{"a stale read", []op{{step{"set", "1"}, 0, 1, ok, applied}, {step{"set", "2"}, 2, 3, ok, applied}, {step{cmd: "get"}, 4, 5, seen{text: "1"}, applied}}, porcupine.Illegal},
		{"applied twice", []op{{step{cmd: "incr"}, 0, 1, seen{n: 1}, applied}, {step{cmd: "get"}, 2, 3, seen{text: "2"}, applied}}, porcupine.Illegal},
		{"unknown, came true", []op{{step{cmd: "incr"}, 0, 1, seen{}, unknown}, {step{cmd: "get"}, 2, 3, seen{text: "1"}, applied}}, porcupine.Ok},
		{"unknown, did not", []op{{step{cmd: "incr"}, 0, 1, seen{}, unknown}, {step{cmd: "get"}, 2, 3, seen{nil: true}, applied}}, porcupine.Ok},
		{"unknown, twice", []op{{step{cmd: "incr"}, 0, 1, seen{}, unknown}, {step{cmd: "get"}, 2, 3, seen{text: "2"}, applied}}, porcupine.Illegal},
		{"not applied, came true", []op{{step{"set", "1"}, 0, 1, seen{}, notApplied}, {step{cmd: "get"}, 2, 3, seen{text: "1"}, applied}}, porcupine.Illegal},
		{"a lost append", []op{{step{"append", "a"}, 0, 1, seen{n: 1}, applied}, {step{"append", "b"}, 2, 3, seen{n: 1}, applied}}, porcupine.Illegal},
		{"a list in order", []op{{step{"rpush", "<a>"}, 0, 1, seen{n: 1}, applied}, {step{"rpush", "<b>"}, 2, 3, seen{n: 2}, applied}, {step{cmd: "lrange"}, 4, 5, seen{text: "<a><b>"}, applied}}, porcupine.Ok},
		{"an element twice", []op{{step{"rpush", "<a>"}, 0, 1, seen{n: 1}, applied}, {step{cmd: "lrange"}, 4, 5, seen{text: "<a><a>"}, applied}}, porcupine.Illegal},
	} {
		h := &history{key: c.name}
		for i, op := range c.ops {
			h.record(i, op.in, op.begin, op.out, op.end, op.o)
		}
		if got, _ := h.check(time.Minute); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		reply any
		err   error
		want  outcome
	}{
		{"OK", nil, applied},
		{cluster.Nil{}, nil, applied},
		{cluster.Error("CLUSTERDOWN nothing was applied"), nil, notApplied},
		{cluster.Error("UNKNOWN it may have been"), nil, unknown},
		{cluster.Error("ERR syntax error"), nil, broken},
		{nil, errors.New("connection reset"), unknown},
	} {
		if got := classify(c.reply, c.err); got != c.want {
			t.Errorf("%v, %v: %v, want %v", c.reply, c.err, got, c.want)
		}
	}
}
