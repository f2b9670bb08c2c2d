package main

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// taskLine is how often a line is logged about a task that goes on.
const taskLine = 10 * time.Second

// reportTasks has what takes long in the log: once it has for commit.TaskPatience, from
// then on every taskLine, and when it has ended. What it returns stops it.
func (p *part) reportTasks() (stop func()) {
	var wg sync.WaitGroup
	stopC := make(chan struct{})
	wg.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		r := taskReport{log: p.log.Logger}
		for {
			select {
			case <-ticker.C:
				r.look(p.tasks.List(commit.TaskPatience))
			case <-stopC:
				return
			}
		}
	})
	return func() {
		close(stopC)
		wg.Wait()
	}
}

// taskReport is what was logged of the tasks.
type taskReport struct {
	log   *zap.Logger
	known []reported
}

type reported struct {
	commit.Task
	at time.Duration // its age when it was last logged
}

// look takes the tasks that go on now.
func (r *taskReport) look(now []commit.Task) {
	before := r.known
	r.known = nil
	for _, t := range now {
		is := reported{t, -taskLine}
		for _, was := range before {
			if was.ID == t.ID {
				is.at = was.at
			}
		}
		if t.Age-is.at >= taskLine {
			is.at = t.Age
			r.log.Info(t.String(), zap.String("task", string(t.Kind)), zap.Int64("done", t.Done), zap.Int64("total", t.Total), zap.String("unit", t.Unit))
		}
		r.known = append(r.known, is)
	}
	for _, was := range before {
		over := true
		for _, t := range now {
			over = over && t.ID != was.ID
		}
		if over {
			r.log.Info("done: "+was.Words(), zap.String("task", string(was.Kind)), zap.String("after", commit.Span(was.Age)))
		}
	}
}
