package store

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/machine"
)

const (
	// retryEvery is how often requests in flight are looked at. Nothing runs while
	// there are none.
	retryEvery = 50 * time.Millisecond

	// firstResend: a request that left this node and has not been applied by then
	// is sent again, and again after twice the time each, up to maxResend. It is
	// well above the latency of a loaded cluster, so that sending again does not
	// add to the load; a change of leaders, which is what loses requests, is
	// noticed at once and by itself.
	firstResend = 400 * time.Millisecond
	maxResend   = 1600 * time.Millisecond

	// leaderPatience: what the leader has taken is in its own log, and can hardly
	// get lost while it goes on leading.
	leaderPatience = 4

	// slowest is how many bytes of a request that is on its way have to be replicated
	// in a second: so much longer than others a large one may take.
	slowest = 4 << 20

	// flightOverhead is what a request in flight costs beside its bytes.
	flightOverhead = 256
)

// outbox is the way of this node's requests to the log. It numbers them, sends them
// on proposeC, sends again what may have been lost, and gives up what takes too long.
// It knows of the state machine only what the apply loop tells it (take, lose), and
// has no way to the store's lock.
//
// Each request has one owner for its outcome: who gets its batch out of the window,
// which is the apply loop (take), or the outbox itself when it gives up. So a client
// is answered exactly once.
//
// mu guards the window and what is sent. It is a leaf: it may be taken under Store.mu,
// nothing is taken, waited for or called back under it.
type outbox struct {
	proposeC chan<- *commit.Proposal
	clock    *clock        // for mono, which takes no lock
	member   uint64        // whose requests they are
	timeout  micros        // Config.ProposalTimeout
	limit    int           // Config.MaxPendingBytes
	answer   func(*Batch)  // answers a batch that has been given up; called without mu
	wakeC    chan struct{} // for the retry loop; has room for one
	stopC    chan struct{}
	wg       sync.WaitGroup // the retry loop and the sender

	proposed, resent, overloaded, refused, unknown atomic.Uint64 // see Stats

	// unsure is the highest number of a request whose client was told that its outcome
	// is unknown, refusedBelow the highest floor of this run that the log has: what is
	// below it cannot come true any more. See unsettled.
	unsure, refusedBelow atomic.Uint64

	mu         sync.Mutex
	node       *node // nil before start
	window     inflight
	sender     sender
	retrying   bool   // the retry loop knows that there is something to do
	lastLeader uint64 // the last leader that requests were sent to
	stopped    bool   // nothing is sent any more
}

// sender passes proposals on while proposeC is full, so that nobody else ever
// waits for it.
type sender struct {
	queue   []*commit.Proposal
	bytes   int
	running bool
}

func newOutbox(cfg *Config, c *clock, proposeC chan<- *commit.Proposal, answer func(*Batch)) *outbox {
	return &outbox{
		proposeC: proposeC, clock: c, member: cfg.Member, timeout: microsOf(cfg.ProposalTimeout), limit: cfg.MaxPendingBytes,
		answer: answer, wakeC: make(chan struct{}, 1), stopC: make(chan struct{}), window: newInflight(),
	}
}

// start lets requests out, as those of this run of the node.
func (o *outbox) start(n *node) {
	o.mu.Lock()
	o.node = n
	o.mu.Unlock()
	o.wg.Go(func() { o.runRetry(n) })
}

// propose gives the batch's request its number and sends it. If it says why not, the
// batch is still the caller's, and is counted as refused.
func (o *outbox) propose(b *Batch) Error {
	err := o.admit(b)
	if err != "" {
		o.refused.Add(1)
	}
	return err
}

func (o *outbox) admit(b *Batch) Error {
	if b.request.Len() > commit.MaxRequestBytes {
		return ErrTooBig // the raft node would never take it
	}
	now := o.clock.mono()
	b.size = b.request.Len() + flightOverhead
	o.mu.Lock()
	defer o.mu.Unlock()
	w := &o.window
	switch {
	case o.stopped:
		return ErrStopped
	case o.node == nil:
		return ErrNoLeader
	case !o.room(b):
		o.overloaded.Add(1)
		return ErrBusy
	}
	w.add(b)
	b.proposal = w.arena.proposal(b, b.request.Seal(machine.Head{Origin: o.member, Incarnation: o.node.incarnation, Seq: b.seq, Floor: w.floor}))
	b.sent, b.resent, b.deadline = now, now, now+o.timeout+micros(b.size)*1e6/slowest
	b.backoff = microsOf(firstResend)
	o.proposed.Add(1)
	o.send(b.proposal)
	if !o.retrying {
		o.retrying = true
		o.lastLeader, _ = o.node.Leader()
		signal(o.wakeC)
	}
	return ""
}

// room reports whether the batch may go on its way. A single request of any size may,
// and large ones, which take their time, and the others do not get in each other's way.
// mu is held.
func (o *outbox) room(b *Batch) bool {
	waiting := o.window.bytes + o.sender.bytes
	if b.large() {
		waiting = o.window.largeBytes
	}
	return waiting == 0 || waiting+b.size <= o.limit
}

// send sends p on proposeC, now or as soon as there is room. mu is held: nothing is
// sent once stopped is set, so that proposeC can be closed after close.
func (o *outbox) send(p *commit.Proposal) {
	if !o.sender.running {
		select {
		case o.proposeC <- p:
			return
		default:
		}
		o.sender.running = true
		o.wg.Go(o.runSender)
	}
	o.sender.queue = append(o.sender.queue, p)
	o.sender.bytes += waitingSize(p)
}

// waitingSize is what a proposal that waits to be sent counts for, beside what it
// does as a request in flight.
func waitingSize(p *commit.Proposal) int {
	if len(p.Data) > largeRequest {
		return flightOverhead
	}
	return len(p.Data) + flightOverhead
}

func (o *outbox) runSender() {
	for {
		o.mu.Lock()
		queue := o.sender.queue
		o.sender.queue = nil
		if len(queue) == 0 {
			o.sender.running = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		for _, p := range queue {
			select {
			case o.proposeC <- p:
			case <-o.stopC:
				return
			}
			o.mu.Lock()
			o.sender.bytes -= waitingSize(p)
			o.mu.Unlock()
		}
	}
}

// take takes the request out of the window and returns its batch, nil if it has been
// given up or had its outcome before. Whoever takes it owes the client the answer.
func (o *outbox) take(seq uint64) *Batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.window.take(seq)
}

// open returns the numbers of the requests that have no outcome yet, in order.
func (o *outbox) open() (seqs []uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.window.each(func(b *Batch) { seqs = append(seqs, b.seq) })
	return seqs
}

// lose gives up a request that is in the log and whose reply is lost.
func (o *outbox) lose(seq uint64) {
	if b := o.take(seq); b != nil {
		o.end(b, ErrUnknown)
	}
}

// pending returns how many requests have no outcome yet, and their bytes.
func (o *outbox) pending() (n, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.window.open, o.window.bytes + o.window.largeBytes
}

// runRetry sends requests again and gives up those whose time is over.
func (o *outbox) runRetry(n *node) {
	timer := time.NewTimer(retryEvery)
	timer.Stop()
	for {
		select {
		case <-o.stopC:
			return
		case <-o.wakeC:
			timer.Reset(retryEvery)
		case <-timer.C:
			leader, _ := n.Leader()
			if o.retry(leader) {
				timer.Reset(retryEvery)
			}
		}
	}
}

// retry reports whether there is anything left to look after.
func (o *outbox) retry(leader uint64) bool {
	now := o.clock.mono()
	o.mu.Lock()
	newLeader := leader != 0 && leader != o.lastLeader
	if leader != 0 {
		o.lastLeader = leader
	}
	patience := micros(1)
	if leader == o.member {
		patience = leaderPatience
	}
	var over []*Batch
	o.window.each(func(b *Batch) {
		switch {
		case now >= b.deadline, now-b.sent >= o.timeout && !b.proposal.Taken():
			over = append(over, o.window.take(b.seq))
		case o.sender.running, !b.proposal.Taken():
			// It is still in a queue of this node.
		case newLeader || now-b.resent >= patience*b.backoff:
			b.backoff = min(2*b.backoff, microsOf(maxResend))
			b.resent = now
			o.resent.Add(1)
			b.proposal.Share()
			o.send(b.proposal)
		}
	})
	busy := o.window.open > 0
	o.retrying = busy
	o.mu.Unlock()
	untaken := ErrNotTaken
	if leader == 0 {
		untaken = ErrNoLeader
	}
	for _, b := range over {
		o.abandon(b, untaken)
	}
	return busy
}

// abandon ends a request, which has been taken out of the window, without an applied
// entry. untaken is the answer if it never left this node.
func (o *outbox) abandon(b *Batch, untaken Error) {
	if b.proposal.Withdraw() {
		o.end(b, untaken)
	} else {
		o.end(b, ErrUnknown)
	}
}

// end answers a request that has been taken out of the window with why it came to
// nothing.
func (o *outbox) end(b *Batch, why Error) {
	if why == ErrUnknown {
		o.unknown.Add(1)
		for was := o.unsure.Load(); was < b.seq && !o.unsure.CompareAndSwap(was, b.seq); was = o.unsure.Load() {
		}
	} else {
		o.refused.Add(1)
	}
	b.err = why
	o.answer(b)
}

// applied takes in the floor of a request of this run that is being applied. It is for the
// apply loop alone.
func (o *outbox) applied(floor uint64) {
	if floor > o.refusedBelow.Load() {
		o.refusedBelow.Store(floor)
	}
}

// unsettled reports whether a request that was given up may yet come true. Whatever goes
// through the log from here on comes behind it or ends that; an answer without an entry
// would do neither.
func (o *outbox) unsettled() bool {
	unsure := o.unsure.Load()
	return unsure > 0 && unsure >= o.refusedBelow.Load()
}

// stop gives up everything that is in flight, and lets nothing more out.
func (o *outbox) stop() {
	o.mu.Lock()
	if o.stopped {
		o.mu.Unlock()
		return
	}
	o.stopped = true
	var over []*Batch
	o.window.each(func(b *Batch) { over = append(over, o.window.take(b.seq)) })
	o.mu.Unlock()
	close(o.stopC)
	for _, b := range over {
		o.abandon(b, ErrStopped)
	}
}

// close waits until nothing is sent on proposeC any more. It is called after stop.
func (o *outbox) close() { o.wg.Wait() }
