package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"
)

// runRueidis: rueidis with its client-side cache on. The work is a number that grows; a
// reader that asks the cache alone has to see every step in time, which it only
// does if the server tells of each write, also after the connection was lost.
func runRueidis(ctx context.Context, addr string, jobs int) error {
	options := rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, ClientName: "rueidis"}
	client, err := rueidis.NewClient(options)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := rueidisFeatures(ctx, client, options); err != nil {
		return err
	}
	writer, err := rueidis.NewClient(options)
	if err != nil {
		return err
	}
	defer writer.Close()

	var reader sync.WaitGroup
	hits := 0
	reader.Go(func() {
		for seen := -1; ctx.Err() == nil; pause(ctx, time.Millisecond) {
			v := client.DoCache(ctx, client.B().Get().Key("n").Cache(), time.Hour)
			if v.IsCacheHit() {
				hits++
			}
			n, err := v.AsInt64()
			if err != nil {
				continue // not there yet, or no connection
			}
			// Each step between two readings has been seen with the later one.
			for ; seen < int(n); seen++ {
				say("ran", seen+1)
			}
		}
	})
	err = produce(ctx, "", jobs, func(id string) error {
		return writer.Do(ctx, writer.B().Set().Key("n").Value(id).Build()).Error()
	})
	reader.Wait()
	if err != nil {
		return err
	}
	if hits == 0 {
		return fmt.Errorf("the cache was never used")
	}
	return nil
}

func rueidisFeatures(ctx context.Context, client rueidis.Client, options rueidis.ClientOption) error {
	// Everything is pipelined by itself.
	var wg sync.WaitGroup
	errC := make(chan error, 50)
	for i := range 50 {
		wg.Go(func() {
			key := fmt.Sprint("key:", i)
			errs := client.DoMulti(ctx, client.B().Set().Key(key).Value(strconv.Itoa(i)).Build(), client.B().Incr().Key(key).Build())
			n, err := errs[1].AsInt64()
			errC <- expect("INCR", n, err, i+1)
		})
	}
	wg.Wait()
	close(errC)
	for err := range errC {
		if err != nil {
			return err
		}
	}
	script := rueidis.NewLuaScript(`return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}`)
	list, err := script.Exec(ctx, client, []string{"key:1"}, []string{"x"}).AsStrSlice()
	if err := expect("script", list, err, "[key:1 x 2]"); err != nil {
		return err
	}
	m, err := client.Do(ctx, client.B().Hset().Key("h").FieldValue().FieldValue("a", "1").Build()).AsInt64()
	if err := expect("HSET", m, err, 1); err != nil {
		return err
	}
	h, err := client.Do(ctx, client.B().Hgetall().Key("h").Build()).AsStrMap()
	if err := expect("HGETALL", h, err, "map[a:1]"); err != nil {
		return err
	}

	// Pub/sub on a connection of its own.
	heard := make(chan string, 1)
	dedicated, release := client.Dedicate()
	wait := dedicated.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage: func(m rueidis.PubSubMessage) { heard <- m.Channel + " " + m.Message },
	})
	if err := dedicated.Do(ctx, client.B().Subscribe().Channel("news").Build()).Error(); err != nil {
		return err
	}
	if err := client.Do(ctx, client.B().Publish().Channel("news").Message("hello").Build()).Error(); err != nil {
		return err
	}
	select {
	case got := <-heard:
		if got != "news hello" {
			return fmt.Errorf("heard %q", got)
		}
	case err := <-wait:
		return fmt.Errorf("subscription ended: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
	release()

	// A lock: its waiters are told by invalidations.
	locker, err := rueidislock.NewLocker(rueidislock.LockerOption{ClientOption: options, KeyMajority: 1})
	if err != nil {
		return err
	}
	defer locker.Close()
	other, err := rueidislock.NewLocker(rueidislock.LockerOption{ClientOption: options, KeyMajority: 1})
	if err != nil {
		return err
	}
	defer other.Close()
	_, unlock, err := locker.WithContext(ctx, "lock")
	if err != nil {
		return err
	}
	if _, _, err := other.TryWithContext(ctx, "lock"); err == nil {
		return fmt.Errorf("a lock was taken twice")
	}
	got := make(chan error, 1)
	go func() {
		_, unlock, err := other.WithContext(ctx, "lock")
		if err == nil {
			unlock()
		}
		got <- err
	}()
	unlock()
	return <-got
}
