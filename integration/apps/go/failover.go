package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/FZambia/sentinel/v2"
	redigo "github.com/gomodule/redigo/redis"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// The programs of this file write on and on, through a library that looks for the leader
// by itself, in one of the two dialects for that. When told to end they read all back.

// masterName is what SENTINEL knows the cluster by.
const masterName = "mymaster"

// follower is a client of one of the libraries, as far as the programs need it.
type follower struct {
	set  func(ctx context.Context, key, value string) error
	get  func(ctx context.Context, key string) (string, error)
	call func(ctx context.Context, args ...string) error // a command that the library does not know
}

// keepWriting writes a key for each job, and reads those that were written. It counts
// them, too, in a way that can be repeated until it has worked.
func keepWriting(ctx context.Context, client follower) error {
	own := context.WithoutCancel(ctx)
	var acked []string
	count := 0
	for i := 0; ctx.Err() == nil; i++ {
		id := strconv.Itoa(i)
		for client.call(own, "ONCE", "count:"+id, "600000", "INCR", "count") != nil {
			pause(own, 20*time.Millisecond)
		}
		count++
		if err := client.set(own, "job:"+id, id); err != nil {
			say("unsure", id, err)
			pause(ctx, 20*time.Millisecond)
			continue
		}
		say("acked", id)
		acked = append(acked, id)
		pause(ctx, 5*time.Millisecond)
	}
	for _, id := range acked {
		got, err := client.get(own, "job:"+id)
		if err := expect("GET", got, err, id); err != nil {
			return err
		}
		say("ran", id)
	}
	got, err := client.get(own, "count")
	return expect("the count", got, err, strconv.Itoa(count))
}

func runGoRedisCluster(ctx context.Context, addrs string, _ int) error {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: strings.Split(addrs, ","), DialTimeout: time.Second, ReadTimeout: time.Second, DialerRetries: 1,
		ClusterStateReloadInterval: 500 * time.Millisecond, // by default it asks once a minute, even if the master is gone
	})
	defer client.Close()
	return keepWriting(ctx, goRedisFollower(client))
}

func runGoRedisSentinel(ctx context.Context, addrs string, _ int) error {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: masterName, SentinelAddrs: strings.Split(addrs, ","), DialTimeout: time.Second, ReadTimeout: time.Second,
		DialerRetries: 1, // by default it tries for seconds whether a Sentinel that has died is back
	})
	defer client.Close()
	return keepWriting(ctx, goRedisFollower(client))
}

// runGoRedisRing: the library's answer to several servers that know nothing of each other.
// Here any of them will do for any key.
func runGoRedisRing(ctx context.Context, addrs string, _ int) error {
	shards := map[string]string{}
	for i, addr := range strings.Split(addrs, ",") {
		shards[fmt.Sprint("shard", i)] = addr
	}
	client := redis.NewRing(&redis.RingOptions{Addrs: shards, DialTimeout: time.Second, ReadTimeout: time.Second, HeartbeatFrequency: 100 * time.Millisecond})
	defer client.Close()
	return keepWriting(ctx, goRedisFollower(client))
}

func goRedisFollower(client redis.UniversalClient) follower {
	return follower{
		set: func(ctx context.Context, key, value string) error { return client.Set(ctx, key, value, 0).Err() },
		get: func(ctx context.Context, key string) (string, error) { return client.Get(ctx, key).Result() },
		call: func(ctx context.Context, args ...string) error {
			all := make([]any, len(args))
			for i, arg := range args {
				all[i] = arg
			}
			return client.Do(ctx, all...).Err()
		},
	}
}

func runRueidisCluster(ctx context.Context, addrs string, _ int) error {
	return keepWritingRueidis(ctx, rueidis.ClientOption{InitAddress: strings.Split(addrs, ",")})
}

func runRueidisSentinel(ctx context.Context, addrs string, _ int) error {
	return keepWritingRueidis(ctx, rueidis.ClientOption{InitAddress: strings.Split(addrs, ","), Sentinel: rueidis.SentinelOption{MasterSet: masterName}})
}

func keepWritingRueidis(ctx context.Context, options rueidis.ClientOption) error {
	options.ConnWriteTimeout = time.Second
	client, err := rueidis.NewClient(options)
	if err != nil {
		return err
	}
	defer client.Close()
	do := func(ctx context.Context, cmd rueidis.Completed) error {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // the library itself tries for ever
		defer cancel()
		return client.Do(ctx, cmd).Error()
	}
	return keepWriting(ctx, follower{
		set: func(ctx context.Context, key, value string) error {
			return do(ctx, client.B().Set().Key(key).Value(value).Build())
		},
		get: func(ctx context.Context, key string) (string, error) {
			return client.Do(ctx, client.B().Get().Key(key).Build()).ToString()
		},
		call: func(ctx context.Context, args ...string) error {
			return do(ctx, client.B().Arbitrary(args...).Build())
		},
	})
}

// runRedigoSentinel: redigo speaks neither dialect; this is what people use beside it.
func runRedigoSentinel(ctx context.Context, addrs string, _ int) error {
	dial := func(addr string) (redigo.Conn, error) {
		return redigo.Dial("tcp", addr, redigo.DialConnectTimeout(time.Second), redigo.DialReadTimeout(time.Second), redigo.DialWriteTimeout(time.Second))
	}
	sentinels := &sentinel.Sentinel{Addrs: strings.Split(addrs, ","), MasterName: masterName, Dial: dial}
	defer sentinels.Close()
	pool := &redigo.Pool{
		MaxIdle: 4,
		Dial: func() (redigo.Conn, error) {
			addr, err := sentinels.MasterAddr()
			if err != nil {
				return nil, err
			}
			return dial(addr)
		},
		TestOnBorrow: func(c redigo.Conn, _ time.Time) error {
			if ok, err := sentinel.TestRole(c, "master"); err != nil || !ok {
				return fmt.Errorf("it does not lead: %w", err)
			}
			return nil
		},
	}
	defer pool.Close()
	do := func(command string, args ...any) (any, error) {
		c := pool.Get()
		defer c.Close()
		return c.Do(command, args...)
	}
	return keepWriting(ctx, follower{
		set: func(_ context.Context, key, value string) error {
			_, err := do("SET", key, value)
			return err
		},
		get: func(_ context.Context, key string) (string, error) { return redigo.String(do("GET", key)) },
		call: func(_ context.Context, args ...string) error {
			_, err := do(args[0], redigo.Args{}.AddFlat(args[1:])...)
			return err
		},
	})
}
