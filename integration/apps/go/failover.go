package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// The programs of this file write on and on, through a library that looks for the leader
// by itself, in one of the two dialects for that. When told to end they read all back.

// masterName is what SENTINEL knows the cluster by.
const masterName = "mymaster"

// keepWriting writes a key for each job, and reads those that were written.
func keepWriting(ctx context.Context, set func(ctx context.Context, key, value string) error, get func(ctx context.Context, key string) (string, error)) error {
	own := context.WithoutCancel(ctx)
	var acked []string
	for i := 0; ctx.Err() == nil; i++ {
		id := strconv.Itoa(i)
		if err := set(own, "job:"+id, id); err != nil {
			say("unsure", id, err)
			pause(ctx, 20*time.Millisecond)
			continue
		}
		say("acked", id)
		acked = append(acked, id)
		pause(ctx, 5*time.Millisecond)
	}
	for _, id := range acked {
		got, err := get(own, "job:"+id)
		if err := expect("GET", got, err, id); err != nil {
			return err
		}
		say("ran", id)
	}
	return nil
}

func runGoRedisCluster(ctx context.Context, addrs string, _ int) error {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: strings.Split(addrs, ","), DialTimeout: time.Second, ReadTimeout: time.Second, DialerRetries: 1,
		ClusterStateReloadInterval: 500 * time.Millisecond, // by default it asks once a minute, even if the master is gone
	})
	defer client.Close()
	return keepWriting(ctx, goRedisSet(client), goRedisGet(client))
}

func runGoRedisSentinel(ctx context.Context, addrs string, _ int) error {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: masterName, SentinelAddrs: strings.Split(addrs, ","), DialTimeout: time.Second, ReadTimeout: time.Second,
		DialerRetries: 1, // by default it tries for seconds whether a Sentinel that has died is back
	})
	defer client.Close()
	return keepWriting(ctx, goRedisSet(client), goRedisGet(client))
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
	return keepWriting(ctx, goRedisSet(client), goRedisGet(client))
}

func goRedisSet(client redis.Cmdable) func(context.Context, string, string) error {
	return func(ctx context.Context, key, value string) error { return client.Set(ctx, key, value, 0).Err() }
}

func goRedisGet(client redis.Cmdable) func(context.Context, string) (string, error) {
	return func(ctx context.Context, key string) (string, error) { return client.Get(ctx, key).Result() }
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
	return keepWriting(ctx, func(ctx context.Context, key, value string) error {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // the library itself tries for ever
		defer cancel()
		return client.Do(ctx, client.B().Set().Key(key).Value(value).Build()).Error()
	}, func(ctx context.Context, key string) (string, error) {
		return client.Do(ctx, client.B().Get().Key(key).Build()).ToString()
	})
}
