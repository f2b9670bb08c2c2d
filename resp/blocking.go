package resp

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// Blocking commands never wait in the log. Each is first tried as it stands; if
// it would have to wait, its connection sleeps here until one of the keys is
// touched, and the command is tried again, through the log like any write. So an
// element goes to exactly one client of the whole cluster, whatever becomes of
// nodes and leaders in between, and a client that waits holds nothing.
//
// Who waits on this node for the same thing is served first come, first served:
// waiters stand in a queue for each key and kind of command, and are tried in
// its order. At first the foremost alone is tried, since one element is what
// mostly comes; each success doubles how many are tried together.

// waiter is one blocked command.
type waiter struct {
	c     *conn
	cmd   *cmd
	db    int
	argv  [][]byte // its own copy
	muted bool
	enc   encoder // the reply, once there is one

	// What it cost, in nanoseconds: the first attempt, and the one that served it.
	// answered says that somebody did, rather than its time being up.
	took, served      int64
	blocked, answered bool

	batch  store.Batch // of an attempt; the connection's own does the first one
	timer  *time.Timer
	queues []*waitQueue
	seen   []uint64 // queues' touches when the last attempt began

	// Guarded by waitRoom.mu.
	first    bool // the connection is making the first attempt
	trying   bool
	expired  bool   // the time is up, but an attempt is on its way
	unblock  string // CLIENT UNBLOCK came while an attempt was on its way: the error, or "-"
	gone     bool   // so is the client
	finished bool
}

// queueKey is what waiters compete for: the key and the kind of thing that they
// take from it. Consumers of different groups do not compete.
type queueKey struct {
	db    int
	key   string
	class string
}

type waitQueue struct {
	key     queueKey
	waiters []*waiter // in the order of arrival
	touches atomic.Uint64
	cancel  func() // of store.Notify
	window  int    // how many to try together
	trying  int
	ready   bool // something may have come that has not been tried for
}

// waitRoom is all blocked commands of a node. Its loop is the only one to make
// attempts, so that their order is that of the queues.
type waitRoom struct {
	srv *Server

	mu     sync.Mutex
	queues map[queueKey]*waitQueue
	byConn map[int64]*waiter

	// What has come in for the loop. The store calls back under its own locks, so
	// nothing that holds this one may call the store.
	inbox struct {
		sync.Mutex
		touched []*waitQueue
		tried   []*waiter
		expired []*waiter
	}
	wakeC chan struct{}
}

func newWaitRoom(s *Server) *waitRoom {
	return &waitRoom{srv: s, queues: make(map[queueKey]*waitQueue), byConn: make(map[int64]*waiter), wakeC: make(chan struct{}, 1)}
}

func (r *waitRoom) poke() {
	select {
	case r.wakeC <- struct{}{}:
	default:
	}
}

// run is the loop.
func (r *waitRoom) run() {
	defer r.srv.group.Done()
	for {
		select {
		case <-r.srv.stopC:
			return
		case <-r.wakeC:
		}
		r.inbox.Lock()
		touched, tried, expired := r.inbox.touched, r.inbox.tried, r.inbox.expired
		r.inbox.touched, r.inbox.tried, r.inbox.expired = nil, nil, nil
		r.inbox.Unlock()
		r.mu.Lock()
		for _, w := range tried {
			r.afterTry(w, w.batch.Blocked())
		}
		for _, w := range expired {
			if !w.finished {
				w.expired = true
				r.giveUp(w)
			}
		}
		for _, q := range touched {
			q.ready = true
			r.pump(q)
		}
		r.mu.Unlock()
	}
}

// enter puts a command into its queues before it is tried for the first time,
// so that nothing which is touched from then on is missed. It returns nil if the
// command's arguments are wrong: trying it is all that is left to do. behind
// says that others, who came earlier, are about to be tried: then the loop makes
// the first attempt as well, in their order.
func (r *waitRoom) enter(c *conn, cm *cmd, argv [][]byte) (w *waiter, behind bool) {
	block := cm.spec.Block
	if _, waits, _ := block.Timeout(argv); !waits {
		return nil, false
	}
	if _, err := command.Keys(cm.spec, argv); err != nil {
		return nil, false
	}
	w = &waiter{c: c, muted: c.muted(), cmd: cm, db: c.db, argv: cloneArgs(argv), first: true, trying: true}
	w.enc.stats, w.enc.resp3 = c.enc.stats, c.enc.resp3
	w.batch.Observe = func(_ int, _ *command.Spec, _ [][]byte, took time.Duration) { w.served = int64(max(took, 0)) }
	class := waitClass(cm, w.argv)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range block.Keys(w.argv) {
		q := r.queue(queueKey{w.db, string(key), class})
		if slices.Contains(w.queues, q) {
			continue // a key may be named twice
		}
		behind = behind || len(q.waiters) > 0 && (q.ready || q.trying > 0)
		q.waiters = append(q.waiters, w)
		w.queues = append(w.queues, q)
	}
	r.byConn[c.id] = w
	if behind {
		w.first, w.trying = false, false
		return w, true
	}
	for _, q := range w.queues {
		q.trying++
	}
	w.note()
	return w, false
}

// queue returns a queue, which is opened if need be. mu is held.
func (r *waitRoom) queue(k queueKey) *waitQueue {
	if q := r.queues[k]; q != nil {
		return q
	}
	q := &waitQueue{key: k, window: 1}
	r.queues[k] = q
	q.cancel = r.srv.store.Notify(k.db, [][]byte{[]byte(k.key)}, func() {
		q.touches.Add(1)
		r.touched(q)
	})
	return q
}

func (r *waitRoom) touched(queues ...*waitQueue) {
	r.inbox.Lock()
	for _, q := range queues {
		if !slices.Contains(r.inbox.touched, q) {
			r.inbox.touched = append(r.inbox.touched, q)
		}
	}
	r.inbox.Unlock()
	r.poke()
}

// waitClass says what a command takes: a list's or sorted set's elements, or
// what is new in a stream, for its group.
func waitClass(cm *cmd, argv [][]byte) string {
	class := cm.spec.Group
	if class != "stream" {
		return class
	}
	for i, a := range argv[:len(argv)-1] {
		if strings.EqualFold(string(a), "group") {
			return class + " " + string(argv[i+1])
		}
	}
	return class + " " + strconv.FormatBool(cm.spec.Read != nil)
}

// note remembers what an attempt that begins now will see.
func (w *waiter) note() {
	w.seen = w.seen[:0]
	for _, q := range w.queues {
		w.seen = append(w.seen, q.touches.Load())
	}
}

// firstTried says how the first attempt went, which the connection has made
// itself. It reports whether the command has to wait.
func (r *waitRoom) firstTried(w *waiter, blocked bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.first = false
	if !blocked {
		r.leaveQueues(w)
		delete(r.byConn, w.c.id)
		w.finished = true
		for _, q := range w.queues {
			r.pump(q) // what it has left over may be for others
		}
		return false
	}
	r.startTimer(w)
	r.afterTry(w, true)
	return true
}

// startTimer begins to count the time that a waiter has. mu is held.
func (r *waitRoom) startTimer(w *waiter) {
	ms, _, _ := w.cmd.spec.Block.Timeout(w.argv)
	if ms == 0 {
		return // for ever
	}
	w.timer = time.AfterFunc(time.Duration(min(ms, maxWait.Milliseconds()))*time.Millisecond, func() {
		r.inbox.Lock()
		r.inbox.expired = append(r.inbox.expired, w)
		r.inbox.Unlock()
		r.poke()
	})
}

// maxWait keeps a timeout within what a timer can be set to.
const maxWait = 200 * 365 * 24 * time.Hour

// afterTry goes on when an attempt has ended. mu is held.
func (r *waitRoom) afterTry(w *waiter, blocked bool) {
	w.trying = false
	touched := false
	for i, q := range w.queues {
		q.trying--
		touched = touched || q.touches.Load() != w.seen[i]
		if blocked {
			q.window = 1
		} else {
			q.window = min(2*q.window, 64)
			q.ready = true
		}
	}
	switch {
	case !blocked && w.gone:
		r.putBack(w)
		r.finish(w)
		return
	case !blocked:
		w.answered = true
		r.finish(w)
		return
	case w.gone || w.expired || w.unblock != "":
		r.giveUp(w)
		return
	}
	for _, q := range w.queues {
		q.ready = q.ready || touched
	}
	for _, q := range w.queues {
		r.pump(q)
	}
}

// giveUp ends a wait without an element, unless one may just be on its way. mu
// is held.
func (r *waitRoom) giveUp(w *waiter) {
	if w.trying || w.finished {
		return
	}
	switch {
	case w.gone:
	case w.unblock != "" && w.unblock != "-":
		w.enc.Error(w.unblock)
	default:
		w.enc.NullArray()
	}
	w.answered = w.unblock != ""
	r.finish(w)
}

// finish hands the reply to the connection. mu is held.
func (r *waitRoom) finish(w *waiter) {
	w.finished = true
	if w.timer != nil {
		w.timer.Stop()
	}
	r.leaveQueues(w)
	delete(r.byConn, w.c.id)
	for _, q := range w.queues {
		r.pump(q)
	}
	if !w.gone {
		w.c.signal()
	}
}

// leaveQueues takes a waiter out of its queues, and drops queues that nobody
// stands in any more. mu is held.
func (r *waitRoom) leaveQueues(w *waiter) {
	for _, q := range w.queues {
		if w.trying {
			q.trying--
		}
		if i := slices.Index(q.waiters, w); i >= 0 {
			q.waiters = slices.Delete(q.waiters, i, i+1)
		}
		if len(q.waiters) == 0 && r.queues[q.key] == q {
			delete(r.queues, q.key)
			q.cancel()
		}
	}
	w.trying = false
}

// pump tries the foremost of a queue if something may have come for them. mu is
// held.
func (r *waitRoom) pump(q *waitQueue) {
	if !q.ready || q.trying > 0 || len(q.waiters) == 0 {
		return
	}
	q.ready = false
	n := q.window
	for _, w := range slices.Clone(q.waiters) {
		if w.finished || w.trying {
			continue
		}
		if w.cmd.spec.Read != nil {
			r.tryRead(w) // takes nothing from those behind it
			continue
		}
		r.tryWrite(w)
		if n--; n == 0 {
			return
		}
	}
}

func (r *waitRoom) begin(w *waiter) {
	w.trying = true
	for _, q := range w.queues {
		q.trying++
	}
	w.note()
	w.enc.buf, w.enc.errs = w.enc.buf[:0], 0
}

func (r *waitRoom) tryWrite(w *waiter) {
	r.begin(w)
	w.batch.Reset()
	w.batch.WriteBlocking(w.db, w.cmd.spec, w.argv, true)
	r.srv.store.Submit(&w.batch, &w.enc, func() {
		r.inbox.Lock()
		r.inbox.tried = append(r.inbox.tried, w)
		r.inbox.Unlock()
		r.poke()
	})
}

// tryRead tries a command that only reads, on this node's state.
func (r *waitRoom) tryRead(w *waiter) {
	w.note()
	w.enc.buf, w.enc.errs = w.enc.buf[:0], 0
	reader := r.srv.store.BeginRead()
	defer reader.End()
	defer r.srv.recovered("command "+w.cmd.name, w.c.link.kill)
	began := r.srv.nanotime()
	if next := reader.DoBlocking(w.db, w.cmd.spec, w.argv, &w.enc, true); next != nil {
		w.argv = next
		return
	}
	w.served, w.answered = r.srv.nanotime()-began, true
	r.finish(w)
}

// leave says that the client has gone. An attempt that is on its way may still
// take something for it: that is put back.
func (r *waitRoom) leave(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.gone = true
	if w.first {
		// Nobody is there any more to say how that went.
		r.finish(w)
		return
	}
	r.giveUp(w)
}

// askUnblock is CLIENT UNBLOCK. It reports whether the client was blocked.
func (r *waitRoom) askUnblock(id int64, asError bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.byConn[id]
	if w == nil || w.finished || w.first {
		return false
	}
	w.unblock = "-"
	if asError {
		w.unblock = errUnblocked
	}
	r.giveUp(w)
	return true
}

// blocking runs a command that may have to wait. A write of that kind travels
// alone: what follows in the pipeline has to wait for it anyway.
func (c *conn) blocking(cm *cmd, argv [][]byte) (again bool) {
	if c.batch.Len() > 0 {
		c.submit()
		return true
	}
	room := c.srv.blocked
	// Before it stands in a queue: from then on its turn may come at any moment.
	c.wait(forKeys)
	w, behind := room.enter(c, cm, argv)
	if w == nil {
		c.state = forNothing
	}
	c.last = cm
	switch {
	case w == nil && cm.spec.Read != nil:
		c.beginRead()
		c.readNow(cm, argv)
		return false
	case w == nil:
		c.batchMuted = c.muted()
		c.addSent(cm)
		c.batch.Write(c.db, cm.spec, argv)
		c.submit()
		return false
	}
	c.block = w
	switch {
	case behind:
		c.startedWaiting(w, argv, 0)
		room.join(w)
	case cm.spec.Read != nil:
		c.beginRead()
		next := c.reader.DoBlocking(c.db, cm.spec, w.argv, &w.enc, false)
		c.endRead()
		if next != nil {
			c.startedWaiting(w, argv, c.lap())
			w.argv = next
		} else {
			c.ran(cm, argv, c.db, c.lap(), w.enc.errs > 0)
		}
		if !room.firstTried(w, next != nil) {
			c.over.Store(true)
			c.afterWait()
		}
	default:
		c.addSent(cm)
		c.batch.WriteBlocking(c.db, cm.spec, w.argv, false)
		c.submitTo(&w.enc)
	}
	return false
}

// join lets the loop make the first attempt for a command that stands behind
// others.
func (r *waitRoom) join(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !w.finished { // the others' turn may have been its own already
		r.startTimer(w)
	}
	r.touched(w.queues...)
}

// afterFirst goes on when the first attempt of a blocking write has ended.
func (c *conn) afterFirst(blocked bool) bool {
	c.wait(forKeys)
	if !c.srv.blocked.firstTried(c.block, blocked) {
		c.over.Store(true)
	}
	return c.afterWait()
}

// afterWait takes the reply of a blocking command if there is one by now. It
// reports whether commands may go on.
func (c *conn) afterWait() bool {
	if !c.over.Load() {
		return false
	}
	w := c.block
	c.block, c.state = nil, forNothing
	if w.blocked && w.answered {
		c.servedLater(w)
	}
	if !w.muted {
		c.enc.raw(w.enc.buf)
	}
	return true
}
