package raftnode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// incoming is the latest snapshot that a leader has begun to send to this node.
// It is known from the first bytes of the transfer on: for as long as the rest
// takes, and until the store has loaded it, this node's state is older than what
// the leader had long committed, and whoever serves clients has to know. It stays
// known if the transfer fails: the node is no less behind for that.
type incoming struct {
	tasks  *commit.Tasks
	latest atomic.Pointer[transfer]
}

type transfer struct {
	index    uint64
	total    int64 // bytes of the body
	received atomic.Int64
	lastIO   atomic.Int64 // ns since 1970
}

// Incoming returns the latest snapshot that was sent to this node, whether all of
// it is there or not; the zero Transfer if there was none. It costs a few atomic
// loads.
func (n *Node) Incoming() commit.Transfer {
	t := n.incoming.latest.Load()
	if t == nil {
		return commit.Transfer{}
	}
	return commit.Transfer{Index: t.index, Total: t.total, Received: t.received.Load(), LastIO: time.Unix(0, t.lastIO.Load())}
}

// maxEnvelope bounds the message in front of a snapshot's body: a list of members.
const maxEnvelope = 16 << 20

// watch lets next, which is rafthttp's, receive snapshots, and notes what comes.
// What it cannot make sense of it leaves to next to refuse.
func (in *incoming) watch(cluster uint64, self uint64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Etcd-Cluster-ID") == types.ID(cluster).String() {
			head, m := readEnvelope(r.Body)
			rest := io.Reader(r.Body)
			if m != nil && m.GetTo() == self {
				var task *commit.Running
				rest, task = in.begin(m, rest)
				defer task.End()
			}
			r.Body = body{io.MultiReader(bytes.NewReader(head), rest), r.Body}
		}
		next.ServeHTTP(w, r)
	})
}

type body struct {
	io.Reader
	io.Closer
}

// readEnvelope reads the message that stands in front of a snapshot's body, nil
// if there is none. head is all that it has read.
func readEnvelope(r io.Reader) (head []byte, m *raftpb.Message) {
	var read bytes.Buffer
	tee := io.TeeReader(r, &read)
	var size uint64
	if binary.Read(tee, binary.BigEndian, &size) != nil || size > maxEnvelope {
		return read.Bytes(), nil
	}
	b, err := io.ReadAll(io.LimitReader(tee, int64(size)))
	m = &raftpb.Message{}
	if err != nil || proto.Unmarshal(b, m) != nil || m.GetType() != raftpb.MsgSnap {
		m = nil
	}
	return read.Bytes(), m
}

// begin notes that the body of a snapshot comes now, and counts it.
func (in *incoming) begin(m *raftpb.Message, r io.Reader) (io.Reader, *commit.Running) {
	d, err := decodeDescriptor(m.GetSnapshot().GetData())
	if err != nil {
		return r, nil
	}
	t := &transfer{index: m.GetSnapshot().GetMetadata().GetIndex(), total: d.BodySize}
	t.lastIO.Store(time.Now().UnixNano()) //nolint:forbidigo // for INFO
	for {
		old := in.latest.Load()
		if old != nil && old.index > t.index {
			return r, nil // of a leader that does not know yet that it is none
		}
		if in.latest.CompareAndSwap(old, t) {
			task := in.tasks.Begin(commit.ReceiveSnapshot, m.GetFrom(), t.total, "bytes")
			return counted{task.Reader(r), t}, task
		}
	}
}

// counted counts what is read of a body.
type counted struct {
	io.Reader
	t *transfer
}

// Read implements io.Reader.
func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.t.received.Add(int64(n))
	c.t.lastIO.Store(time.Now().UnixNano()) //nolint:forbidigo // for INFO
	if err != nil && err != io.EOF {
		err = fmt.Errorf("receive snapshot %d: %w", c.t.index, err)
	}
	return n, err
}
