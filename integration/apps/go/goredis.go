package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// runGoRedis: what an application does with go-redis, and then a job queue over a
// stream with a consumer group. Jobs are added by a script that knows which it has
// added, because the library sends a command again when a connection breaks.
func runGoRedis(ctx context.Context, addr string, jobs int) error {
	client := redis.NewClient(&redis.Options{Addr: addr, ClientName: "go-redis"})
	defer client.Close()
	for _, protocol := range []int{2, 3} {
		if err := goRedisFeatures(ctx, &redis.Options{Addr: addr, Protocol: protocol, DB: protocol}); err != nil {
			return fmt.Errorf("RESP%d: %w", protocol, err)
		}
	}
	add := redis.NewScript(`
		if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then return 'again' end
		return redis.call('XADD', KEYS[1], '*', 'id', ARGV[1])`)
	if err := client.XGroupCreateMkStream(ctx, "jobs", "workers", "0").Err(); err != nil {
		return err
	}
	var workers sync.WaitGroup
	for w := range 3 {
		workers.Go(func() { streamWorker(ctx, client, fmt.Sprint("worker-", w)) })
	}
	err := produce(ctx, "", jobs, func(id string) error {
		return add.Run(ctx, client, []string{"jobs", "seen"}, id).Err()
	})
	workers.Wait()
	if err != nil {
		return err
	}
	pending, err := client.XPending(context.Background(), "jobs", "workers").Result()
	if err != nil {
		return err
	}
	return expect("jobs pending in the end", pending.Count, nil, 0)
}

// streamWorker does its own pending jobs first (">" only when there are none), and looks for them
// again when nothing comes: a reply that was lost with its connection left some there, and
// the library reads on without saying so. When working ends it leaves none behind.
func streamWorker(working context.Context, client *redis.Client, name string) {
	ctx := context.WithoutCancel(working)
	for from := "0"; from == "0" || working.Err() == nil; {
		streams, err := client.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: "workers", Consumer: name, Streams: []string{"jobs", from}, Count: 5, Block: 200 * time.Millisecond,
		}).Result()
		if errors.Is(err, redis.Nil) {
			from = "0"
			continue
		}
		if err != nil {
			from = "0"
			pause(ctx, 50*time.Millisecond)
			continue
		}
		for _, m := range streams[0].Messages {
			say("ran", m.Values["id"])
			// The job is done: whatever happens to the acknowledgement, it is not done again.
			for client.XAck(ctx, "jobs", "workers", m.ID).Err() != nil {
				pause(ctx, 50*time.Millisecond)
			}
		}
		if len(streams[0].Messages) == 0 {
			from = ">"
		}
	}
}

func goRedisFeatures(ctx context.Context, options *redis.Options) error {
	client := redis.NewClient(options)
	defer client.Close()
	// A pipeline, a transaction with WATCH.
	cmds, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "n", 1, time.Hour)
		p.Incr(ctx, "n")
		p.HSet(ctx, "h", "a", 1, "b", "two")
		p.ZAdd(ctx, "z", redis.Z{Score: 1.5, Member: "x"}, redis.Z{Score: 2, Member: "y"})
		p.HGetAll(ctx, "h")
		p.ZRangeWithScores(ctx, "z", 0, -1)
		return nil
	})
	if err := expect("pipeline", cmds, err, "[set n 1 ex 3600: OK incr n: 2 hset h a 1 b two: 2 zadd z 1.5 x 2 y: 2 hgetall h: map[a:1 b:two] zrange z 0 -1 withscores: [{1.5 x} {2 y}]]"); err != nil {
		return err
	}
	err = client.Watch(ctx, func(tx *redis.Tx) error {
		if err := client.Incr(ctx, "n").Err(); err != nil {
			return err
		}
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, "n", 0, 0).Err() })
		return err
	}, "n")
	if err := expectError("a transaction over a key that has changed", err, redis.TxFailedErr); err != nil {
		return err
	}

	// Scripts and functions.
	script := redis.NewScript(`return {KEYS[1], ARGV[1] + 1, redis.call('GET', KEYS[1]), cjson.encode({a={1,2}})}`)
	v, err := script.Run(ctx, client, []string{"n"}, 41).Slice()
	if err := expect("script", v, err, `[n 42 3 {"a":[1,2]}]`); err != nil {
		return err
	}
	if err := client.FunctionLoadReplace(ctx, "#!lua name=apps\nredis.register_function('double', function(keys, args) return args[1] * 2 end)").Err(); err != nil {
		return err
	}
	double, err := client.FCall(ctx, "double", []string{"n"}, 21).Int()
	if err := expect("FCALL", double, err, 42); err != nil {
		return err
	}

	// Pub/sub.
	sub := client.PSubscribe(ctx, "news.*")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		return err
	}
	if err := client.Publish(ctx, "news.today", "hello").Err(); err != nil {
		return err
	}
	m, err := sub.ReceiveMessage(ctx)
	if err := expect("message", m, err, "Message<news.today: hello>"); err != nil {
		return err
	}

	// A scan that has to come back for more.
	for i := range 500 {
		if err := client.SAdd(ctx, "many", i).Err(); err != nil {
			return err
		}
	}
	var found []string
	it := client.SScan(ctx, "many", 0, "*", 10).Iterator()
	for it.Next(ctx) {
		found = append(found, it.Val())
	}
	sort.Strings(found)
	return expect("SSCAN", len(found), it.Err(), 500)
}
