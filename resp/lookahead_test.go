package resp

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/raftredis/raftredis/store"
)

// TestKeysAhead compares the guess at the keys of a pipeline with what is in it.
func TestKeysAhead(t *testing.T) {
	long := fmt.Sprintf("%0100d", 7)
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"one command", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", []string{"a"}},
		{"a pipeline", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$4\r\nHGET\r\n$12\r\nabcdefghijkl\r\n$1\r\nf\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nget\r\n$0\r\n\r\n",
			[]string{"a", "abcdefghijkl", ""}},
		{"an incomplete key", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$3\r\nab", []string{"a"}},
		{"an incomplete header", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$", []string{"a"}},
		{"a long key ends it", "*2\r\n$3\r\nGET\r\n$100\r\n" + long + "\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n", nil},
		{"inline ends it", "*2\r\n$3\r\nGET\r\n$1\r\na\r\nGET b\r\n", []string{"a"}},
		{"no arguments", "*0\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n", []string{"a"}},
		{"nonsense", "*x\r\n$3\r\nGET\r\n", nil},
		{"a negative number", "*-1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var keys [store.MaxAhead][]byte
			n := keysAhead([]byte(tc.in), keys[:])
			var got []string
			for _, k := range keys[:n] {
				got = append(got, string(k))
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestKeysAheadOfAnything feeds it bytes that are nearly a pipeline: it must stay
// within them.
func TestKeysAheadOfAnything(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	const alphabet = "*$\r\n0129ax"
	var keys [store.MaxAhead][]byte
	for range 20000 {
		b := []byte("*2\r\n$3\r\nGET\r\n$2\r\nab\r\n*3\r\n$3\r\nSET\r\n$12\r\nabcdefghijkl\r\n$1\r\nx\r\n")
		for range rng.IntN(4) {
			b[rng.IntN(len(b))] = alphabet[rng.IntN(len(alphabet))]
		}
		b = b[:rng.IntN(len(b)+1)]
		b = b[:len(b):len(b)] // beyond the end is out of bounds
		keysAhead(b, keys[:])
	}
}
