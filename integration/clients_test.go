package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// TestGoRedis: RESP3 and RESP2, pipelines, transactions with WATCH, and what the
// library sends on connecting.
func TestGoRedis(t *testing.T) {
	c := start(t, 3)
	ctx := t.Context()
	for _, protocol := range []int{2, 3} {
		for _, n := range c.Nodes {
			client := goredis.NewClient(&goredis.Options{Addr: n.Addr, Protocol: protocol, ClientName: "test", DB: 1})
			defer client.Close()
			key := fmt.Sprintf("go-redis:%d:%d", protocol, n.ID)
			if err := client.Set(ctx, key, "1", time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
			if ttl, err := client.TTL(ctx, key).Result(); err != nil || ttl <= 59*time.Minute || ttl > time.Hour {
				t.Errorf("TTL %v, %v", ttl, err)
			}
			if _, err := client.Get(ctx, "missing").Result(); !errors.Is(err, goredis.Nil) {
				t.Errorf("a missing key: %v", err)
			}
			cmds, err := client.Pipelined(ctx, func(p goredis.Pipeliner) error {
				for range 100 {
					p.Incr(ctx, key)
					p.Get(ctx, key)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := cmds[199].(*goredis.StringCmd).Val(); got != "101" {
				t.Errorf("a read behind 100 writes in one pipeline sees %s", got)
			}
			err = client.Watch(ctx, func(tx *goredis.Tx) error {
				v, err := tx.Get(ctx, key).Int()
				if err != nil {
					return err
				}
				_, err = tx.TxPipelined(ctx, func(p goredis.Pipeliner) error {
					p.Set(ctx, key, v+1, 0)
					return nil
				})
				return err
			}, key)
			if err != nil {
				t.Errorf("a transaction: %v", err)
			}
			if got := client.Get(ctx, key).Val(); got != "102" {
				t.Errorf("after the transaction: %s", got)
			}
		}
	}
	c.sameDigests()
}

// TestWatchAcrossNodes: optimistic locking by clients on different nodes never
// loses an update.
func TestWatchAcrossNodes(t *testing.T) {
	c := start(t, 3)
	ctx := t.Context()
	const clients, each = 6, 15
	var wg sync.WaitGroup
	errC := make(chan error, clients)
	for i := range clients {
		wg.Go(func() {
			client := goredis.NewClient(&goredis.Options{Addr: c.Nodes[i%3].Addr, MaxRetries: -1})
			defer client.Close()
			for done := 0; done < each; {
				err := client.Watch(ctx, func(tx *goredis.Tx) error {
					v, err := tx.Get(ctx, "shared").Int()
					if err != nil && !errors.Is(err, goredis.Nil) {
						return err
					}
					_, err = tx.TxPipelined(ctx, func(p goredis.Pipeliner) error {
						p.Set(ctx, "shared", v+1, 0)
						return nil
					})
					return err
				}, "shared")
				switch {
				case err == nil:
					done++
				case !errors.Is(err, goredis.TxFailedErr):
					errC <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errC)
	for err := range errC {
		t.Error(err)
	}
	c.sameDigests()
	if got := must(t, connect(t, c.Nodes[0].Addr), "GET", "shared"); got.Str != fmt.Sprint(clients*each) {
		t.Errorf("%d transactions went through, and the counter is %s", clients*each, got)
	}
}

// TestRedigo speaks RESP2 and pipelines by hand.
func TestRedigo(t *testing.T) {
	c := start(t, 1)
	conn, err := redis.Dial("tcp", c.Nodes[0].Addr, redis.DialClientName("redigo"), redis.DialDatabase(2))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 100 {
		if err := conn.Send("SET", fmt.Sprint(i), i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Do(""); err != nil {
		t.Fatal(err)
	}
	values, err := redis.Ints(conn.Do("MGET", "0", "50", "99"))
	if err != nil || fmt.Sprint(values) != "[0 50 99]" {
		t.Errorf("MGET: %v, %v", values, err)
	}
	if n, err := redis.Int(conn.Do("DBSIZE")); err != nil || n != 100 {
		t.Errorf("DBSIZE: %d, %v", n, err)
	}
	if err := conn.Send("MULTI"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Send("INCR", "0"); err != nil {
		t.Fatal(err)
	}
	if values, err := redis.Ints(conn.Do("EXEC")); err != nil || fmt.Sprint(values) != "[1]" {
		t.Errorf("EXEC: %v, %v", values, err)
	}
}

// TestRueidis speaks RESP3, pipelines everything, and multiplexes.
func TestRueidis(t *testing.T) {
	c := start(t, 3)
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{c.follower().Addr}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := t.Context()
	var wg sync.WaitGroup
	var failed sync.Map
	for i := range 50 {
		wg.Go(func() {
			for j := range 20 {
				key := fmt.Sprintf("rueidis:%d:%d", i, j)
				if err := client.Do(ctx, client.B().Set().Key(key).Value(key).Build()).Error(); err != nil {
					failed.Store(key, err)
					return
				}
				if got, err := client.Do(ctx, client.B().Get().Key(key).Build()).ToString(); err != nil || got != key {
					failed.Store(key, fmt.Errorf("%q, %w", got, err))
					return
				}
			}
		})
	}
	wg.Wait()
	failed.Range(func(k, v any) bool { t.Errorf("%s: %v", k, v); return true })
	m, err := client.Do(ctx, client.B().Arbitrary("CONFIG", "GET", "maxclients").Build()).AsStrMap()
	if err != nil || m["maxclients"] != "10000" {
		t.Errorf("CONFIG GET as a map: %v, %v", m, err)
	}
	c.sameDigests()
}

// TestForwardedRepliesMatch: many clients on followers while leadership moves:
// every reply belongs to its request.
func TestForwardedRepliesMatch(t *testing.T) {
	c := start(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const clients, each = 60, 40
	var wg sync.WaitGroup
	errC := make(chan error, clients)
	for i := range clients {
		wg.Go(func() {
			conn, err := dial(c.Nodes[i%3].Addr)
			if err != nil {
				errC <- err
				return
			}
			defer conn.Close()
			last := ""
			for j := range each {
				mine := fmt.Sprintf("%d-%d", i, j)
				v, err := conn.Do("SET", fmt.Sprintf("tagged:%d", i), mine, "GET")
				switch {
				case err != nil:
					errC <- err
					return
				case v.IsError():
					errC <- fmt.Errorf("client %d: %s", i, v.Str)
					return
				case v.Str != last:
					errC <- fmt.Errorf("client %d got %q instead of its own %q", i, v.Str, last)
					return
				}
				last = mine
			}
		})
	}
	moves := make(chan int, 1)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			if leader := c.Leader(); leader != nil {
				_, _ = ask(leader.Addr, "RAFT", "TRANSFER") // may fail: somebody else leads by now
			}
			select {
			case <-time.After(150 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		moves <- n
	}()
	wg.Wait()
	cancel()
	t.Logf("leadership was moved %d times", <-moves)
	close(errC)
	for err := range errC {
		if strings.Contains(err.Error(), "UNKNOWN") {
			t.Log(err) // truthful, and rare
			continue
		}
		t.Error(err)
	}
	c.ready()
	c.sameDigests()
}
