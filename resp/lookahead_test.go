package resp

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestAhead compares the guess at the arguments of a pipeline with what is in it.
func TestAhead(t *testing.T) {
	long := fmt.Sprintf("%0100d", 7)
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"one command", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", []string{"a ,"}},
		{"a pipeline", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$4\r\nHGET\r\n$12\r\nabcdefghijkl\r\n$1\r\nf\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nget\r\n$0\r\n\r\n",
			[]string{"a ,", "abcdefghijkl f,f", " ,"}},
		{"many arguments", "*4\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\nv\r\n*5\r\n$4\r\nSADD\r\n$1\r\ns\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
			[]string{"h f,v", "s a,c"}},
		{"an incomplete key", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$3\r\nab", []string{"a ,"}},
		{"an incomplete header", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$", []string{"a ,"}},
		{"a long key ends it", "*2\r\n$3\r\nGET\r\n$100\r\n" + long + "\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n", nil},
		{"inline ends it", "*2\r\n$3\r\nGET\r\n$1\r\na\r\nGET b\r\n", []string{"a ,"}},
		{"no arguments", "*0\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n", []string{"a ,"}},
		{"nonsense", "*x\r\n$3\r\nGET\r\n", nil},
		{"a negative number", "*-1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var calls ahead
			var got []string
			for i := range calls.read([]byte(tc.in)) {
				got = append(got, fmt.Sprintf("%s %s,%s", calls.keys[i], calls.args[i][0], calls.args[i][1]))
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestAheadOfAnything feeds it bytes that are nearly a pipeline: it must stay
// within them.
func TestAheadOfAnything(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	const alphabet = "*$\r\n0129ax"
	for range 20000 {
		b := []byte("*2\r\n$3\r\nGET\r\n$2\r\nab\r\n*3\r\n$3\r\nSET\r\n$12\r\nabcdefghijkl\r\n$1\r\nx\r\n")
		for range rng.IntN(4) {
			b[rng.IntN(len(b))] = alphabet[rng.IntN(len(alphabet))]
		}
		b = b[:rng.IntN(len(b)+1)]
		b = b[:len(b):len(b)] // beyond the end is out of bounds
		var calls ahead
		calls.read(b)
	}
}
