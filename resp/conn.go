package resp

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/resp/driver"
	"github.com/raftredis/raftredis/resp/wire"
	"github.com/raftredis/raftredis/store"
)

// waiting says what a connection waits for before it takes another command.
type waiting uint8

const (
	forNothing  waiting = iota
	forBatch            // the outcome of the writes it has submitted
	forBarrier          // the point from which reads are linearizable
	forTask             // a command that runs on a goroutine of its own
	forPause            // the end of CLIENT PAUSE
	forKeys             // a blocking command's keys
	forAudience         // its subscriptions to be in force
)

// conn is one client: a state machine with bytes going in and bytes coming out
// and no input or output of its own. A driver owns it: it calls Received with
// what it has read, Resume after a wake, and sends what Output returns. All of
// that happens on one goroutine at a time.
//
// While a batch is on its way, the store owns sink and batch, and a task on its
// own goroutine owns the whole connection; run returns at once then.
type conn struct {
	srv     *Server
	id      int64
	link    driver.Link
	addr    string // of the client, host:port
	laddr   string // ours
	fd      int
	isLocal bool // the client is on this host
	tls     bool // it speaks TLS, and is told of others' TLS ports
	created time.Time

	input

	enc   *wire.Encoder // where the command being run answers: sink's to say
	sink  sink
	state waiting
	gone  atomic.Bool // the driver has let go of it
	over  atomic.Bool // what the connection waits for has come

	serving bool // the node answers clients, as of this run; otherwise it is LOADING
	closing bool // no more commands; send what there is and close
	dead    bool // close at once

	// What commands set.
	db                  int
	name                string
	who                 identity
	libName, libVersion string
	linear              bool // this connection's reads are linearizable
	modeSet             bool // by READONLY or READWRITE; otherwise the directive says
	noEvict             bool
	noTouch             bool        // reads are no use of the keys
	noted               int64       // memory, as of the last noteMemory
	evicted             atomic.Bool // for its memory: it is being closed
	debugging           bool        // SCRIPT DEBUG
	redirects           bool        // the client wants to be sent to the leader, rather than its requests
	monitor             bool
	subscriber          store.Subscriber
	listen              listening
	listens             atomic.Bool // it subscribes to something: for others to look at
	multi               transaction
	block               atomic.Pointer[waiter] // the blocking command that it waits with
	after               []*later               // what an EXEC on its way leaves to be run afterwards
	executing           bool                   // commands of a transaction are being run
	toWrite             *longWrite             // what a long script has left to be done
	backup              atomic.Pointer[backup] // that the client is reading
	startTask           func()                 // to be started as a goroutine when run ends

	// Writes of this pipeline, and the commands behind them.
	batch   store.Batch
	batchTo *wire.Encoder  // where all of them are answered
	attempt *store.Attempt // the command is that of a ONCE

	reads
	record
	out output

	tracking tracking
	invalid  invalidations

	push pushQueue
	face face
}

// face is what others see of a connection: CLIENT LIST, the idle timeout. The
// connection updates it after each run over its input.
type face struct {
	mu       sync.Mutex
	name     string
	user     string
	db       int
	resp     int
	multi    int // commands queued, -1 outside of MULTI
	multiMem int
	qbuf     int
	qbufFree int
	argvMem  int
	output   int
	flags    string
	redirect int64
	lastCmd  *cmd
	active   int64 // ms
	blocked  bool  // it waits for keys, or is paused
	paused   bool
	subs     [3]int // channels, patterns, shard channels
	working  bool   // has input to answer, or replies to send
}

// listens reports whether the client has subscribed to anything. mu is held.
func (f *face) listens() bool { return f.subs != [3]int{} }

func newConn(s *Server, l driver.Link, addr, laddr string, fd int, isLocal bool) *conn {
	c := &conn{
		srv: s, id: s.nextID.Add(1), link: l,
		addr: addr, laddr: laddr, fd: fd, isLocal: isLocal,
		created: s.now(),
	}
	c.sink.client.OnError = s.stats.errorReply
	c.sink.nobody.OnError = c.sink.client.OnError
	c.enc = &c.sink.client
	c.record.srv = s
	c.batch.Observer = (*batchObserver)(c)
	c.beDefault()
	c.publish()
	return c
}

// Admit adds the connection to those that CLIENT LIST shows.
func (c *conn) Admit() bool { return c.srv.remember(c) }

// ReadInto returns where the driver is to read to: shared, if nothing is left
// of earlier input, or the connection's own buffer.
func (c *conn) ReadInto(shared []byte) []byte {
	if c.r == c.w && c.state == forNothing && c.need <= len(shared) {
		c.borrow(shared)
		return shared
	}
	c.makeRoom()
	return c.in[c.w:]
}

// Received says that the driver has read n bytes to where ReadInto said, and
// runs the commands in them.
func (c *conn) Received(n int) {
	c.grew(n)
	c.srv.stats.netIn.Add(int64(n))
	c.srv.stats.reads.Add(1)
	c.run()
	c.settle()
}

// Resume goes on after a wake, or where commands have made room for others.
func (c *conn) Resume() {
	c.run()
	c.settle()
}

// settle lets go of buffers that are not needed, and of the driver's.
func (c *conn) settle() {
	c.keep()
	if c.state == forNothing {
		c.sink.nobody.Buf = nil
	}
}

func (c *conn) ownedByOthers() bool {
	return (c.state == forBatch || c.state == forTask) && !c.over.Load()
}

// reads is what a connection's reads have in common.
type reads struct {
	// Those that share one hold of the store's lock.
	reader    store.Reader
	reading   bool
	readsLeft int
	ahead     int      // reads that lookAhead has seen and that have not run yet
	peeked    [][]byte // the arguments of a command that restVain looks at
	doubt     doubt

	// The last barrier: commands received before it began see what it covers.
	coveredTo  int64
	barrierErr error
}

// runnable reports whether there is input that run stopped in the middle of.
func (c *conn) runnable() bool {
	return c.state == forNothing && c.r < c.w && c.need == 0 && !c.closing && !c.dead
}

// Intent is asked for after run and Output. While a client is blocked or a task
// runs, its connection still wants to be read, up to a point, if only to see the
// client leave. (A batch comes to its end by itself.)
func (c *conn) Intent() driver.Intent {
	switch {
	case c.ownedByOthers() && (c.state == forBatch || c.w-c.r >= readAhead):
		return driver.ToWait
	case c.ownedByOthers():
		return driver.ToRead
	case c.dead:
		return driver.ToDie
	case c.closing && c.state == forNothing:
		return driver.ToClose
	case c.runnable():
		return driver.ToRun
	case c.state == forNothing:
		return driver.ToRead
	case (c.state == forKeys || c.state == forPause) && c.w-c.r >= readAhead:
		return driver.ToWait
	case c.state == forKeys || c.state == forPause:
		return driver.ToRead
	case c.state == forAudience && !c.over.Load():
		if c.w-c.r >= readAhead {
			return driver.ToWait
		}
		return driver.ToRead
	case c.state == forBarrier && !c.over.Load():
		return driver.ToWait // like a batch, it comes to its end by itself
	default:
		return driver.ToRun // what it waited for has come already
	}
}

// wait puts the connection to sleep until signal is called.
func (c *conn) wait(w waiting) {
	c.over.Store(false)
	c.state = w
}

// signal ends a wait. It may be called by any goroutine, once for each wait.
func (c *conn) signal() {
	c.over.Store(true)
	if c.gone.Load() {
		c.lastStats()
	}
	c.link.Wake()
}

// beginRead takes the store's read lock for the next few reads.
func (c *conn) beginRead() {
	if !c.reading {
		c.reader = c.srv.store.BeginRead()
		c.reading, c.readsLeft = true, readsPerLock
		c.clock = c.srv.nanotime() // waiting for the lock is not executing
	}
}

func (c *conn) endRead() {
	if c.reading {
		c.reading = false
		c.endTogether()
		c.reader.End()
	}
}

// submit sends the batch on its way. Its replies go straight into its sink.
func (c *conn) submit() {
	c.endRead()
	c.endStats()
	c.errsSeen, c.sentAt = c.batchTo.Errs, c.srv.nanotime()
	c.wait(forBatch)
	c.srv.store.Submit(&c.batch, c.batchTo, c.signal)
}

// Abandon is the driver's last word after a panic or a broken connection.
func (c *conn) Abandon() {
	c.gone.Store(true)
	if !c.ownedByOthers() {
		c.endRead()
		c.lastStats()
	}
	if w := c.block.Load(); w != nil {
		c.srv.store.Leave(&w.wait)
	}
	c.srv.clientsHold.Add(-c.noted)
	c.srv.store.Unwatch(c.multi.watched)
	c.srv.store.Unlisten(&c.subscriber, true)
	c.srv.forget(c)
	if c.state != forTask || c.over.Load() {
		c.abandonTracking()
		c.endBackup()
	}
}

// publish updates what others see.
func (c *conn) publish() {
	f := &c.face
	f.mu.Lock()
	f.name, f.user, f.db, f.resp = c.name, c.who.policy.User.Name, c.db, 2
	if c.enc.RESP3() {
		f.resp = 3
	}
	f.multi, f.multiMem = -1, 0
	if c.multi.on {
		f.multi, f.multiMem = len(c.multi.queue), c.multi.bytes
	}
	f.qbuf, f.qbufFree = c.w-c.r, 0
	if !c.borrowed {
		f.qbufFree = len(c.in) - c.w
	}
	f.flags, f.redirect = c.flags(), c.redirection()
	if !c.ownedByOthers() {
		f.output = cap(c.sink.client.Buf)
		c.out.owed.Store(int64(len(c.sink.client.Buf)))
	}
	if c.last != nil {
		f.lastCmd = c.last
	}
	f.active = c.srv.coarse.Load()
	f.blocked, f.paused = c.state == forKeys || c.state == forPause, c.state == forPause
	f.subs = c.listen.counts
	f.working = c.state == forBatch || c.state == forBarrier || c.state == forTask || c.state == forAudience || c.runnable()
	f.mu.Unlock()
}

// flags are CLIENT LIST's letters.
func (c *conn) flags() string {
	if !c.monitor && c.listen.total() == 0 && !c.multi.on && !c.linear && !c.noEvict && !c.noTouch && !c.closing && !c.tracking.on && c.state != forKeys && c.state != forPause {
		return "N" // the common case, without an allocation
	}
	var f []byte
	if c.monitor {
		f = append(f, 'O')
	}
	if c.listen.total() > 0 {
		f = append(f, 'P')
	}
	if c.multi.on {
		f = append(f, 'x')
	}
	if c.state == forKeys || c.state == forPause {
		f = append(f, 'b')
	}
	f = c.trackingFlags(f)
	if c.closing {
		f = append(f, 'c')
	}
	if c.noEvict {
		f = append(f, 'e')
	}
	if c.noTouch {
		f = append(f, 'T')
	}
	if len(f) == 0 {
		return "N"
	}
	return string(f)
}
