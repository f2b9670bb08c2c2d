package raftnode

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// runRaft is the raft goroutine. It owns the core, and it never waits for a disk,
// for the network or for the store.
func (n *Node) runRaft(c *core, proposeC <-chan *commit.Proposal) {
	n.loop(c, proposeC)

	// Once it has failed, the core may not be what it should be: then nothing of it is
	// written any more.
	if !n.failed() {
		c.flush()
	}
	// In this order: the storage goroutine still writes what is queued, and only then
	// are the files closed under it.
	close(n.endC)
	<-n.storageC
	n.wg.Wait()
	n.ended(n.release())
}

// loop takes one input after another until the node is to end. After each, core.run does
// everything that follows from it: nothing waits for the next input that could be on
// its way to the disk or to other members.
func (n *Node) loop(c *core, proposeC <-chan *commit.Proposal) {
	defer func() {
		if r := recover(); r != nil {
			// raft panics when an invariant is broken. The process is main's to
			// end, and the log is safe: nothing goes on from here.
			n.cfg.Logger.Error("raft panicked", zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
			n.stop(fmt.Errorf("%w (data directory %s)", brokenInvariant(n.cfg.ID, fmt.Sprint(r)), n.cfg.Dir))
		}
	}()
	ticker := time.NewTicker(n.cfg.TickInterval)
	defer ticker.Stop()
	stopC := n.stopC
	var handedOverC chan struct{} // not nil while stopping

	// Held commit indexes are sent when the timer finds those that it was set for.
	// It is not stopped when they have become superfluous: under load that would be
	// done for every entry.
	release := time.NewTimer(0)
	<-release.C
	defer release.Stop()
	var armed bool
	var armedFor uint64

	// The same for requests that wait for others.
	gather := time.NewTimer(0)
	<-gather.C
	defer gather.Stop()
	var gatherFor uint64

	c.run()
	for {
		if g := &c.proposals.gather; g.want > 0 && gatherFor != g.turn {
			gatherFor = g.turn
			gather.Reset(n.cfg.GatherDelay)
		}
		if !armed && len(c.traffic.held) > 0 {
			armed, armedFor = true, c.traffic.turn
			release.Reset(n.cfg.CommitDelay)
		}
		// A nil channel is never ready: without a batch nothing is offered, and without
		// room nothing is taken. A store that is slow, or a disk, is never waited for.
		var commitC chan<- *commit.Batch
		head, ok := c.applying.head()
		if ok {
			commitC = n.commitC
		}
		// Clients wait in front of a node that has enough: to take more in would be to
		// hold what may never be sent. A nil channel is never received from.
		takeC := proposeC
		if c.proposals.full() {
			takeC = nil
		}
		tick := false
		select {
		case <-n.inbox.readyC:
		case commitC <- head: // in the order of the log: only the head is ever offered
			c.sentHead()
		case p, ok := <-takeC:
			if ok {
				c.offer(p)
				n.takeMore(c, proposeC)
				break
			}
			proposeC = nil // closed: main wants the node to stop
			n.stopOnce.Do(func() { close(n.stopC) })
		case <-c.applying.doneC():
			c.applied()
		case <-release.C:
			armed = false
			if armedFor == c.traffic.turn {
				c.release()
			}
		case <-gather.C:
			c.proposals.gather.timeUp(gatherFor)
		case <-ticker.C:
			// Not yet: what has arrived goes first. After a pause (a suspended machine, a
			// long collection) the tick and a leader's heartbeats are there together, and
			// the other way round this member would stand for election against a leader
			// that is well.
			tick = true
		case <-stopC:
			// The loop goes on until leadership is handed over: that takes messages.
			stopC, proposeC = nil, nil
			handedOverC = n.handOver(c)
		case <-handedOverC:
			return
		case <-n.failC:
			return // at once: whatever was not written is not claimed, either
		}
		// All that has come meanwhile, whatever the select has picked: acknowledgements
		// that arrive together are one round. In their order: an answer of the storage
		// must not overtake another.
		for _, in := range n.inbox.take() {
			if in.msg != nil {
				c.step(in.msg)
			} else {
				in.fn(c)
			}
		}
		if tick {
			c.tick()
		}
		c.run()
	}
}

// takeMore receives what else is waiting on proposeC: it will share an entry.
func (n *Node) takeMore(c *core, proposeC <-chan *commit.Proposal) {
	for !c.proposals.full() {
		select {
		case p, ok := <-proposeC:
			if !ok {
				return // the loop will see it
			}
			c.offer(p)
		default:
			return
		}
	}
}

// handOver makes another member the leader, if this one is and there is another.
// The channel closes when that is done or hopeless.
func (n *Node) handOver(c *core) chan struct{} {
	doneC := make(chan struct{})
	if !c.isLeader() || len(c.members.voters()) < 2 {
		close(doneC)
		return doneC
	}
	c.transfer(0, func(err error) {
		if err != nil {
			n.cfg.Logger.Warn("stopping without a successor", zap.Error(err))
		}
		close(doneC)
	})
	return doneC
}

// runStorage is the storage goroutine. It is the one that may say "durable": responses
// leave it only behind the sync of what they are about. An error ends the node and is
// never tried again, because after a failed sync the system may have dropped the pages,
// and the next one would succeed without them.
func (n *Node) runStorage(s *storer) {
	defer close(n.storageC)
	for {
		works := n.queue.take()
		if len(works) == 0 {
			select {
			case <-n.queue.readyC:
				continue
			case <-n.endC:
				// What was queued before the raft goroutine ended is written; nobody
				// is left to care for the responses.
				if works = n.queue.take(); len(works) == 0 || n.failed() {
					return
				}
				if _, err := s.process(works); err != nil {
					n.stop(err)
				}
				return
			}
		}
		// The disk may keep this thread's share of the CPU for a while, and the
		// messages that the raft goroutine has just handed over should be on their
		// way before: let their writers go first.
		runtime.Gosched()
		out, err := s.process(works)
		if err != nil {
			// Nothing of out is delivered: part of it may not be durable. The node ends.
			n.stop(err)
			return
		}
		if err := n.promiseLog(s); err != nil {
			n.stop(err)
			return
		}
		// Now all of it is durable, and who waits for it may know. Then the queue is idle,
		// not before: what is said without passing through here (storeAppend) must not
		// overtake what is said here.
		n.respond(out)
		n.queue.done.Add(uint64(len(works)))
		if len(out.snapshots) > 0 {
			select {
			case n.purgeC <- struct{}{}:
			default:
			}
		}
	}
}

// promiseLog notes, once in a directory's life, that its log is not empty any more:
// before anybody is told, so that a log that is lost later is missed. A member that
// came back empty under its old id would vote and acknowledge as if it had never
// promised anything, and a majority could forget what was acknowledged.
func (n *Node) promiseLog(s *storer) error {
	n.originMu.Lock()
	defer n.originMu.Unlock()
	if n.origin.HasLog {
		return nil
	}
	last, err := s.log.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	// The entries are durable already. If the process ends here, the next start finds a
	// log without the note, and makes it before anything else (node.go).
	n.origin.HasLog = true
	return n.origin.write(&n.cfg)
}

// respond delivers what had to wait for the disk. Messages to other members need
// not pass through the raft goroutine again.
func (n *Node) respond(out stored) {
	var self, others []*raftpb.Message
	// Acknowledgements and votes for others: each is true now, whatever happens to the
	// raft goroutine meanwhile. What is for this member itself must be stepped in order
	// with all else that it is told.
	for _, m := range out.responses {
		if m.GetTo() == n.cfg.ID {
			self = append(self, m)
		} else {
			others = append(others, m)
		}
	}
	// The others first: a vote or an acknowledgement that somebody waits for.
	if len(others) > 0 {
		n.network.send(others)
	}
	for _, s := range out.snapshots {
		n.inbox.run(func(c *core) {
			d, err := decodeDescriptor(s.GetData())
			if err != nil {
				n.stop(err)
				return
			}
			c.snapshotSaved(s, d.BodySize)
		})
	}
	for _, f := range out.failed {
		n.inbox.run(func(c *core) { c.snapshotFailed(f.index, f.err) })
	}
	// Never dropped, however much waits: raft would wait for them for ever.
	if len(self) > 0 {
		n.inbox.deliver(self)
	}
}

func (n *Node) failed() bool {
	select {
	case <-n.failC:
		return true
	default:
		return false
	}
}

// send implements environment.
func (n *Node) send(msgs []*raftpb.Message) {
	for i, m := range msgs {
		if m.GetType() != raftpb.MsgSnap {
			continue
		}
		// Rare: split the slice around it, and open the file elsewhere.
		n.network.send(msgs[:i])
		n.spawn(func() {
			n.network.sendSnapshot(m, func(s raft.SnapshotStatus) { receiver{n}.ReportSnapshot(m.GetTo(), s) })
		})
		n.send(msgs[i+1:])
		return
	}
	if len(msgs) > 0 {
		n.network.send(msgs)
	}
}

// store, storeIdle, reachable, link, relink, unlink and publish implement
// environment.
func (n *Node) store(w storageWork)      { n.queue.put(w) }
func (n *Node) storeIdle() bool          { return n.queue.idle() }
func (n *Node) reachable(id uint64) bool { return n.network.reachable(id) }
func (n *Node) link(m commit.Member)     { n.network.link(m) }
func (n *Node) relink(m commit.Member)   { n.network.relink(m) }
func (n *Node) unlink(id uint64)         { n.network.unlink(id) }

func (n *Node) publish(v view) { n.view.Store(&v) }

// writeBody implements environment.
func (n *Node) writeBody(p pendingSnapshot) {
	n.spawn(func() {
		var got commit.Capture
		select {
		case got = <-p.captureC:
		case <-n.endC:
			return
		}
		if got.Release != nil {
			defer got.Release()
		}
		defer n.cfg.LongWork()()
		size, crc, err := writeBody(&n.cfg, p, got, n.reserve.checkBody, n.endC)
		n.inbox.run(func(c *core) { c.bodyWritten(p, size, crc, err) })
	})
}

// runPurge removes old files after each snapshot. What that is, it finds out from the
// names on the disk and from what was released: see disk.purge.
func (n *Node) runPurge() {
	for {
		select {
		case <-n.purgeC:
			done := n.cfg.LongWork()
			err := n.disk.purge()
			done()
			if err != nil {
				n.stop(err)
				return
			}
		case <-n.endC:
			return
		}
	}
}

// runSyncs syncs the WAL once a second. An error ends the node like any other of the
// log's: what was acknowledged in that second may be gone, and nobody can tell.
func (n *Node) runSyncs() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := n.disk.log.sync(); err != nil {
				n.stop(err)
				return
			}
		case <-n.endC:
			return
		}
	}
}

// watchTransport learns from the other members that this one was removed. They say so
// only when the removal is settled; what this node has applied itself is no proof
// (settle.go).
func (n *Node) watchTransport(errorC <-chan error) {
	select {
	case err := <-errorC:
		n.cfg.Logger.Warn("other members refuse this one", zap.Error(err))
		n.stop(ErrRemoved)
	case <-n.endC:
	}
}

// runAnnounce tells the cluster where clients reach this node, if it does not know.
// Where members reach it, only an operator may change (RAFT UPDATE): the node itself
// may have been started with an old list.
func (n *Node) runAnnounce() {
	ticker := time.NewTicker(n.cfg.TickInterval * time.Duration(n.cfg.ElectionTicks) / 2)
	defer ticker.Stop()
	for {
		v := n.view.Load()
		m, ok := v.members.members[n.cfg.ID]
		self := commit.Member{ID: n.cfg.ID, ClientAddr: n.cfg.ClientAddr, ClientTLSPort: n.cfg.ClientTLSPort, Hostname: n.cfg.Hostname}
		stale := ok && !announces(m, self)
		if stale && v.leader != 0 {
			ctx, cancel := context.WithTimeout(context.Background(), n.cfg.ConfChangeTimeout)
			err := n.changeMembership(ctx, change{Op: commit.Update, Member: self})
			cancel()
			if err != nil {
				n.cfg.Logger.Debug("addresses not announced yet", zap.Error(err))
			}
		}
		select {
		case <-ticker.C:
		case <-n.endC:
			return
		}
	}
}
