package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// failpointHook makes the process die, as by kill -9, when the persist path
// passes the named point for the n-th time (--failpoint name=n, for tests). With
// name=n:error the step fails instead, as it would on a bad disk.
func (o *options) failpointHook() func(string) error {
	if o.failpoint.value == "" {
		return nil
	}
	name, count, fail := parseFailpoint(o.failpoint.value)
	var passed atomic.Int64
	return func(point string) error {
		if point != name || passed.Add(1) != count {
			return nil
		}
		if fail {
			return errFailpoint
		}
		// Not os.Exit: nothing may be flushed, nobody may be told.
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGKILL); err != nil {
			return fmt.Errorf("%w: %w", errFailpoint, err)
		}
		select {} // until the signal is here
	}
}

var errFailpoint = errors.New("injected by --failpoint")

func parseFailpoint(s string) (name string, count int64, fail bool) {
	name, rest, _ := strings.Cut(s, "=")
	rest, fail = strings.CutSuffix(rest, ":error")
	count, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || count < 1 {
		count = 1
	}
	return name, count, fail
}
