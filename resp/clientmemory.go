package resp

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/raftredis/raftredis/resp/directive"
	"github.com/raftredis/raftredis/store/command"

	"go.uber.org/zap"
)

// leastClientMemory is what a maxmemory-clients below it counts as, as in Redis: nobody
// could talk to the node otherwise.
const leastClientMemory = 128 << 10

// memory is what the connection takes: CLIENT LIST's tot-mem. From any goroutine.
func (c *conn) memory() int64 {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	return c.memoryLocked()
}

// memoryLocked is memory with face.mu held.
func (c *conn) memoryLocked() int64 {
	f := &c.face
	_, _, omem := c.pending()
	total := omem + int64(unsafe.Sizeof(*c)) + int64(f.qbuf+f.qbufFree+f.argvMem+f.multiMem)
	if omem == 0 {
		total += int64(f.output)
	}
	return total
}

// clientMemory is what all connections take.
func (s *Server) clientMemory() (n int64) {
	s.eachClient(func(c *conn) { n += c.memory() })
	return n
}

// clientLimit is how much memory all connections together may take, 0: any amount.
func (s *Server) clientLimit() int64 {
	limit := s.config().ClientMemory
	if limit < 0 { // a percentage of maxmemory
		limit = int64(float64(s.store.Memory().Limit) * float64(-limit) / 100)
	}
	if limit == 0 {
		return 0
	}
	return max(limit, leastClientMemory)
}

// noteMemory has cron look at all connections if this one has become so large that it may
// be due. It is called after each run.
func (c *conn) noteMemory() {
	if c.srv.config().ClientMemory == 0 {
		return
	}
	now := c.memory()
	all := c.srv.clientsHold.Add(now - c.noted)
	c.noted = now
	if limit := c.srv.clientLimit(); limit > 0 && all >= limit {
		select {
		case c.srv.evictC <- struct{}{}:
		default:
		}
	}
}

// evictClients closes the largest connections until all together take less than
// maxmemory-clients. cron calls it, now and then and when there may be reason to.
func (s *Server) evictClients() {
	limit := s.clientLimit()
	if limit == 0 {
		return
	}
	type client struct {
		c     *conn
		bytes int64
	}
	var all []client
	var sum int64
	s.eachClient(func(c *conn) {
		if c.evicted.Load() {
			return // on its way out
		}
		m := client{c, c.memory()}
		sum += m.bytes
		if !c.isNoEvict() {
			all = append(all, m)
		}
	})
	if sum < limit {
		return
	}
	slices.SortFunc(all, func(a, b client) int { return cmp.Compare(b.bytes, a.bytes) })
	for _, m := range all {
		if sum < limit {
			return
		}
		sum -= m.bytes
		m.c.evicted.Store(true)
		s.stats.evictedClients.Add(1)
		s.log.Info("Evicting client: "+m.c.info(s.now()), zap.Int64("id", m.c.id))
		m.c.link.Kill()
	}
	if sum >= limit {
		s.log.Warn("Over client maxmemory after evicting all evictable clients")
	}
}

func (c *conn) isNoEvict() bool {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	return strings.Contains(c.face.flags, "e")
}

// setClientMemory reads maxmemory-clients: bytes, or a percentage, which is kept below 0.
func setClientMemory(c *Config, v string) error {
	if digits, isPercent := strings.CutSuffix(v, "%"); isPercent {
		switch n, ok := command.ParseInt([]byte(digits)); {
		case !ok || n < 0:
			return errNoShare
		case n > 100:
			return errors.New("percentage argument must be less or equal to 100")
		default:
			c.ClientMemory = -n
			return nil
		}
	}
	n, ok := directive.ParseMemory(v)
	if !ok {
		return errNoShare
	}
	c.ClientMemory = n
	return nil
}

var errNoShare = errors.New("argument must be a memory or percent value")

func formatClientMemory(c *Config) string {
	if c.ClientMemory < 0 {
		return strconv.FormatInt(-c.ClientMemory, 10) + "%"
	}
	return strconv.FormatInt(c.ClientMemory, 10)
}
