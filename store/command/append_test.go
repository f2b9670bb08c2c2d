package command

import (
	"bytes"
	"testing"
)

func TestAppend(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcde"), 300_000)
	for _, b := range [][]byte{nil, []byte("head"), append(make([]byte, 0, 5<<20), "head"...)} {
		for _, s := range [][]byte{nil, []byte("tail"), large[:1<<20], large[:1<<20+1], large} {
			want := append(bytes.Clone(b), s...)
			if got := Append(b, s); !bytes.Equal(got, want) {
				t.Errorf("%d bytes behind %d of %d: %d", len(s), len(b), cap(b), len(got))
			}
		}
	}
}
