package resp

import (
	"sync/atomic"

	"go.uber.org/zap"
)

// output is the replies that wait for the client to take them, behind those that the
// driver holds: blocks, each of which is let go when it is sent. (One buffer for all
// of them would have to be copied whenever it grows, and be held until the last byte.)
// What the encoder has is the block to come.
//
// The counts are for others to look at: CLIENT LIST, the limits, the end of the server.
type output struct {
	blocks [][]byte

	unsent atomic.Int64 // bytes of blocks and of what the driver holds
	memory atomic.Int64 // what these take: a block is held until all of it is sent
	count  atomic.Int64 // blocks, with the driver's
	owed   atomic.Int64 // bytes in the encoder, as of the last run
	large  atomic.Bool  // memory has been more than largeOutput since it was last 0

	softFrom atomic.Int64 // since when the soft limit has been exceeded, ms
	over     atomic.Bool  // a limit was exceeded: the client is being closed
}

// blockOverhead is what Redis counts for each block beside its bytes.
const blockOverhead = 40

// largeOutput is how much memory of one client is worth giving back at once.
const largeOutput = 32 << 20

// staticReply is how many bytes Redis answers from a buffer that is part of the client.
// They are not in omem, and no limit applies to them.
const staticReply = 16 * 1024

// gather makes a block of the replies so far, if they are many: so that they need not
// be copied when others join them.
func (c *conn) gather() {
	if c.state == forBatch || c.state == forTask || c.state == forAudience || len(c.sink.client.Buf) < flushAt || c.out.unsent.Load() == 0 {
		return // nothing is in their way, or somebody is adding to them
	}
	c.out.blocks = append(c.out.blocks, c.sink.client.Buf)
	c.out.add(c.sink.client.Buf)
	c.sink.client.Buf = nil
}

func (o *output) add(block []byte) {
	o.unsent.Add(int64(len(block)))
	if o.memory.Add(int64(cap(block))) > largeOutput {
		o.large.Store(true)
	}
	o.count.Add(1)
}

// Output hands the next block to the driver, which reports with Sent and BlockSent what
// becomes of it, and gives a buffer to go on with. It returns nil if there is none, or
// if it is not to be touched now because the store is adding to it, or sent.
func (c *conn) Output(spare []byte) []byte {
	o := &c.out
	if len(o.blocks) > 0 {
		block := o.blocks[0]
		o.blocks[0] = nil
		if o.blocks = o.blocks[1:]; len(o.blocks) == 0 {
			o.blocks = nil
		}
		return block
	}
	if c.state == forBatch || c.state == forTask || c.state == forAudience || len(c.sink.client.Buf) == 0 {
		return nil
	}
	block := c.sink.client.Buf
	c.sink.client.Buf = spare[:0]
	o.add(block)
	o.owed.Store(0)
	return block
}

// Sent says that n bytes of the driver's block are on their way. From any goroutine.
func (c *conn) Sent(n int) {
	c.srv.stats.writes.Add(1)
	c.srv.stats.netOut.Add(int64(n))
	c.out.unsent.Add(-int64(n))
}

// BlockSent says that all of the driver's block is. From any goroutine.
func (c *conn) BlockSent(block []byte) {
	o := &c.out
	o.count.Add(-1)
	if o.memory.Add(-int64(cap(block))) == 0 && o.large.Load() {
		o.large.Store(false)
		c.srv.opts.Freed()
	}
}

// pending says how many bytes the client has not taken, in CLIENT LIST's terms: obl of
// them in the static buffer, or the list of replies has oll blocks, which take omem
// bytes. From any goroutine.
func (c *conn) pending() (obl, oll, omem int64) {
	o := &c.out
	owed := o.owed.Load() + c.push.size() + c.invalid.bytes.Load()
	if bytes := o.unsent.Load() + owed; bytes <= staticReply {
		return bytes, 0, 0
	}
	oll, omem = o.count.Load(), o.memory.Load()+owed
	if owed > 0 {
		oll++
	}
	return 0, oll, omem + oll*blockOverhead
}

// overOutputLimit reports whether too many replies wait for the client, as
// client-output-buffer-limit says, and logs it. From any goroutine. (A client that
// asked for MONITOR is a normal one.) verdict is how Redis ends the line in its log.
func (c *conn) overOutputLimit(verdict string) bool {
	limit := c.srv.config().OutputLimits.Normal
	if c.listens.Load() {
		limit = c.srv.config().OutputLimits.PubSub
	}
	if limit.Hard == 0 && limit.Soft == 0 {
		return false
	}
	_, _, used := c.pending()
	if !limit.exceeded(used, &c.out.softFrom, c.srv.coarse.Load()) {
		return false
	}
	if !c.out.over.CompareAndSwap(false, true) {
		return true
	}
	c.srv.stats.outputKill.Add(1)
	c.srv.log.Warn("Client "+c.info(c.srv.now())+" "+verdict+" for overcoming of output buffer limits.", zap.Int64("id", c.id))
	return true
}

// The verdicts: where the limit is noticed as replies are written, and by cron.
const (
	closedSoon = "scheduled to be closed ASAP"
	closedNow  = "closed"
)

// exceeded reports whether used bytes are more than the limit allows, now (ms). from
// holds since when they have been above the soft limit.
func (l OutputLimit) exceeded(used int64, from *atomic.Int64, now int64) bool {
	if l.Soft == 0 || used < l.Soft {
		from.Store(0)
	} else if !from.CompareAndSwap(0, now) && now/1000-from.Load()/1000 > l.SoftSeconds {
		return true
	}
	return l.Hard > 0 && used >= l.Hard
}
