package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

// runAsynq: a server and a client of asynq. First each of its features once, then jobs.
func runAsynq(ctx context.Context, addr string, jobs int) error {
	redis := asynq.RedisClientOpt{Addr: addr}
	client := asynq.NewClient(redis)
	defer client.Close()
	inspector := asynq.NewInspector(redis)
	defer inspector.Close()

	heard := make(chan string, 100)
	mux := asynq.NewServeMux()
	mux.HandleFunc("work", func(_ context.Context, t *asynq.Task) error {
		say("ran", string(t.Payload()))
		return nil
	})
	mux.HandleFunc("echo", func(_ context.Context, t *asynq.Task) error {
		heard <- string(t.Payload())
		return nil
	})
	var tries atomic.Int32
	mux.HandleFunc("fail twice", func(context.Context, *asynq.Task) error {
		if n := tries.Add(1); n < 3 {
			return errors.New("not yet")
		}
		heard <- "third time"
		return nil
	})
	mux.HandleFunc("result", func(_ context.Context, t *asynq.Task) error {
		_, err := t.ResultWriter().Write([]byte("42"))
		return err
	})
	server := asynq.NewServer(redis, asynq.Config{
		Concurrency:              4,
		Queues:                   map[string]int{"critical": 3, "default": 1},
		TaskCheckInterval:        100 * time.Millisecond,
		DelayedTaskCheckInterval: 100 * time.Millisecond,
		HealthCheckInterval:      time.Second,
		ShutdownTimeout:          2 * time.Second,
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return 100 * time.Millisecond },
		GroupAggregator: asynq.GroupAggregatorFunc(func(_ string, tasks []*asynq.Task) *asynq.Task {
			var all []string
			for _, t := range tasks {
				all = append(all, string(t.Payload()))
			}
			slices.Sort(all)
			return asynq.NewTask("echo", []byte(strings.Join(all, "+")))
		}),
		GroupGracePeriod: time.Second,
		GroupMaxSize:     3,
		LogLevel:         asynq.WarnLevel,
	})
	if err := server.Start(mux); err != nil {
		return err
	}
	var stop sync.Once
	defer stop.Do(server.Shutdown)
	if err := asynqFeatures(ctx, redis, client, inspector, heard); err != nil {
		return err
	}
	err := produce(ctx, "", jobs, func(id string) error {
		_, err := client.EnqueueContext(ctx, asynq.NewTask("work", []byte(id)), asynq.Queue("critical"), asynq.TaskID("work-"+id))
		return err
	})
	<-ctx.Done()
	stop.Do(server.Shutdown)
	if err != nil {
		return err
	}
	info, err := inspector.GetQueueInfo("critical")
	if err != nil {
		return err
	}
	// What was taken in a reply that got lost may just have come back, as its lease has ended.
	if info.Pending+info.Retry > 1 || info.Archived > 0 {
		return fmt.Errorf("left in the queue: %d, to be tried again: %d, given up: %d", info.Pending, info.Retry, info.Archived)
	}
	return nil
}

func asynqFeatures(ctx context.Context, redis asynq.RedisConnOpt, client *asynq.Client, inspector *asynq.Inspector, heard <-chan string) error {
	hear := func(what, want string) error {
		select {
		case got := <-heard:
			return expect(what, got, nil, want)
		case <-ctx.Done():
			return fmt.Errorf("%s: never", what)
		}
	}
	enqueue := func(t *asynq.Task, options ...asynq.Option) error {
		_, err := client.EnqueueContext(ctx, t, options...)
		return err
	}
	if err := enqueue(asynq.NewTask("echo", []byte("delayed")), asynq.ProcessIn(300*time.Millisecond)); err != nil {
		return err
	}
	if err := hear("a delayed task", "delayed"); err != nil {
		return err
	}
	if err := enqueue(asynq.NewTask("fail twice", nil), asynq.MaxRetry(5)); err != nil {
		return err
	}
	if err := hear("a task that fails twice", "third time"); err != nil {
		return err
	}

	// One of a kind, and two with one id.
	unique := asynq.NewTask("echo", []byte("unique"))
	if err := enqueue(unique, asynq.ProcessIn(time.Hour), asynq.Unique(time.Hour)); err != nil {
		return err
	}
	if err := expectError("a second unique task", enqueue(unique, asynq.Unique(time.Hour)), asynq.ErrDuplicateTask); err != nil {
		return err
	}
	if err := enqueue(asynq.NewTask("echo", []byte("id")), asynq.TaskID("id"), asynq.ProcessIn(time.Hour)); err != nil {
		return err
	}
	err := enqueue(asynq.NewTask("echo", nil), asynq.TaskID("id"))
	if err := expectError("a second task with one id", err, asynq.ErrTaskIDConflict); err != nil {
		return err
	}
	scheduled, err := inspector.ListScheduledTasks("default")
	if err := expect("scheduled", len(scheduled), err, 2); err != nil {
		return err
	}
	if err := inspector.RunTask("default", "id"); err != nil {
		return err
	}
	if err := hear("a task that was told to run", "id"); err != nil {
		return err
	}
	if n, err := inspector.DeleteAllScheduledTasks("default"); n != 1 || err != nil {
		return fmt.Errorf("delete all scheduled tasks: %d, %w", n, err)
	}

	// A group becomes one task.
	for _, part := range []string{"a", "b", "c"} {
		if err := enqueue(asynq.NewTask("part", []byte(part)), asynq.Group("g")); err != nil {
			return err
		}
	}
	if err := hear("a group", "a+b+c"); err != nil {
		return err
	}

	// Results are kept as long as was said.
	info, err := client.EnqueueContext(ctx, asynq.NewTask("result", nil), asynq.Retention(time.Hour))
	if err != nil {
		return err
	}
	for info.State != asynq.TaskStateCompleted {
		pause(ctx, 20*time.Millisecond)
		if info, err = inspector.GetTaskInfo("default", info.ID); err != nil {
			return err
		}
	}
	if err := expect("a result", string(info.Result), nil, "42"); err != nil {
		return err
	}

	scheduler := asynq.NewScheduler(redis, &asynq.SchedulerOpts{LogLevel: asynq.WarnLevel})
	if _, err := scheduler.Register("@every 1s", asynq.NewTask("echo", []byte("tick"))); err != nil {
		return err
	}
	if err := scheduler.Start(); err != nil {
		return err
	}
	defer scheduler.Shutdown()
	return hear("a periodic task", "tick")
}
