package store

import (
	"bytes"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// A large request comes in parts, with others in between and a snapshot in the middle.
func TestLargeRequestInParts(t *testing.T) {
	s := offline(t, Config{Member: 9}, 1)
	value := strings.Repeat("0123456789", 100_000)
	req := request(requestHead{4, 1, 1, 1}, func(b *Batch) { b.Write(0, nil, args("set large "+value)) })
	small := sealEntry(nil, 2000, 1, [][]byte{request(requestHead{4, 1, 2, 1}, func(b *Batch) { b.Write(0, nil, args("set small 1")) })})
	var head []byte
	for at := 0; at < len(req); at += 300_000 {
		end := min(at+300_000, len(req))
		if end == len(req) {
			head = appendUvarint(appendEntryHead(nil, 3000, 1), uint64(len(req)))
		}
		if err := applyData(s, commit.AppendPart(nil, len(req), at, head, req[at:end])); err != nil {
			t.Fatal(err)
		}
		if at == 300_000 {
			if err := applyData(s, small); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := writeSnapshot(&b, s.capture()); err != nil {
				t.Fatal(err)
			}
			fresh := offline(t, Config{Member: 9}, 1)
			if err := loadBody(fresh, s.AppliedIndex(), b.Bytes()); err != nil {
				t.Fatal(err)
			}
			if fresh.capture().digest() != s.capture().digest() || len(fresh.parts.Parts) != 2 {
				t.Fatalf("%d parts, or another digest", len(fresh.parts.Parts))
			}
			s = fresh
		}
	}
	if len(s.parts.Parts) != 0 || s.now != 3000 {
		t.Errorf("%d parts left over, clock %d", len(s.parts.Parts), s.now)
	}
	other := offline(t, Config{Member: 9}, 1)
	if err := applyData(other, sealEntry(nil, 3000, 1, [][]byte{req})); err != nil {
		t.Fatal(err)
	}
	if got := get(s, 0, "get large"); got != get(other, 0, "get large") || len(got) < len(value) {
		t.Errorf("%d bytes, and not the value", len(got))
	}
	if get(s, 0, "get small") != `"1"` {
		t.Error("what came in between is missing")
	}
}

// Large requests and others do not use up each other's room.
func TestLargeRequestsAreCountedApart(t *testing.T) {
	f := newInflight()
	large, small := &Batch{flight: flight{size: largeRequest + 1}}, &Batch{flight: flight{size: largeRequest}}
	f.add(large)
	f.add(small)
	if f.bytes != small.size || f.largeBytes != large.size {
		t.Errorf("%d, %d", f.bytes, f.largeBytes)
	}
	f.take(large.seq)
	f.take(small.seq)
	if f.bytes != 0 || f.largeBytes != 0 {
		t.Errorf("%d, %d left over", f.bytes, f.largeBytes)
	}
}
