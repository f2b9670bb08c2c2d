package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/resp/directive"
)

// The types below are pflag.Values. They read values as redis.conf writes them
// (yes and no, 1gb, plain seconds) and, where that is no contradiction, as Go
// programs do (true, 1GiB, 5m). Their Type is what --help prints as the
// placeholder.

// yesNo is a directive that is on or off.
type yesNo bool

func (v *yesNo) String() string {
	if *v {
		return "yes"
	}
	return "no"
}

// Type names the value in --help.
func (v *yesNo) Type() string { return "yes|no" }

// IsBoolFlag lets the flag stand alone on the command line.
func (v *yesNo) IsBoolFlag() bool { return true }

func (v *yesNo) Set(s string) error {
	switch strings.ToLower(s) {
	case "yes", "true", "on", "1":
		*v = true
	case "no", "false", "off", "0":
		*v = false
	default:
		return fmt.Errorf("must be yes or no, not %q", s)
	}
	return nil
}

// oneOf is a directive with a fixed list of values.
type oneOf struct {
	value   string
	choices []string
}

func (v *oneOf) String() string { return v.value }

// Type names the value in --help.
func (v *oneOf) Type() string { return strings.Join(v.choices, "|") }

func (v *oneOf) Set(s string) error {
	for _, c := range v.choices {
		if strings.EqualFold(s, c) {
			v.value = c
			return nil
		}
	}
	if near := nearest(strings.ToLower(s), v.choices); near != "" {
		return fmt.Errorf("must be %s, not %q: did you mean %q?", orList(v.choices), s, near)
	}
	return fmt.Errorf("must be %s, not %q", orList(v.choices), s)
}

// memory is a number of bytes in redis.conf's units: 1k is 1000 bytes and 1kb
// is 1024, which may be called 1KiB here.
type memory int64

func (v *memory) String() string { return directive.FormatMemory(int64(*v)) }

// Type names the value in --help.
func (v *memory) Type() string { return "bytes" }

func (v *memory) Set(s string) error {
	n, ok := directive.ParseMemory(strings.Replace(strings.ToLower(s), "ib", "b", 1))
	if !ok {
		return fmt.Errorf("must be a memory size such as 100mb or 1gb, not %q", s)
	}
	*v = memory(n)
	return nil
}

// period is a time: a plain number in the unit that redis.conf has for this
// directive, or a Go duration such as 5m.
type period struct {
	value time.Duration
	unit  time.Duration
}

func (v *period) String() string {
	if v.value%v.unit == 0 {
		return strconv.FormatInt(int64(v.value/v.unit), 10)
	}
	return v.value.String()
}

// Type names the value in --help.
func (v *period) Type() string {
	if v.unit == time.Millisecond {
		return "ms"
	}
	return "seconds"
}

func (v *period) Set(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 && n <= math.MaxInt64/int64(v.unit) {
		v.value = time.Duration(n) * v.unit
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf("must be a number of %s or a duration such as 1m30s, not %q", v.Type(), s)
	}
	v.value = d
	return nil
}

// number is an integer within bounds.
type number struct {
	value    int64
	min, max int64
}

func (v *number) String() string { return strconv.FormatInt(v.value, 10) }

// Type names the value in --help.
func (v *number) Type() string { return "n" }

func (v *number) Set(s string) error {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < v.min || n > v.max {
		if v.max == math.MaxInt64 {
			return fmt.Errorf("must be a number of at least %d, not %q", v.min, s)
		}
		return fmt.Errorf("must be a number between %d and %d, not %q", v.min, v.max, s)
	}
	v.value = n
	return nil
}

// stateValue is a setting that is state: what it is to be in a new cluster.
type stateValue struct {
	directive directive.Directive
	value     int64
}

func (v *stateValue) String() string { return v.directive.Format(v.value) }

// Type names the value in --help.
func (v *stateValue) Type() string { return v.directive.Placeholder() }

func (v *stateValue) Set(s string) error {
	n, err := v.directive.Int(s)
	if err == nil {
		v.value = n
	}
	return err
}

// eventsValue is notify-keyspace-events: what it is to be in a new cluster.
type eventsValue struct{ classes string }

func (v *eventsValue) String() string { return v.classes }

// Type names the value in --help.
func (v *eventsValue) Type() string { return "classes" }

func (v *eventsValue) Set(s string) error {
	err := resp.CheckEvents(s)
	if err == nil {
		v.classes = s
	}
	return err
}

// frontValue makes a flag of one of the front's settings.
type frontValue struct {
	config    *resp.Config
	directive resp.Directive
}

func (v *frontValue) String() string { return v.directive.Get(v.config) }

// Type names the value in --help.
func (v *frontValue) Type() string { return v.directive.Placeholder() }

// IsBoolFlag lets a switch stand alone on the command line.
func (v *frontValue) IsBoolFlag() bool { return v.directive.Kind == directive.YesNo }

func (v *frontValue) Set(s string) error {
	d := v.directive
	if d.Name == "bind" {
		s = strings.ReplaceAll(s, ",", " ")
	}
	err := d.Set(v.config, s)
	if err == nil {
		return nil
	}
	if near := nearest(strings.ToLower(s), d.Values); near != "" {
		return fmt.Errorf("%w, not %q: did you mean %q?", err, s, near)
	}
	return fmt.Errorf("%w, not %q", err, s)
}

// text is any string; kind is its placeholder in --help.
type text struct {
	value string
	kind  string
}

func (v *text) String() string     { return v.value }
func (v *text) Type() string       { return v.kind }
func (v *text) Set(s string) error { v.value = s; return nil }

// offset is a time that may be negative.
type offset struct{ value time.Duration }

func (v *offset) String() string { return v.value.String() }

// Type names the value in --help.
func (v *offset) Type() string { return "duration" }

func (v *offset) Set(s string) (err error) {
	v.value, err = time.ParseDuration(s)
	return err
}

func orList(choices []string) string {
	if len(choices) < 2 {
		return strings.Join(choices, "")
	}
	last := len(choices) - 1
	return strings.Join(choices[:last], ", ") + " or " + choices[last]
}

// userLines are the users of the configuration, in the order in which they are
// given.
type userLines struct{ all []resp.UserLine }

func (v *userLines) String() string { return "" } // passwords may be among the rules

// Type names the value in --help.
func (v *userLines) Type() string { return "'name rules'" }

// Set adds a user from the command line, where rules stand between blanks.
func (v *userLines) Set(s string) error {
	v.add(confLine{words: strings.Fields(s)})
	return nil
}

func (v *userLines) add(d confLine) {
	words := d.words
	if words == nil { // of the environment
		words = strings.Fields(d.value)
	}
	u := resp.UserLine{Where: d.at()}
	if len(words) > 0 {
		u.Name, u.Rules = words[0], words[1:]
	}
	v.all = append(v.all, u)
}
