package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// run is one replay on one server.
type run struct {
	trace  *trace
	policy string
	fit    int           // keys that are to fit, 0: as many as memory has room for
	memory int64         // maxmemory, 0: as fit needs
	stay   time.Duration // how long it takes until as many keys have come as fit
}

// outcome is what came of it.
type outcome struct {
	hits   float64 // of the second half of the trace, 0 to 1
	keys   float64 // mean number of keys meanwhile
	bytes  float64 // that the server says it uses for each of them
	memory int64   // maxmemory at last

	refused int // SETs that were answered OOM
}

const (
	pipeline  = 64 // GETs that are sent together, then SETs of what was not there
	valueSize = 64
	guess     = 100 // bytes a key, to begin with: with more than they take it would never be full
	steps     = 100 // looks at the number of keys
)

// replay runs it. The first half of the trace fills the cache and, if a number of keys is
// asked for, finds the maxmemory at which so many are there; the second one counts.
func replay(addr string, r run) (out outcome, err error) {
	c, err := cluster.Dial(addr)
	if err != nil {
		return out, err
	}
	defer c.Close()
	c.Timeout = time.Minute
	// noeviction in between: what a policy has learned is not to last.
	for _, args := range [][]string{{"FLUSHALL"}, {"CONFIG", "SET", "maxmemory", "0"}, {"CONFIG", "SET", "maxmemory-policy", "noeviction"}, {"CONFIG", "SET", "maxmemory-policy", r.policy}} {
		if err := ok(c.Do(args...)); err != nil {
			return out, fmt.Errorf("%v: %w", args, err)
		}
	}
	if out.memory = r.memory; out.memory == 0 {
		used, _, err := used(c)
		if err != nil {
			return out, err
		}
		out.memory = used + int64(r.fit)*guess
	}
	if err := ok(c.Do("CONFIG", "SET", "maxmemory", strconv.FormatInt(out.memory, 10))); err != nil {
		return out, err
	}
	p := player{c: c, run: r}
	var hits, asked, looks int
	for step := range steps {
		from, to := len(r.trace.keys)*step/steps, len(r.trace.keys)*(step+1)/steps
		n, err := p.play(from, to)
		if err != nil {
			return out, err
		}
		bytes, keys, err := used(c)
		if err != nil {
			return out, err
		}
		if step >= steps/2 {
			hits, asked, looks = hits+n, asked+to-from, looks+1
			out.keys += float64(keys)
			out.bytes += float64(bytes) / float64(max(1, keys))
			continue
		}
		// Full: neither does it grow any more, nor is it to be larger.
		if full := bytes > out.memory*9/10; r.memory == 0 && full {
			out.memory += int64(r.fit-keys) * guess / 2
			if err := ok(c.Do("CONFIG", "SET", "maxmemory", strconv.FormatInt(out.memory, 10))); err != nil {
				return out, err
			}
			p.full = true
		}
	}
	out.refused = p.refused
	out.hits = float64(hits) / float64(asked)
	out.keys /= float64(looks)
	out.bytes /= float64(looks)
	return out, nil
}

// player reads through the cache.
type player struct {
	c      *cluster.Client
	run    run
	full   bool
	from   time.Time
	misses int

	refused int // SETs, for want of memory
}

func (p *player) play(from, to int) (hits int, err error) {
	value := strings.Repeat("x", valueSize)
	for ; from < to; from += pipeline {
		keys := p.run.trace.keys[from:min(to, from+pipeline)]
		for _, k := range keys {
			p.c.Send("GET", name(k))
		}
		if err := p.c.Flush(); err != nil {
			return hits, err
		}
		var missed []int32
		for _, k := range keys {
			switch v, err := p.c.Receive(); v.(type) {
			case string:
				hits++
			case cluster.Nil:
				if slices.Contains(missed, k) {
					hits++ // the one before it in the pipeline has fetched it
				} else {
					missed = append(missed, k)
				}
			default:
				return hits, fmt.Errorf("GET: %v, %w", v, err)
			}
		}
		for _, k := range missed {
			if strings.HasPrefix(p.run.policy, "volatile-") {
				p.c.Send("SET", name(k), value, "EX", strconv.Itoa(60*int(p.run.trace.deadline[k])))
			} else {
				p.c.Send("SET", name(k), value)
			}
		}
		if err := p.c.Flush(); err != nil {
			return hits, err
		}
		for range missed {
			switch err := ok(p.c.Receive()); {
			case err == nil:
			case strings.HasPrefix(err.Error(), "OOM "):
				p.refused++ // a cache that does not take it is one that does not have it
			default:
				return hits, fmt.Errorf("SET: %w", err)
			}
		}
		p.pace(len(missed))
	}
	return hits, nil
}

// pace waits, so that from the time when the cache is full it takes run.stay until as many
// keys have come as fit.
func (p *player) pace(misses int) {
	if !p.full || p.run.stay == 0 || p.run.fit == 0 {
		return
	}
	if p.from.IsZero() {
		p.from = time.Now()
	}
	p.misses += misses
	due := p.from.Add(time.Duration(float64(p.run.stay) * float64(p.misses) / float64(p.run.fit)))
	if wait := time.Until(due); wait > 0 {
		time.Sleep(wait)
	}
}

func name(k int32) string { return fmt.Sprintf("cache:key:%06d", k) }

// used is how much of maxmemory is used by how many keys. raftredis says what it compares
// with maxmemory on a line of its own.
func used(c *cluster.Client) (bytes int64, keys int, err error) {
	reply, err := c.Do("INFO", "memory")
	if err != nil {
		return 0, 0, err
	}
	text, _ := reply.(string)
	for _, field := range []string{"used_memory_keys:", "used_memory:"} {
		if _, rest, found := strings.Cut(text, "\n"+field); found {
			line, _, _ := strings.Cut(rest, "\r")
			if bytes, err = strconv.ParseInt(line, 10, 64); err != nil {
				return 0, 0, err
			}
			break
		}
	}
	reply, err = c.Do("DBSIZE")
	n, isInt := reply.(int64)
	if err == nil && !isInt {
		err = fmt.Errorf("DBSIZE: %v", reply)
	}
	return bytes, int(n), err
}

func ok(reply any, err error) error {
	if e, is := reply.(cluster.Error); is && err == nil {
		return e
	}
	return err
}
