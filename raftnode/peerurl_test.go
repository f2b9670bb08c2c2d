package raftnode

import (
	"errors"
	"testing"

	"github.com/raftredis/raftredis/raftnode/commit"
)

func TestPeerURLOfAMember(t *testing.T) {
	ms := newMembership()
	for i, u := range []string{"http://127.0.0.1:7001", "http://Node-B.example:7002", "http://[2001:db8::1]:7003"} {
		ms.members[uint64(i+1)] = commit.Member{ID: uint64(i + 1), PeerURL: u}
	}
	for _, test := range []struct {
		url  string
		want error
	}{
		{"http://10.0.0.9:7001", nil},
		{"http://127.0.0.1:7009", nil},
		{"http://127.0.0.2:7001", nil},
		{"http://127.0.0.1:7001", ErrIDUsed},
		{"http://localhost:7001", ErrIDUsed},
		{"http://LOCALHOST.:7001", ErrIDUsed},
		{"http://[::1]:7001", ErrIDUsed},
		{"http://[::ffff:127.0.0.1]:7001", ErrIDUsed},
		{"http://127.0.0.1:07001", ErrIDUsed},
		{"http://node-b.EXAMPLE:7002", ErrIDUsed},
		{"http://[2001:DB8:0::1]:7003", ErrIDUsed},
		{"https://10.0.0.9:7001", ErrBadURL},
		{"https://localhost:7001", ErrIDUsed},
		{"http://0.0.0.0:7009", ErrBadURL},
		{"http://[::]:7009", ErrBadURL},
		{"http://10.0.0.9", ErrBadURL},
		{"10.0.0.9:7001", ErrBadURL},
	} {
		if err := ms.checkPeerURL(9, test.url); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v instead of %v", test.url, err, test.want)
		}
	}
	if err := ms.checkPeerURL(1, "http://localhost:7001"); err != nil {
		t.Errorf("a member's own place by another name: %v", err)
	}
	one := newMembership()
	one.members[1] = ms.members[1]
	if err := one.checkPeerURL(1, "https://127.0.0.1:7001"); err != nil {
		t.Errorf("the only member may change the scheme: %v", err)
	}
}

func TestSlashAtTheEndOfAPeerURL(t *testing.T) {
	ms := newCluster(t, 1, nil)
	leader(t, ms)
	if err := ms[0].change(commit.AddLearner, commit.Member{ID: 2, PeerURL: "http://127.0.0.1:1/"}); err != nil {
		t.Fatal(err)
	}
	for _, m := range ms[0].node.Members() {
		if m.ID == 2 && m.PeerURL != "http://127.0.0.1:1" {
			t.Fatalf("%+v", m)
		}
	}
	// The same once more is the same.
	if err := ms[0].change(commit.AddLearner, commit.Member{ID: 2, PeerURL: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	if err := ms[0].change(commit.Update, commit.Member{ID: 2, PeerURL: "http://localhost:2"}); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Peers: []Peer{{1, "http://a:1//"}}, ID: 1, ListenURL: "http://b:1/"}
	cfg.EnsureDefaults()
	if cfg.Peers[0].URL != "http://a:1" || cfg.PeerURL != "http://a:1" || cfg.ListenURL != "http://b:1" {
		t.Fatalf("%+v", cfg)
	}
}
