package resp

import (
	"fmt"
	"testing"
)

type nowhere struct{}

func (nowhere) Wake() {}
func (nowhere) Kill() {}

// feedAll runs a connection over input without any socket.
func feedAll(c *conn, in []byte, out []byte) []byte {
	n := copy(c.ReadInto(in), in)
	c.Received(n)
	return c.Output(out)
}

// A read of this node's state costs no allocation, and neither does anything
// around it.
func TestReadsAllocateNothing(t *testing.T) {
	s, _ := newServer(t, nil)
	setup := dial(t, s)
	setup.ask("SET k 0123456789012345678901234567890123456789012345678901234567890123\r\n", "+OK\r\n")
	for _, pipeline := range []int{1, 16, 100} {
		var in []byte
		for range pipeline {
			in = append(in, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"...)
		}
		c := newConn(s, nowhere{}, "127.0.0.1:1", "127.0.0.1:2", 1, true)
		var spare []byte
		run := func() {
			out := feedAll(c, in, spare)
			if len(out) != pipeline*71 {
				t.Fatalf("%q", out)
			}
			spare = out
			c.Sent(len(out))
			c.BlockSent(out)
		}
		run()
		run()
		// Everything in the process counts, the server's timers too: on a machine that is busy
		// with something else a run takes so long that they are seen. The least is the reads'.
		n := testing.AllocsPerRun(100, run)
		for range 20 {
			n = min(n, testing.AllocsPerRun(100, run))
		}
		if n != 0 {
			t.Errorf("%d GETs: %v allocations", pipeline, n)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s, _ := newServer(b, nil)
	setup := dial(b, s)
	setup.ask("SET k 0123456789012345678901234567890123456789012345678901234567890123\r\n", "+OK\r\n")
	for _, pipeline := range []int{1, 16, 100} {
		b.Run(fmt.Sprintf("P%d", pipeline), func(b *testing.B) {
			var in []byte
			for range pipeline {
				in = append(in, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"...)
			}
			c := newConn(s, nowhere{}, "127.0.0.1:1", "127.0.0.1:2", 1, true)
			var spare []byte
			b.ReportAllocs()
			for b.Loop() {
				spare = feedAll(c, in, spare)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(pipeline), "ns/command")
		})
	}
}
