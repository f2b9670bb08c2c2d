package raftnode

import (
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// room is what a member knows about space on its own disk and on those of others.
//
// A member says with its answer to each heartbeat that its disk is low (Reject) or
// that it takes in no more (RejectHint), and a leader says with each heartbeat that
// writes are to be refused (Reject). raft has no use for these fields in these
// messages, and a release that does not know them says nothing by them.
//
// Who does what:
//
//   - The member whose disk is low takes in lowBudget more bytes of requests: what
//     was on its way, so that the log comes to rest. Beyond that it drops what the
//     leader sends, and lags behind, as if it were cut off. It still votes, and takes
//     entries without requests (new terms, membership changes): those are tiny.
//   - A leader whose disk is low hands over to a voter with space.
//   - If the voters with space are no majority, or nobody takes over, the leader has
//     every node refuse its clients' writes. Nothing of them has left the node, so
//     the answer is a certain "not applied".
type room struct {
	low   bool   // this node's disk
	left  uint64 // bytes of requests that this node may still take in
	since uint64 // c.now when low began
	// wanted is the size of what was dropped because it was more than left, 0 if
	// nothing was.
	wanted uint64

	others   map[uint64]shortage // on a leader, what members said last
	handOver uint64              // c.now when the leader looks for a successor again
	refusing bool                // on a leader its decision, else what the leader said
}

// shortage is what a member says about its disk.
type shortage uint8

const (
	enough shortage = iota
	lowSpace
	noSpace // takes in no requests
)

// lowBudget is what a member takes in after its disk has become low. What may be on
// its way is bounded by one entry in flight for each round (Config.MaxEntryBytes),
// and by how long it takes until all members know: one or two heartbeats.
const lowBudget = 16 << 20

// diskChecked takes over what reserve has seen.
func (c *core) diskChecked(free uint64, low bool) {
	r := &c.room
	switch {
	case !low:
		r.left = free
	case !r.low:
		r.left, r.since = lowBudget, c.now
		// It may make room: the log before it can go. If it does not fit, it is
		// given up.
		c.snapshots.wanted, c.snapshots.retryAt = true, 0
		c.requestSnapshot()
	}
	r.low = low
	if r.left >= r.wanted {
		r.wanted = 0
	}
	c.weighRoom()
}

// took notes entries that went into the log.
func (r *room) took(bytes uint64) { r.left -= min(r.left, bytes) }

// fits reports whether this node may take in so many bytes of requests.
func (r *room) fits(bytes uint64) bool { return bytes <= r.left }

// own is what this node says about its disk.
func (r *room) own() shortage {
	switch {
	case r.wanted > 0:
		return noSpace
	case r.low:
		return lowSpace
	default:
		return enough
	}
}

// requestBytes is the size of the requests in a MsgApp.
func requestBytes(m *raftpb.Message) uint64 {
	var size uint64
	for _, e := range m.GetEntries() {
		if e.GetType() == raftpb.EntryNormal {
			size += uint64(len(e.GetData()))
		}
	}
	return size
}

// received reads what a message says about space. It reports false for one that
// this node has no room for: it is dropped as if it had been lost.
func (r *room) received(c *core, m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgApp:
		if size := requestBytes(m); size > 0 && !r.fits(size) {
			if r.wanted == 0 {
				c.lg.Warn("no room for what the leader sends", zap.Uint64("member", c.id), zap.Uint64("bytes", size))
			}
			r.wanted = size
			return false
		}
	case raftpb.MsgHeartbeat:
		if m.GetFrom() == c.soft.Lead && m.GetReject() != r.refusing {
			r.refusing = m.GetReject()
			c.publish()
		}
	case raftpb.MsgHeartbeatResp:
		if !c.isLeader() {
			break
		}
		said := enough
		if m.GetReject() {
			said = lowSpace
		}
		if m.GetRejectHint() > 0 {
			said = noSpace
		}
		if r.others[m.GetFrom()] == said {
			break
		}
		if r.others == nil {
			r.others = map[uint64]shortage{}
		}
		r.others[m.GetFrom()] = said
		c.lg.Info("a member has told how its disk is", zap.Uint64("member", m.GetFrom()), zap.Bool("low", said != enough),
			zap.Bool("takes requests", said != noSpace))
		c.weighRoom()
	}
	return true
}

// sending writes into a message what there is to say about space. It reports false
// for one that would be dropped at the other end.
func (r *room) sending(c *core, m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgHeartbeat:
		if r.refusing {
			m.Reject = new(true)
		}
	case raftpb.MsgHeartbeatResp:
		if s := r.own(); s != enough {
			m.Reject = new(true)
			if s == noSpace {
				m.RejectHint = new(uint64(1))
			}
		}
	case raftpb.MsgApp:
		return r.others[m.GetTo()] != noSpace || requestBytes(m) == 0
	case raftpb.MsgSnap:
		if r.others[m.GetTo()] != enough {
			c.rn.ReportSnapshot(m.GetTo(), raft.SnapshotFailure)
			return false
		}
	}
	return true
}

// weighRoom has a leader decide whether writes go on, and whether it should lead.
func (c *core) weighRoom() {
	r := &c.room
	if !c.isLeader() {
		return
	}
	voters := c.members.voters()
	able, short := 0, false
	for _, id := range voters {
		said := r.others[id]
		if id == c.id {
			said = r.own()
		}
		switch {
		case said != enough:
			short = true
		case c.heardFrom(id):
			able++
		}
	}
	majority := able > len(voters)/2
	if r.own() != enough && majority && c.now >= r.handOver {
		r.handOver = c.now + 2*uint64(c.cfg.ElectionTicks) + 1
		c.transfer(0, func(err error) {
			if err != nil {
				c.lg.Warn("the disk is nearly full and nobody takes over", zap.Uint64("member", c.id), zap.Error(err))
			}
		})
	}
	refusing := short && !majority || r.low && c.now-r.since > 2*uint64(c.cfg.ElectionTicks)
	if refusing == r.refusing {
		return
	}
	r.refusing = refusing
	if refusing {
		c.lg.Warn("writes are refused: too many disks are nearly full", zap.Uint64("member", c.id))
	} else {
		c.lg.Info("writes are accepted again", zap.Uint64("member", c.id))
	}
	c.publish()
}

// leaderChanged forgets what the last leader said, and what was said to it. A new
// one listens for a while before it hands over: to somebody with space.
func (r *room) leaderChanged(c *core) {
	r.refusing, r.others = false, nil
	r.handOver = c.now + uint64(c.cfg.ElectionTicks)/2
}

// unlimited is room for a node that nobody has told about its disk.
func unlimited() room { return room{left: math.MaxUint64} }
