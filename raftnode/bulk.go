package raftnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// requestPath is where a follower brings a large request to the leader: POST, and the
// body is the request. rafthttp would send it on the connection that heartbeats are
// answered on, whole, and break that connection if it takes longer than its timeout.
const requestPath = "/request"

// The header of such a POST. The cluster's id is in hexadecimal.
const (
	headerCluster = "X-Raftredis-Cluster"
	headerFrom    = "X-Raftredis-From"
)

// maxForwarded bounds the large requests of other members that a leader takes in and
// has not proposed yet. A single one of any size passes.
const maxForwarded = 512 << 20

// bulk is the large requests on their way between members.
type bulk struct {
	sendC chan struct{} // has an element while one is being sent

	mu    sync.Mutex
	bytes byteCount // being received, or received and not proposed
}

func newBulk() *bulk { return &bulk{sendC: make(chan struct{}, 1)} }

// reserve makes room for a request, if there is any.
func (b *bulk) reserve(size byteCount) (release func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes > 0 && b.bytes+size > maxForwarded {
		return nil, false
	}
	b.bytes += size
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.bytes -= size
	}, true
}

// forwardLarge implements environment.
func (n *Node) forwardLarge(to uint64, d departure) {
	n.spawn(func() {
		select {
		case n.bulk.sendC <- struct{}{}: // one at a time: they would only share the link
		case <-n.endC:
			return
		}
		outcome, err := n.postRequest(to, d.pr.Data, rafthttp.ConnWriteTimeout)
		<-n.bulk.sendC
		if err != nil {
			n.cfg.Logger.Info("large request not handed over", zap.Uint64("to", to), zap.Int("bytes", len(d.pr.Data)), zap.Error(err))
		}
		n.inbox.run(func(c *core) { c.largeForwarded(d, outcome) })
	})
}

// errStalled ends a transfer that has stood still for too long.
var errStalled = errors.New("the transfer does not move")

// postRequest sends a large request to the leader. It may take as long as it likes,
// but not stand still for longer than patience.
func (n *Node) postRequest(to uint64, data []byte, patience time.Duration) (handOver, error) {
	m, ok := n.view.Load().members.members[to]
	if !ok {
		return refused, fmt.Errorf("%w: %d", ErrNotMember, to)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stalled := time.AfterFunc(patience, func() { cancel(errStalled) })
	defer stalled.Stop()
	go func() {
		select {
		case <-n.endC:
			cancel(commit.ErrStopped)
		case <-ctx.Done():
		}
	}()
	body := &movingReader{r: bytes.NewReader(data), moved: func() { stalled.Reset(patience) }}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.cfg.dialURL(m.PeerURL)+requestPath, body)
	if err != nil {
		return refused, err
	}
	req.ContentLength = int64(len(data))
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Expect", "100-continue") // a refusal comes before the bytes
	req.Header.Set(headerCluster, strconv.FormatUint(n.cluster, 16))
	req.Header.Set(headerFrom, strconv.FormatUint(n.cfg.ID, 10))
	resp, err := n.network.client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return handOverCut, err
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // as much as there is
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return handedOver, nil
	}
	return refused, fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
}

// movingReader tells when it is read.
type movingReader struct {
	r     *bytes.Reader
	moved func()
}

func (m *movingReader) Read(p []byte) (int, error) {
	m.moved()
	return m.r.Read(p)
}

// serveRequest takes in a large request. Whatever it answers but 204 means that this
// node has not taken it. The listener's read timeout ends a transfer that does not move.
func (n *Node) serveRequest(w http.ResponseWriter, r *http.Request) {
	if !n.in() {
		http.Error(w, "this node is not in a cluster yet", http.StatusServiceUnavailable)
		return
	}
	v := n.view.Load()
	size := r.ContentLength
	from, err := strconv.ParseUint(r.Header.Get(headerFrom), 10, 64)
	_, known := v.members.members[from]
	switch {
	case r.Header.Get(headerCluster) != strconv.FormatUint(n.cluster, 16):
		http.Error(w, "cluster ID mismatch", http.StatusPreconditionFailed)
		return
	case err != nil || !known || from == n.cfg.ID:
		http.Error(w, "not from a member", http.StatusForbidden)
		return
	case size <= 0 || size > commit.MaxRequestBytes:
		http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	case !v.isLeader:
		http.Error(w, "this member does not lead", http.StatusConflict)
		return
	}
	release, ok := n.bulk.reserve(byteCount(size))
	if !ok {
		http.Error(w, "too many large requests", http.StatusServiceUnavailable)
		return
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r.Body, data); err != nil {
		release()
		n.cfg.Logger.Info("large request not received", zap.Uint64("from", from), zap.Int64("bytes", size), zap.Error(err))
		http.Error(w, "the request was cut off", http.StatusBadRequest)
		return
	}
	takenC := make(chan bool, 1)
	n.inbox.run(func(c *core) { takenC <- c.offerLarge(from, data, release) })
	select {
	case taken := <-takenC:
		if !taken {
			http.Error(w, "this member does not lead, or has no room", http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case <-n.endC:
		panic(http.ErrAbortHandler) // nobody knows whether it was taken
	}
}
