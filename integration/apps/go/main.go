// Command programs is the Go half of integration/apps: one small program on each
// Go library, chosen by name.
//
//	go run . goredis 127.0.0.1:6379 100
//
// See integration/apps/doc.go for what a program prints and when it ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

func programs() map[string]func(ctx context.Context, addr string, jobs int) error {
	return map[string]func(context.Context, string, int) error{
		"asynq":             runAsynq,
		"go-redis":          runGoRedis,
		"go-redis-cluster":  runGoRedisCluster,
		"go-redis-ring":     runGoRedisRing,
		"go-redis-sentinel": runGoRedisSentinel,
		"redigo-sentinel":   runRedigoSentinel,
		"redigo":            runRedigo,
		"redis_rate":        runRedisRate,
		"redsync":           runRedsync,
		"rueidis":           runRueidis,
		"rueidis-cluster":   runRueidisCluster,
		"rueidis-sentinel":  runRueidisSentinel,
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("usage: programs NAME ADDR JOBS")
	}
	program, ok := programs()[args[0]]
	if !ok {
		return fmt.Errorf("no program %q", args[0])
	}
	jobs, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	// The end of the input ends the program.
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return program(ctx, args[1], jobs)
}

// say prints one event in one write, so that lines of several goroutines do not mix, and in
// one line, whatever an error's text is.
func say(event string, id any, why ...any) {
	line := strings.TrimSuffix(fmt.Sprintln(append([]any{event, id}, why...)...), "\n")
	_, _ = os.Stdout.WriteString(strings.ReplaceAll(line, "\n", " ") + "\n")
}

// produce calls add with new ids (the prefix and a number) until it has succeeded for so many
// jobs. What has failed may have been done or not, and is not tried again.
func produce(ctx context.Context, prefix string, jobs int, add func(id string) error) error {
	for i, added := 0, 0; added < jobs; i++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("told to end after %d of %d jobs", added, jobs)
		}
		id := prefix + strconv.Itoa(i)
		if err := add(id); err != nil {
			say("unsure", id, err)
			pause(ctx, 100*time.Millisecond)
			continue
		}
		say("acked", id)
		added++
		pause(ctx, 5*time.Millisecond)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// expect fails unless got prints as want does.
func expect(what string, got any, err error, want any) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		return fmt.Errorf("%s: got %s, want %s", what, g, w)
	}
	return nil
}

// expectError fails unless err is want.
func expectError(what string, err, want error) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("%s: got %s, want %w", what, fmt.Sprint(err), want)
	}
	return nil
}
