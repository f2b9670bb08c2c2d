package apps

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// patience is how long a program may take for what should take seconds. It only matters
// when a test fails.
const patience = 100 * time.Second

// app is one row of the table: a program, and what its library promises.
type app struct {
	name string
	jobs int
	// again and dropped say how many jobs the library itself does twice, or loses, when the
	// server that it talks to dies: what it had in hand, beside redis-server as well. Behind
	// a node that lives there is no such excuse.
	again, dropped int
	// command starts the program but for its arguments, or skips the test.
	command func(t *testing.T) []string
}

func apps() []app {
	node := func(file string) func(*testing.T) []string {
		return script("node", file, "node", "--input-type=module", "-e", "import 'bullmq'; import 'ioredis'; import 'redis'")
	}
	python := func(file, library string) func(*testing.T) []string {
		return script("python", file, "/usr/bin/python3", "-c", "import "+library)
	}
	return []app{
		{name: "BullMQ", jobs: 200, again: 5, command: node("bullmq.js")},
		// What BRPOP has brought is written down in a second step, by the worker.
		{name: "Celery", jobs: 100, again: 8, dropped: 1, command: python("celery_app.py", "celery, redis")},
		// Each of its four threads has a BRPOP under way, and nobody knows what a reply that got lost has brought.
		{name: "Sidekiq", jobs: 200, again: 4, dropped: 4, command: script("ruby", "sidekiq_app.rb", "/usr/bin/ruby", "-e", "require 'sidekiq'")},
		// The worker dies with its connection, and the job that it was at has failed.
		{name: "RQ", jobs: 60, again: 1, dropped: 1, command: python("rq_app.py", "rq")},
		// What was taken in a reply that got lost comes back when its lease ends, which takes
		// longer than anybody wants to wait here.
		{name: "asynq", jobs: 200, again: 4, dropped: 1, command: goProgram("asynq")},
		{name: "go-redis", jobs: 200, command: goProgram("go-redis")},
		{name: "redsync", jobs: 100, command: goProgram("redsync")},
		{name: "redis_rate", jobs: 100, command: goProgram("redis_rate")},
		{name: "redigo", jobs: 200, again: 1, command: goProgram("redigo")},
		{name: "rueidis", jobs: 200, command: goProgram("rueidis")},
		{name: "ioredis", jobs: 200, again: 1, command: node("ioredis.js")},
		{name: "node-redis", jobs: 200, again: 3, command: node("noderedis.js")},
		{name: "redis-py", jobs: 200, again: 3, command: python("redispy.py", "redis")},
	}
}

// TestApps runs every program against every target. What a program does before half of its jobs
// are added is undisturbed in all of them.
func TestApps(t *testing.T) {
	for _, a := range apps() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			command := a.command(t)
			// Redis is the oracle of the program itself, and of what its library does when
			// the server dies.
			t.Run("redis, killed", func(t *testing.T) {
				r := startRedis(t)
				run(t, a, command, r.addr, r.restart)
			})
			t.Run("one node", func(t *testing.T) {
				c := start(t, 1)
				run(t, a, command, c.Nodes[0].Addr, nil)
			})
			t.Run("follower, leader killed", func(t *testing.T) {
				// Nothing happens to the client's connection.
				a := a
				a.again, a.dropped = 0, 0
				c := start(t, 3)
				run(t, a, command, c.follower(t).Addr, c.killLeader)
				c.sameDigests(t)
			})
			t.Run("leader, killed", func(t *testing.T) {
				c := start(t, 3)
				run(t, a, command, c.leader(t).Addr, c.killLeader)
				c.sameDigests(t)
			})
		})
	}
}

// run runs the program once. In the middle of its work, disturb is called.
func run(t *testing.T, a app, command []string, addr string, disturb func(t *testing.T)) {
	t.Helper()
	if disturb == nil {
		a.again, a.dropped = 0, 0
	}
	p := launch(t, append(slices.Clone(command), addr, strconv.Itoa(a.jobs)))
	giveUp := time.AfterFunc(patience, p.kill)
	defer giveUp.Stop()
	l := newLedger()
	undisturbed := func() {
		if len(l.unsure) > 0 || len(l.twice()) > 0 {
			t.Errorf("without a cause, these failed: %s, and these were done again: %s", l.unsure, l.twice())
		}
	}
	calm := make(chan struct{})
	disturbing := false
	for lines := p.lines; lines != nil; {
		select {
		case line, open := <-lines:
			if !open {
				lines = nil
				continue
			}
			l.enter(t, line)
		case <-calm:
			calm = nil
		}
		if !disturbing && len(l.acked) >= a.jobs/2 {
			disturbing = true
			undisturbed()
			go func() {
				defer close(calm)
				if disturb != nil {
					disturb(t)
				}
			}()
		}
		if calm == nil && len(l.acked) >= a.jobs && len(l.lost()) <= a.dropped {
			p.end()
		}
	}
	if disturbing && calm != nil {
		<-calm
	}
	if err := p.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	} else if !l.ok {
		t.Error("the program did not say ok")
	}
	if disturb == nil {
		undisturbed()
	}
	if len(l.acked) < a.jobs {
		t.Errorf("%d of %d jobs were added", len(l.acked), a.jobs)
	}
	if lost := l.lost(); len(lost) > a.dropped {
		t.Errorf("lost: %s", lost)
	}
	if twice := l.twice(); len(twice) > a.again {
		t.Errorf("done again: %s", twice)
	}
	t.Logf("%d jobs were acked, %d may be there, %d were done; done again: %s", len(l.acked), len(l.unsure), len(l.ran), l.twice())
	for id, why := range l.unsure {
		t.Logf("job %s: %s", id, why)
	}
	if t.Failed() {
		log := p.log.Bytes()
		t.Logf("the end of the program's log:\n%s", log[max(0, len(log)-4000):])
	}
}
