package command

import (
	"testing"

	"github.com/raftredis/raftredis/store/hyperloglog"
)

// FuzzHLL feeds what a client may SET: it must not crash anything.
func FuzzHLL(f *testing.F) {
	f.Add([]byte(hyperloglog.New()))
	f.Add([]byte("HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f"))
	f.Add([]byte("HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff\x80\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newSpace(t)
		s.call(0, args("SET", "h", b)...)
		for _, line := range []string{"PFCOUNT h", "PFCOUNT h g", "PFADD h a b c", "PFDEBUG DECODE h", "PFMERGE g h", "PFADD g d", "PFDEBUG GETREG h", "PFCOUNT h"} {
			s.do(line)
		}
		s.checkTwin()
	})
}
