package raftnode

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// The peer listener has four endpoints beside rafthttp's:
//
//	GET  /members     who is in the cluster, for nodes that want to join
//	POST /membership  a change, for the leader to decide and to answer
//	POST /request     a large request, for the leader to propose (bulk.go)
//	POST /stance      what this member is, for those that want to form a cluster
//
// The last of them answers before this node is in a cluster. It is a POST so that nothing
// on the way remembers an answer: it counts that the question came first.
const (
	membersPath    = "/members"
	membershipPath = "/membership"
	stancePath     = "/stance"
)

// clusterMembers is the answer to GET /members.
type clusterMembers struct {
	Cluster uint64          `json:"cluster"`
	Leader  uint64          `json:"leader"`
	Members []commit.Member `json:"members"`
	Removed []uint64        `json:"removed"`
	Level   uint64          `json:"level,omitempty"` // in force: what a new member has to know
}

// changeRequest is the body of POST /membership, and changeResult its answer.
type changeRequest struct {
	Cluster uint64 `json:"cluster"`
	Change  change `json:"change"`
	// Level is that of who asks: a node that wants to join, or a member.
	Level uint64 `json:"level,omitempty"`
}

type changeResult struct {
	Index uint64 `json:"index"` // of the change, if Error is empty
	Error string `json:"error"`
	// Kind names the error's sentinel, so that errors.Is works across members.
	Kind string `json:"kind"`
}

// changeError is an error that keeps its identity on the way from the leader.
type changeError struct {
	kind string
	err  error
}

// changeErrors lists them. An error may be several of them: ErrUnknown comes first,
// because it decides what a client may be told.
func changeErrors() []changeError {
	return []changeError{
		{"unknown", commit.ErrUnknown},
		{"pending", ErrChangePending},
		{"dropped", ErrChangeDropped},
		{"quorum", ErrQuorumLoss},
		{"not caught up", ErrNotCaughtUp},
		{"not a member", ErrNotMember},
		{"used", ErrIDUsed},
		{"lost", ErrDataLost},
		{"url", ErrBadURL},
		{"too old", ErrTooOld},
		{"no successor", ErrNoSuccessor},
		{"not leader", errNotLeader},
		{"no leader", commit.ErrNoLeader},
		{"stopped", commit.ErrStopped},
	}
}

// result is what the leader answers.
func result(index uint64, err error) changeResult {
	if err == nil {
		return changeResult{Index: index}
	}
	res := changeResult{Error: err.Error()}
	for _, ce := range changeErrors() {
		if errors.Is(err, ce.err) {
			res.Kind = ce.kind
			break
		}
	}
	return res
}

// err is the answer at the other end.
func (r changeResult) err() error {
	if r.Error == "" {
		return nil
	}
	e := &remoteError{text: r.Error}
	for _, ce := range changeErrors() {
		if ce.kind == r.Kind {
			e.kind = ce.err
		}
	}
	return e
}

// remoteError is an error of another member.
type remoteError struct {
	text string
	kind error // may be nil
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }

func (n *Node) peerHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+stancePath, n.serveStance)
	mux.HandleFunc("GET "+membersPath, func(w http.ResponseWriter, _ *http.Request) {
		if !n.in() {
			http.Error(w, "this node is not in a cluster yet", http.StatusServiceUnavailable)
			return
		}
		v := n.view.Load()
		_, inForce := n.cfg.TellLevel()
		n.writeJSON(w, clusterMembers{n.cluster, v.leader, v.members.list(), v.members.removedIDs(), inForce})
	})
	mux.HandleFunc("POST "+membershipPath, n.serveChange)
	mux.HandleFunc("POST "+requestPath, n.serveRequest)
	return mux
}

func (n *Node) serveChange(w http.ResponseWriter, r *http.Request) {
	var req changeRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !n.in() || req.Cluster != n.cluster {
		http.Error(w, "cluster ID mismatch", http.StatusPreconditionFailed)
		return
	}
	if me := req.Change.Member; me.Instance != 0 { // a node speaks for itself
		if err := n.checkLevel(me.ID, req.Level); err != nil {
			n.writeJSON(w, result(0, err))
			return
		}
	}
	// Not the request's context: the listener's read timeout ends it too early.
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.ConfChangeTimeout)
	defer cancel()
	n.writeJSON(w, result(n.changeAsLeader(ctx, req.Change)))
}

func (n *Node) serveStance(w http.ResponseWriter, r *http.Request) {
	s := *n.stance.Load()
	asker, err := strconv.ParseUint(r.URL.Query().Get("asker"), 10, 64)
	if err != nil {
		http.Error(w, "asker: "+err.Error(), http.StatusBadRequest)
		return
	}
	if s.State == isMember {
		s.Asker = n.view.Load().members.acquaintance(asker)
	}
	n.writeJSON(w, s)
}

// acquaintance says what the members know of an id.
func (ms *membership) acquaintance(id uint64) acquaintance {
	m, ok := ms.members[id]
	switch {
	case ms.isRemoved(id):
		return isTombstoned
	case ok && unclaimed(m):
		return isExpected
	case ok || len(ms.members) == 0: // while nothing is applied yet, the worst is assumed
		return isKnown
	}
	return isStranger
}

func (n *Node) writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		n.cfg.Logger.Debug("answer to a peer", zap.Error(err))
	}
}

// runConfChanges takes membership changes from confChangeC.
func (n *Node) runConfChanges(confChangeC <-chan *commit.ConfChange) {
	for {
		select {
		case cc, ok := <-confChangeC:
			if !ok {
				return
			}
			n.spawn(func() {
				ctx, cancel := context.WithTimeout(context.Background(), n.cfg.ConfChangeTimeout)
				defer cancel()
				cc.ResultC <- n.changeMembership(ctx, change{Op: cc.Op, Member: cc.Member})
			})
		case <-n.endC:
			return
		}
	}
}

// changeMembership has the leader make a change, and waits until this node has
// applied it.
func (n *Node) changeMembership(ctx context.Context, ch change) error {
	// While nothing is proposed it is safe to ask again. That bridges an election,
	// the changes that nobody asked for (promotions, announcements), and a leader
	// that is to be removed and whose successor's disk was too slow to take over in
	// time.
	patience, cancel := context.WithTimeout(ctx, 4*n.cfg.TickInterval*time.Duration(n.cfg.ElectionTicks))
	defer cancel()
	for {
		index, err := n.changeAtLeader(ctx, ch)
		if err == nil {
			return n.awaitIndex(ctx, index)
		}
		lost := errors.Is(err, errNotLeader) || errors.Is(err, commit.ErrNoLeader)
		if !lost && !errors.Is(err, ErrChangePending) && !errors.Is(err, ErrNoSuccessor) {
			return err
		}
		if patience.Err() != nil {
			if lost {
				err = commit.ErrNoLeader
			}
			return fmt.Errorf("change membership: %w", err)
		}
		select {
		case <-time.After(n.cfg.TickInterval):
		case <-patience.Done(): // one last time
		case <-n.endC:
			return commit.ErrStopped
		}
	}
}

func (n *Node) changeAtLeader(ctx context.Context, ch change) (uint64, error) {
	v := n.view.Load()
	switch {
	case v.isLeader:
		return n.changeAsLeader(ctx, ch)
	case v.leader == 0:
		return 0, commit.ErrNoLeader
	}
	m, ok := v.members.members[v.leader]
	if !ok {
		return 0, commit.ErrNoLeader // this node has some catching up to do
	}
	return postChange(ctx, n.network.client, n.cfg.dialURL(m.PeerURL), n.cluster, n.cfg.Level, ch)
}

// changeAsLeader proposes a change on this node and waits until it is applied
// here.
func (n *Node) changeAsLeader(ctx context.Context, ch change) (uint64, error) {
	resC := make(chan changeOutcome, 1)
	n.inbox.run(func(c *core) {
		c.requestChange(ch, func(index uint64, err error) { resC <- changeOutcome{index, err} })
	})
	select {
	case res := <-resC:
		return res.index, res.err
	case <-ctx.Done():
		return 0, fmt.Errorf("change membership: %w", commit.ErrUnknown)
	case <-n.endC:
		return 0, fmt.Errorf("change membership: %w: %w", commit.ErrUnknown, commit.ErrStopped)
	}
}

type changeOutcome struct {
	index uint64
	err   error
}

func (n *Node) awaitIndex(ctx context.Context, index uint64) error {
	doneC := make(chan struct{})
	n.inbox.run(func(c *core) { c.awaitIndex(index, func() { close(doneC) }) })
	select {
	case <-doneC:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("membership changed, but not on this node yet: %w", commit.ErrUnknown)
	case <-n.endC:
		return fmt.Errorf("membership changed, but not on this node: %w: %w", commit.ErrUnknown, commit.ErrStopped)
	}
}

// postChange asks another member to make a change as the leader.
func postChange(ctx context.Context, client *http.Client, peerURL string, cluster, level uint64, ch change) (uint64, error) {
	body, err := json.Marshal(changeRequest{cluster, ch, level})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, peerURL+membershipPath, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		// It may have got there.
		return 0, fmt.Errorf("change membership: %w: %w", commit.ErrUnknown, err)
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it matters
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // as much as there is
		return 0, fmt.Errorf("change membership at %s: %s: %s", peerURL, resp.Status, bytes.TrimSpace(text))
	}
	var res changeResult
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&res); err != nil {
		return 0, fmt.Errorf("change membership: %w: %w", commit.ErrUnknown, err)
	}
	return res.Index, res.err()
}

// askStance asks a member what it is.
func askStance(ctx context.Context, client *http.Client, peerURL string, asker uint64) (s stance, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	url := peerURL + stancePath + "?asker=" + strconv.FormatUint(asker, 10)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return s, err
	}
	resp, err := client.Do(req)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the URL, which everybody names already
		}
		return s, err
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it matters
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("it answers %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&s); err != nil {
		return s, fmt.Errorf("its answer makes no sense: %w", err)
	}
	return s, nil
}

// getMembers asks one member who is in the cluster.
func getMembers(ctx context.Context, client *http.Client, peerURL string) (*clusterMembers, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, peerURL+membersPath, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it matters
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s%s: %s", peerURL, membersPath, resp.Status)
	}
	var cm clusterMembers
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&cm); err != nil {
		return nil, fmt.Errorf("%s%s: %w", peerURL, membersPath, err)
	}
	return &cm, nil
}
