package raftnode

import (
	"math"
	"slices"

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
	low   bool      // this node's disk
	left  byteCount // of requests that this node may still take in
	since ticks     // when low began
	// wanted is the size of what was dropped because it was more than left, 0 if
	// nothing was.
	wanted byteCount

	others   map[uint64]shortage // on a leader, what members said last
	handOver ticks               // when the leader looks for a successor again
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
func (c *core) diskChecked(free byteCount, low bool) {
	if c.room.checked(c.now, free, low) {
		c.snapshots.wantNow()
		c.requestSnapshot()
	}
	c.weighRoom()
}

// checked takes over what the disk has. It reports whether that has just become low:
// then a snapshot may make room, as the log before it can go. If it does not fit, it is
// given up.
func (r *room) checked(now ticks, free byteCount, low bool) (snapshot bool) {
	switch {
	case !low:
		r.left = free
	case !r.low:
		r.left, r.since = lowBudget, now
		snapshot = true
	}
	r.low = low
	if r.left >= r.wanted {
		r.wanted = 0
	}
	return snapshot
}

// took notes entries that went into the log.
func (r *room) took(n byteCount) { r.left -= min(r.left, n) }

// fits reports whether this node may take in so much of requests.
func (r *room) fits(n byteCount) bool { return n <= r.left }

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
func requestBytes(m *raftpb.Message) byteCount {
	var size byteCount
	for _, e := range m.GetEntries() {
		if e.GetType() == raftpb.EntryNormal {
			size += bytesOf(e.GetData())
		}
	}
	return size
}

// roomNews is what a message has told a room.
type roomNews uint8

const (
	nothingNew      roomNews = iota
	noRoom                   // the message is to be dropped as if it had been lost
	noRoomAtLast             // the same, for the first time
	refusalChanged           // the leader has writes refused, or not any more
	shortageChanged          // the sender's disk is not what it was
)

// received reads what a message says about space, and sees whether there is room for
// what is in it.
func (r *room) received(at situation, m *raftpb.Message) roomNews {
	switch m.GetType() {
	case raftpb.MsgApp:
		// Empty entries and membership changes are let in whatever the disk says: without
		// them there is no leader to end this, and no way to replace the member.
		if size := requestBytes(m); size > 0 && !r.fits(size) {
			first := r.wanted == 0
			r.wanted = size
			if first {
				return noRoomAtLast
			}
			return noRoom
		}
	case raftpb.MsgHeartbeat:
		// Only the present leader's word counts: one of before does not know better.
		if m.GetFrom() == at.leader && m.GetReject() != r.refusing {
			r.refusing = m.GetReject()
			return refusalChanged
		}
	case raftpb.MsgHeartbeatResp:
		if !at.leads() {
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
		return shortageChanged
	}
	return nothingNew
}

// roomFor reports whether this node has room for a message. If not, it is not stepped:
// the leader sends it again. To step it and not to write it would be to acknowledge
// what a crash takes away.
func (c *core) roomFor(m *raftpb.Message) bool {
	switch c.room.received(c.situation(), m) {
	case noRoom:
		return false
	case noRoomAtLast:
		c.lg.Warn("no room for what the leader sends", zap.Uint64("member", c.id), zap.Uint64("bytes", uint64(requestBytes(m))))
		return false
	case refusalChanged:
		c.publish()
	case shortageChanged:
		said := c.room.others[m.GetFrom()]
		c.lg.Info("a member has told how its disk is", zap.Uint64("member", m.GetFrom()), zap.Bool("low", said != enough),
			zap.Bool("takes requests", said != noSpace))
		c.weighRoom()
	}
	return true
}

// sending writes into a message what there is to say about space. It reports false
// for one that would be dropped at the other end. raft counts such a MsgApp as lost,
// and asks the member again after a heartbeat; a MsgSnap has to be reported as lost.
func (r *room) sending(m *raftpb.Message) bool {
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
		return r.others[m.GetTo()] == enough
	}
	return true
}

// roomPlan is what a leader does about space.
type roomPlan struct {
	handOver bool // to a voter with space
	changed  bool // refusing is not what it was
}

// weigh has a leader decide whether writes go on, and whether it should lead. live are
// the voters that answer, itself included: a majority that does not is no help.
func (r *room) weigh(at situation, voters, live []uint64) roomPlan {
	able, short := 0, false
	for _, id := range voters {
		said := r.others[id]
		if id == at.self {
			said = r.own()
		}
		switch {
		case said != enough:
			short = true
		case slices.Contains(live, id):
			able++
		}
	}
	var plan roomPlan
	majority := able > len(voters)/2
	if r.own() != enough && majority && at.now >= r.handOver {
		// Once in a while: a hand-over stops proposals for up to two election timeouts.
		r.handOver = at.now + 2*at.election + 1
		plan.handOver = true
	}
	refusing := short && !majority || r.low && at.now-r.since > 2*at.election
	plan.changed = refusing != r.refusing
	r.refusing = refusing
	return plan
}

// weighRoom does what weigh asks for.
func (c *core) weighRoom() {
	if !c.isLeader() {
		return
	}
	voters := c.members.voters()
	plan := c.room.weigh(c.situation(), voters, c.live(voters))
	if plan.handOver {
		c.transfer(0, func(err error) {
			if err != nil {
				c.lg.Warn("the disk is nearly full and nobody takes over", zap.Uint64("member", c.id), zap.Error(err))
			}
		})
	}
	if !plan.changed {
		return
	}
	if c.room.refusing {
		c.lg.Warn("writes are refused: too many disks are nearly full", zap.Uint64("member", c.id))
	} else {
		c.lg.Info("writes are accepted again", zap.Uint64("member", c.id))
	}
	c.publish()
}

// leaderChanged forgets what the last leader said, and what was said to it. A new
// one listens for a while before it hands over: to somebody with space.
func (r *room) leaderChanged(at situation) {
	r.refusing, r.others = false, nil
	r.handOver = at.now + at.election/2
}

// unlimited is room for a node that nobody has told about its disk.
func unlimited() room { return room{left: math.MaxUint64} }
