package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// textEncoder writes lines of the log for people:
//
//	2026-11-26T12:45:17.996Z warn  raft: the disk is nearly full  dir=/var/lib/raftredis free=1024
//
// What a logger was made with (zap's With) comes before what the line adds.
type textEncoder struct {
	*zapcore.MapObjectEncoder
	pool buffer.Pool
}

func newTextEncoder() *textEncoder {
	return &textEncoder{zapcore.NewMapObjectEncoder(), buffer.NewPool()}
}

// Clone implements zapcore.Encoder.
func (t *textEncoder) Clone() zapcore.Encoder {
	c := &textEncoder{zapcore.NewMapObjectEncoder(), t.pool}
	for k, v := range t.Fields {
		c.Fields[k] = v
	}
	return c
}

// EncodeEntry implements zapcore.Encoder.
func (t *textEncoder) EncodeEntry(e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	b := t.pool.Get()
	b.AppendString(e.Time.UTC().Format("2006-01-02T15:04:05.000Z"))
	fmt.Fprintf(b, " %-5s ", e.Level.String())
	if e.LoggerName != "" {
		b.AppendString(e.LoggerName + ": ")
	}
	b.AppendString(oneLine(e.Message))
	sep := "  "
	put := func(values map[string]any) {
		names := make([]string, 0, len(values))
		for name := range values {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			b.AppendString(sep + name + "=" + textValue(values[name]))
			sep = " "
		}
	}
	put(t.Fields)
	for _, f := range fields { // one after another, which keeps their order
		m := zapcore.NewMapObjectEncoder()
		f.AddTo(m)
		put(m.Fields)
	}
	b.AppendByte('\n')
	if e.Stack != "" {
		b.AppendString(e.Stack + "\n")
	}
	return b, nil
}

// textValue writes a value so that it is one word, or quoted.
func textValue(v any) string {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case time.Duration:
		return v.String()
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case []any, map[string]any:
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte(fmt.Sprint(v))
		}
		s = string(text)
		if !strings.ContainsAny(s, " \t\r\n\x1b") {
			return s
		}
	case fmt.Stringer:
		s = v.String()
	default:
		s = fmt.Sprint(v)
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f }) {
		return strconv.Quote(s)
	}
	return s
}

// oneLine keeps what a message quotes from making lines of its own.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(s)
}
