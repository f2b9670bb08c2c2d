package main

import (
	"strings"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

// What is said again and again is said after calmFirst at the earliest, and then each
// time after twice as long, up to calmMost. Once it was not said for calmMost it is new.
const (
	calmFirst = 10 * time.Second
	calmMost  = 10 * time.Minute
	calmSize  = 1024 // kinds of lines that are remembered
)

// calm keeps the log from saying the same about the same over and over: a member that is
// out of reach for the night must not fill the disk. Errors in the words of a library
// and numbers that count or measure do not make a line another one; whom it is about does.
type calm struct {
	mu   sync.Mutex
	said map[string]*said
}

type said struct {
	at     time.Time     // when it was last written
	pause  time.Duration // until it may be again
	missed uint64        // how often it was not
	asked  time.Time     // when it was last to be
}

func newCalm() *calm { return &calm{said: map[string]*said{}} }

// say reports whether a line is to be written, and how many like it were not.
func (c *calm) say(e zapcore.Entry, fields []zapcore.Field) (yes bool, missed uint64) {
	if e.Level > zapcore.ErrorLevel {
		return true, 0
	}
	key := calmKey(e, fields)
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.said[key]
	if s != nil && e.Time.Sub(s.asked) >= calmMost {
		s = nil
	}
	if s == nil {
		c.forget(e.Time)
		c.said[key] = &said{at: e.Time, asked: e.Time, pause: calmFirst}
		return true, 0
	}
	s.asked = e.Time
	if e.Time.Sub(s.at) < s.pause {
		s.missed++
		return false, 0
	}
	missed, s.missed = s.missed, 0
	s.at, s.pause = e.Time, min(2*s.pause, calmMost)
	return true, missed
}

// forget makes room.
func (c *calm) forget(now time.Time) {
	if len(c.said) < calmSize {
		return
	}
	for key, s := range c.said {
		if now.Sub(s.asked) >= calmFirst {
			delete(c.said, key)
		}
	}
	if len(c.said) >= calmSize {
		clear(c.said) // rather say too much
	}
}

// calmKey is what makes a line the same as another: where it comes from, its words, and
// whom or what its fields name.
func calmKey(e zapcore.Entry, fields []zapcore.Field) string {
	var b strings.Builder
	b.WriteString(e.LoggerName)
	b.WriteByte(0)
	b.WriteString(e.Message)
	m := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		switch f.Type {
		case zapcore.StringType, zapcore.Uint64Type, zapcore.StringerType, zapcore.BoolType:
		default:
			continue
		}
		if f.Key == "error" || f.Key == "dropped-bytes" || strings.HasSuffix(f.Key, "size") || f.Key == "free" {
			continue
		}
		f.AddTo(m)
		b.WriteByte(0)
		b.WriteString(f.Key)
		b.WriteByte(0)
		b.WriteString(textValue(m.Fields[f.Key]))
	}
	return b.String()
}
