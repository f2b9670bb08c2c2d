package machine

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// What goes into a new cluster is the data, and nothing of the old cluster's members.
func TestRenew(t *testing.T) {
	m, b := body(t)
	var renewed bytes.Buffer
	if err := Renew(&renewed, bytes.NewReader(b), 1<<40); err != nil {
		t.Fatal(err)
	}
	n, err := Load(m.table, &watcher{}, &renewed)
	if err != nil {
		t.Fatal(err)
	}
	if n.Index() != 1<<40 || n.Term() != m.Term() || n.Now() != m.Now() || n.Revision() != m.Revision()+1<<40-m.Index() {
		t.Errorf("index %d, term %d, clock %d, revision %d", n.Index(), n.Term(), n.Now(), n.Revision())
	}
	if n.RunOf(4) != 0 || len(n.sessions) != 0 || m.RunOf(4) == 0 {
		t.Errorf("runs of old members: %v", n.sessions)
	}
	// All else is the same: as soon as the same is said of the members, so is the digest.
	m.index, m.revision, m.sessions, m.waiting, m.audience = n.index, n.revision, make(sessions), newWaiting(), newAudience()
	m.parts.Term, m.parts.Parts = 0, nil
	if got, want := n.Capture().Digest(), m.Capture().Digest(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	// And a member of the new cluster with an old id begins with its first run.
	if err := n.Apply(n.Index()+1, n.Term()+1, Seal(nil, 6000, 1, [][]byte{request(Head{4, 1, 1, 1}, func(r *Request) { r.Write(3, args("incr n")) })})); err != nil {
		t.Fatal(err)
	}
	if !n.Applied(4, 1, 1) {
		t.Error("the first request of the new cluster was taken for an old one")
	}
}

// A damaged body is not copied, wherever the damage is.
func TestRenewDamaged(t *testing.T) {
	_, b := body(t)
	check := func(what string, b []byte) {
		t.Helper()
		if err := Renew(&bytes.Buffer{}, bytes.NewReader(b), 1<<40); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range 100 {
		for _, i := range []int{i, len(b) - 1 - i, i * len(b) / 100} {
			flipped := bytes.Clone(b)
			flipped[i] ^= 0x10
			check(fmt.Sprintf("bit flipped at %d", i), flipped)
			check(fmt.Sprintf("cut at %d", i), b[:i])
		}
	}
	if err := Renew(&bytes.Buffer{}, bytes.NewReader(b), 2); !errors.Is(err, ErrSnapshot) {
		t.Errorf("to an index below its own: %v", err)
	}
}
