package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// runRedisRate: several ask for leave under one limit. What they were given stays within
// it, whatever happens: it is counted where the limit is kept.
func runRedisRate(ctx context.Context, addr string, jobs int) error {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	limiter := redis_rate.NewLimiter(client)

	limit := redis_rate.PerHour(3)
	for want := 2; want >= 0; want-- {
		r, err := limiter.Allow(ctx, "features", limit)
		if err != nil {
			return err
		}
		if err := expect("remaining", r.Remaining, nil, want); err != nil {
			return err
		}
	}
	r, err := limiter.Allow(ctx, "features", limit)
	if err != nil {
		return err
	}
	if err := expect("allowed beyond the limit", r.Allowed, nil, 0); err != nil {
		return err
	}
	if r.RetryAfter < 19*time.Minute || r.RetryAfter > 20*time.Minute {
		return fmt.Errorf("retry after %v, with 3 an hour", r.RetryAfter)
	}
	if err := limiter.Reset(ctx, "features"); err != nil {
		return err
	}
	r, err = limiter.AllowAtMost(ctx, "features", limit, 5)
	if err := expect("allowed of 5", r.Allowed, err, 3); err != nil {
		return err
	}

	const workers = 4
	limit = redis_rate.Limit{Rate: 50, Burst: 10, Period: time.Second}
	begin := time.Now()
	var wg sync.WaitGroup
	errC := make(chan error, workers)
	for w := range workers {
		wg.Go(func() {
			errC <- produce(ctx, fmt.Sprint(w, "-"), jobs/workers, func(id string) error {
				for {
					r, err := limiter.Allow(ctx, "work", limit)
					if err != nil {
						return err
					}
					if r.Allowed == 1 {
						say("ran", id)
						return nil
					}
					pause(ctx, r.RetryAfter)
				}
			})
		})
	}
	wg.Wait()
	for range workers {
		if err := <-errC; err != nil {
			return err
		}
	}
	took := time.Since(begin)
	<-ctx.Done()
	if most := 10 + 50*took.Seconds() + 1; float64(jobs/workers*workers) > most {
		return fmt.Errorf("%d were let through where %.0f may", jobs, most)
	}
	return nil
}
