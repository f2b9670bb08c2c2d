package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
)

// runRedigo: scripts, transactions and pub/sub with redigo, and a job queue in lists:
// a worker moves a job aside before it does it, and removes it after.
func runRedigo(ctx context.Context, addr string, jobs int) error {
	pool := &redis.Pool{
		MaxIdle: 4,
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			return redis.DialContext(ctx, "tcp", addr, redis.DialClientName("redigo"), redis.DialReadTimeout(20*time.Second))
		},
		TestOnBorrow: func(c redis.Conn, since time.Time) error {
			_, err := c.Do("PING")
			return err
		},
	}
	defer pool.Close()
	if err := redigoFeatures(pool); err != nil {
		return err
	}
	worker := make(chan error, 1)
	go func() { worker <- listWorker(ctx, pool) }()
	err := produce(ctx, "", jobs, func(id string) error {
		c := pool.Get()
		defer c.Close()
		_, err := c.Do("LPUSH", "jobs", id)
		return err
	})
	if err := errors.Join(err, <-worker); err != nil {
		return err
	}
	c := pool.Get()
	defer c.Close()
	left, err := redis.Int(c.Do("LLEN", "aside"))
	return expect("jobs left aside", left, err, 0)
}

func listWorker(ctx context.Context, pool *redis.Pool) error {
	// What was moved aside when the connection broke is found there.
	again := redis.NewScript(2, `
		local n = 0
		while redis.call('RPOPLPUSH', KEYS[1], KEYS[2]) do n = n + 1 end
		return n`)
	done := map[string]bool{}
	step := func() error {
		c := pool.Get()
		defer c.Close()
		id, err := redis.String(c.Do("BRPOPLPUSH", "jobs", "aside", "0.2"))
		if errors.Is(err, redis.ErrNil) {
			_, err = again.Do(c, "aside", "jobs")
			return err
		}
		if err != nil {
			return err
		}
		if !done[id] {
			say("ran", id)
			done[id] = true
		}
		_, err = c.Do("LREM", "aside", "1", id)
		return err
	}
	for ctx.Err() == nil {
		if step() != nil {
			pause(ctx, 50*time.Millisecond)
		}
	}
	return step() // once more, so that nothing is left aside
}

func redigoFeatures(pool *redis.Pool) error {
	c := pool.Get()
	defer c.Close()
	for i := range 3 {
		if err := c.Send("SET", fmt.Sprint("k", i), i); err != nil {
			return err
		}
	}
	if _, err := c.Do(""); err != nil {
		return err
	}
	ints, err := redis.Ints(c.Do("MGET", "k0", "k1", "k2"))
	if err := expect("MGET", ints, err, "[0 1 2]"); err != nil {
		return err
	}
	if err := errors.Join(c.Send("MULTI"), c.Send("INCR", "k0"), c.Send("HSET", "h", "f", "v"), c.Send("LPOP", "k0")); err != nil {
		return err
	}
	values, err := redis.Values(c.Do("EXEC"))
	if err := expect("EXEC", values, err, "[1 1 WRONGTYPE Operation against a key holding the wrong kind of value]"); err != nil {
		return err
	}
	script := redis.NewScript(1, `return redis.call('INCRBY', KEYS[1], ARGV[1])`)
	for _, want := range []int{8, 15} { // EVAL first, EVALSHA then
		n, err := redis.Int(script.Do(c, "k1", 7))
		if err := expect("script", n, err, want); err != nil {
			return err
		}
	}
	_, err = redis.NewScript(0, `return redis.error_reply('MINE no')`).Do(c)
	if err := expect("a script's error", err, nil, "MINE no"); err != nil {
		return err
	}

	sc := pool.Get()
	defer sc.Close()
	sub := redis.PubSubConn{Conn: sc}
	if err := sub.Subscribe("channel"); err != nil {
		return err
	}
	if s, ok := sub.Receive().(redis.Subscription); !ok || s.Count != 1 {
		return fmt.Errorf("SUBSCRIBE: %v", s)
	}
	if _, err := c.Do("PUBLISH", "channel", "hello"); err != nil {
		return err
	}
	if m, ok := sub.Receive().(redis.Message); !ok || string(m.Data) != "hello" {
		return fmt.Errorf("a message: %v", m)
	}
	return sub.Unsubscribe()
}
