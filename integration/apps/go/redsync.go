package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redsync/redsync/v4"
	redsyncgoredis "github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

// runRedsync: a counter that is read, changed and written back by several, each under
// the same lock. It ends at the number of those that were in.
func runRedsync(ctx context.Context, addr string, jobs int) error {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	rs := redsync.New(redsyncgoredis.NewPool(client))

	// One lock has one holder; one that has expired is not unlocked; one can be extended.
	a, b := rs.NewMutex("features", redsync.WithExpiry(time.Minute)), rs.NewMutex("features", redsync.WithTries(1))
	if err := a.LockContext(ctx); err != nil {
		return err
	}
	if err := b.LockContext(ctx); err == nil {
		return fmt.Errorf("a lock was taken twice")
	}
	ok, err := a.ExtendContext(ctx)
	if err := expect("extend", ok, err, true); err != nil {
		return err
	}
	if err := client.Del(ctx, "features").Err(); err != nil {
		return err
	}
	_, err = a.UnlockContext(ctx)
	if err := expectError("unlock a lock that was lost", err, redsync.ErrLockAlreadyExpired); err != nil {
		return err
	}
	if err := b.LockContext(ctx); err != nil {
		return err
	}

	const workers = 4
	var inside sync.Mutex // tells of two holders at once
	var sum, twice atomic.Int64
	var wg sync.WaitGroup
	errC := make(chan error, workers)
	for w := range workers {
		wg.Go(func() {
			errC <- produce(ctx, fmt.Sprint(w, "-"), jobs/workers, func(id string) error {
				m := rs.NewMutex("lock", redsync.WithTries(1000), redsync.WithRetryDelay(5*time.Millisecond), redsync.WithExpiry(8*time.Second))
				if err := m.LockContext(ctx); err != nil {
					return fmt.Errorf("lock: %w", err)
				}
				if inside.TryLock() {
					count(ctx, client)
					sum.Add(1)
					say("ran", id)
					inside.Unlock()
				} else {
					twice.Add(1)
				}
				// What fails to be unlocked is in the others' way until it expires.
				for ctx.Err() == nil {
					if _, err := m.UnlockContext(ctx); err == nil || errors.Is(err, redsync.ErrLockAlreadyExpired) {
						break
					}
					pause(ctx, 20*time.Millisecond)
				}
				return nil
			})
		})
	}
	wg.Wait()
	for range workers {
		if err := <-errC; err != nil {
			return err
		}
	}
	<-ctx.Done()
	n, err := client.Get(context.Background(), "n").Int()
	if err := expect("the counter", n, err, sum.Load()); err != nil {
		return err
	}
	return expect("times that two had the lock", twice.Load(), nil, 0)
}

// count adds one to the counter as somebody does who is alone. To write the same number
// again is then safe; to read it again is not, since a write that has failed may be there.
func count(ctx context.Context, client *redis.Client) {
	n, err := 0, errors.New("not read yet")
	for ctx.Err() == nil {
		if err != nil {
			if n, err = client.Get(ctx, "n").Int(); errors.Is(err, redis.Nil) {
				n, err = 0, nil
			}
		}
		if err == nil && client.Set(ctx, "n", n+1, 0).Err() == nil {
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
}
