package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/raftredis/raftredis/integration/cluster"
)

// outcome is what a client was told about one operation. There are three, and
// the whole harness depends on not confusing them.
type outcome int

const (
	applied    outcome = iota // the reply came
	notApplied                // the server promises that nothing happened
	unknown                   // the connection broke, or the server does not know
	broken                    // an error that should not have come at all
)

// classify reads the outcome from the reply to a command that was sent.
func classify(reply any, err error) outcome {
	if err != nil {
		return unknown
	}
	e, ok := reply.(cluster.Error)
	if !ok {
		return applied
	}
	switch e.Code() {
	case "CLUSTERDOWN", "BUSY", "LOADING", "MASTERDOWN":
		return notApplied
	case "UNKNOWN":
		return unknown
	}
	return broken
}

// step is the input of an operation on one key, as porcupine sees it.
type step struct {
	cmd string // set, setnx, getset, get, del, incr, append, rpush, lrange
	arg string
}

// seen is its output.
type seen struct {
	unknown bool
	nil     bool
	text    string // of replies that are text
	n       int64  // of replies that are numbers
}

// value is the state of one key.
type value struct {
	exists bool
	text   string
}

// model says what Redis does to one string key. An unknown outcome fits any
// reply: the operation happened at some time after it was asked for, which may
// be after everything else and therefore never.
var model = porcupine.Model{
	Init: func() any { return value{} },
	Step: func(state, input, output any) (bool, any) {
		v, in, out := state.(value), input.(step), output.(seen)
		reply, next := in.apply(v)
		return out.unknown || reply == out, next
	},
	DescribeOperation: func(input, output any) string {
		in, out := input.(step), output.(seen)
		switch {
		case out.unknown:
			return fmt.Sprintf("%s %s -> ?", in.cmd, in.arg)
		case out.nil:
			return fmt.Sprintf("%s %s -> nil", in.cmd, in.arg)
		default:
			return fmt.Sprintf("%s %s -> %q %d", in.cmd, in.arg, out.text, out.n)
		}
	},
	DescribeState: func(state any) string {
		if v := state.(value); v.exists {
			return strconv.Quote(v.text)
		}
		return "nil"
	},
}

// apply is the sequential specification.
func (in step) apply(v value) (seen, value) {
	old := seen{nil: true}
	if v.exists {
		old = seen{text: v.text}
	}
	switch in.cmd {
	case "get":
		return old, v
	case "set":
		return seen{text: "OK"}, value{true, in.arg}
	case "setnx":
		if v.exists {
			return seen{n: 0}, v
		}
		return seen{n: 1}, value{true, in.arg}
	case "getset":
		return old, value{true, in.arg}
	case "del":
		if v.exists {
			return seen{n: 1}, value{}
		}
		return seen{n: 0}, v
	case "incr":
		n := int64(0)
		if v.exists {
			n, _ = strconv.ParseInt(v.text, 10, 64)
		}
		return seen{n: n + 1}, value{true, strconv.FormatInt(n+1, 10)}
	case "append":
		text := v.text + in.arg
		return seen{n: int64(len(text))}, value{true, text}
	case "rpush":
		text := v.text + in.arg
		return seen{n: int64(strings.Count(text, "<"))}, value{true, text}
	case "lrange":
		return seen{text: v.text}, v
	}
	panic("torture: no such step: " + in.cmd)
}

// args is the command that the step stands for.
func (in step) args(key string) []string {
	if in.cmd == "lrange" {
		return []string{in.cmd, key, "0", "-1"}
	}
	if in.arg == "" {
		return []string{in.cmd, key}
	}
	return []string{in.cmd, key, in.arg}
}

// observe turns a reply into what the model compares.
func observe(reply any) seen {
	switch r := reply.(type) {
	case cluster.Nil:
		return seen{nil: true}
	case string:
		return seen{text: r}
	case int64:
		return seen{n: r}
	case []any:
		// A list reads as its elements one after another; each is unique and in <>.
		var all strings.Builder
		for _, e := range r {
			fmt.Fprint(&all, e)
		}
		return seen{text: all.String()}
	}
	return seen{text: fmt.Sprint(reply)}
}

// history collects the operations on one key.
type history struct {
	key string
	mu  sync.Mutex
	ops []porcupine.Operation
}

// record notes an operation. What was certainly not applied leaves no trace: if
// it shows all the same, the history cannot be explained. Nor does a read whose
// answer is unknown.
func (h *history) record(client int, in step, begin time.Duration, out seen, end time.Duration, o outcome) {
	if o == notApplied || o == unknown && (in.cmd == "get" || in.cmd == "lrange") {
		return
	}
	op := porcupine.Operation{ClientId: client, Input: in, Call: int64(begin), Output: out, Return: int64(end)}
	if o == unknown {
		op.Output, op.Return = seen{unknown: true}, int64(1<<62)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// check asks porcupine. Unknown means that it ran out of time, not that the
// history is wrong.
func (h *history) check(timeout time.Duration) (porcupine.CheckResult, porcupine.LinearizationInfo) {
	return porcupine.CheckOperationsVerbose(model, h.ops, timeout)
}
