package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logs is the node's log. Its level can be changed while the node runs.
type logs struct {
	*zap.Logger
	limit   zap.AtomicLevel
	name    string      // of the level, as redis.conf has it
	verbose atomic.Bool // etcd's packages may speak as well
	file    *logFile    // nil: standard error
}

// levels are Redis's, in zap's words. Nothing at all is above every level.
var levels = map[string]zapcore.Level{
	"debug":   zapcore.DebugLevel,
	"verbose": zapcore.InfoLevel,
	"notice":  zapcore.InfoLevel,
	"warning": zapcore.WarnLevel,
	"nothing": zapcore.FatalLevel + 1,
}

func openLogs(o *options) (*logs, error) {
	l := &logs{limit: zap.NewAtomicLevel()}
	if err := l.setLevel(o.loglevel.value); err != nil {
		return nil, err
	}
	out := zapcore.Lock(os.Stderr)
	if o.logfile.value != "" {
		var err error
		if l.file, err = openLogFile(o.logfile.value); err != nil {
			return nil, fmt.Errorf("--logfile: %w", err)
		}
		out = l.file
	}
	var encoder zapcore.Encoder = newTextEncoder()
	if o.logFormat.value == "json" {
		c := zap.NewProductionEncoderConfig()
		c.TimeKey, c.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
		c.EncodeDuration = zapcore.StringDurationEncoder
		c.CallerKey = ""
		encoder = zapcore.NewJSONEncoder(c)
	}
	core := zapcore.NewCore(encoder, out, l.limit)
	l.Logger = zap.New(quiet{core, l, newCalm()}, zap.AddCaller())
	return l, nil
}

// quiet leaves out what etcd's packages tell about every stream and segment, and what
// was said just now, unless the level is verbose or lower.
type quiet struct {
	zapcore.Core
	logs *logs
	calm *calm
}

// With implements zapcore.Core.
func (q quiet) With(fields []zapcore.Field) zapcore.Core {
	return quiet{q.Core.With(fields), q.logs, q.calm}
}

// Check implements zapcore.Core.
func (q quiet) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !q.Enabled(e.Level) {
		return ce
	}
	return ce.AddCore(e, q)
}

// Write implements zapcore.Core. Only here the caller is known.
func (q quiet) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if q.logs.verbose.Load() {
		return q.Core.Write(e, fields)
	}
	if e.Level == zapcore.InfoLevel && strings.Contains(e.Caller.File, "/go.etcd.io/") {
		return nil
	}
	say, missed := q.calm.say(e, fields)
	if !say {
		return nil
	}
	if missed > 0 {
		fields = append(fields[:len(fields):len(fields)], zap.Uint64("said-before", missed))
	}
	return q.Core.Write(e, fields)
}

func (l *logs) level() string { return l.name }

// setLevel is called by openLogs and then by CONFIG SET, which is serialized.
func (l *logs) setLevel(name string) error {
	v := oneOf{choices: []string{"debug", "verbose", "notice", "warning", "nothing"}}
	if err := v.Set(name); err != nil {
		return err
	}
	l.name = v.value
	l.verbose.Store(v.value == "verbose" || v.value == "debug")
	l.limit.SetLevel(levels[v.value])
	return nil
}

func (l *logs) close() error {
	err := l.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTTY) || errors.Is(err, syscall.EBADF) {
		err = nil // standard error is a pipe or a terminal
	}
	if l.file != nil {
		err = errors.Join(err, l.file.close())
	}
	return err
}
