package raftnode

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// envelope is what rafthttp sends in front of a snapshot's body.
func envelope(t *testing.T, m *raftpb.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint64(nil, uint64(len(b))), b...)
}

// TestIncoming: a snapshot is known from its first bytes on, only if it is meant
// for this node of this cluster; and whatever comes is passed on as it is.
func TestIncoming(t *testing.T) {
	const cluster, self, size = 0xabc, 3, 100_000
	snapshot := func(to, index uint64) *raftpb.Message {
		return &raftpb.Message{
			Type: raftpb.MsgSnap.Enum(), To: new(to), From: new(uint64(1)),
			Snapshot: &raftpb.Snapshot{
				Data:     newMembership().describe(size, 0),
				Metadata: &raftpb.SnapshotMetadata{Index: new(index), Term: new(uint64(1))},
			},
		}
	}
	var in incoming
	n := &Node{}
	for _, c := range []struct {
		name    string
		cluster types.ID
		head    []byte
		index   uint64 // known afterwards
	}{
		{"nothing", cluster, nil, 0},
		{"garbage", cluster, []byte("\xff\xff\xff\xff\xff\xff\xff\xffgarbage"), 0},
		{"cut short", cluster, envelope(t, snapshot(self, 4))[:9], 0},
		{"another cluster's", 0xdef, envelope(t, snapshot(self, 5)), 0},
		{"another node's", cluster, envelope(t, snapshot(2, 6)), 0},
		{"another message", cluster, envelope(t, &raftpb.Message{Type: raftpb.MsgApp.Enum(), To: new(uint64(self))}), 0},
		{"ours", cluster, envelope(t, snapshot(self, 7)), 7},
		{"a newer one", cluster, envelope(t, snapshot(self, 9)), 9},
		{"of a deposed leader", cluster, envelope(t, snapshot(self, 8)), 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := append(bytes.Clone(c.head), bytes.Repeat([]byte("x"), size)...)
			next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				half := make([]byte, len(whole)/2)
				if _, err := io.ReadFull(r.Body, half); err != nil {
					t.Fatal(err)
				}
				if tr := in.latest.Load(); c.index != 0 && (tr == nil || tr.index != c.index) {
					t.Errorf("in the middle of it %+v is known", tr)
				}
				rest, err := io.ReadAll(r.Body)
				if err != nil || !bytes.Equal(slices.Concat(half, rest), whole) {
					t.Errorf("what is passed on differs, %v", err)
				}
			})
			r := httptest.NewRequest(http.MethodPost, "/raft/snapshot", bytes.NewReader(whole))
			r.Header.Set("X-Etcd-Cluster-ID", c.cluster.String())
			in.watch(cluster, self, next).ServeHTTP(httptest.NewRecorder(), r)
			n.incoming.latest.Store(in.latest.Load())
			got := n.Incoming()
			if got.Index != c.index {
				t.Fatalf("known is %+v", got)
			}
			if c.index == 0 && got != (commit.Transfer{}) || c.index != 0 && (got.Total != size || got.Received != size || got.LastIO.IsZero()) {
				t.Errorf("known is %+v", got)
			}
		})
	}
}
