package driver

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
)

// echo is a connection that answers with what it is sent. It panics at "!", waits for a
// wake from elsewhere at "?" before it answers, and closes at ".".
type echo struct {
	link     Link
	in       []byte
	out      []byte
	intent   Intent
	gone     chan struct{}
	mu       sync.Mutex
	unsent   int // guarded by mu
	unblocks int // blocks that are not sent, guarded by mu
}

func (e *echo) Admit() bool                   { return true }
func (e *echo) ReadInto(shared []byte) []byte { e.in = shared; return shared }
func (e *echo) Intent() Intent                { return e.intent }
func (e *echo) Abandon()                      { close(e.gone) }

func (e *echo) Received(n int) {
	in := e.in[:n]
	e.out = append(e.out, in...)
	switch {
	case bytes.HasSuffix(in, []byte("!")):
		panic("as asked")
	case bytes.HasSuffix(in, []byte("?")):
		e.intent = ToWait
		go e.link.Wake()
	case bytes.HasSuffix(in, []byte(".")):
		e.intent = ToClose
	}
}

func (e *echo) Resume() {
	if e.intent == ToWait {
		e.intent = ToRead
		e.out = append(e.out, '+')
	}
}

func (e *echo) Output(spare []byte) []byte {
	if len(e.out) == 0 || e.intent == ToWait {
		return nil
	}
	block := e.out
	e.out = spare[:0]
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unsent += len(block)
	e.unblocks++
	return block
}

func (e *echo) Sent(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unsent -= n
}

func (e *echo) BlockSent([]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unblocks--
}

// harness is a driver with a listener in front of it.
type harness struct {
	t      *testing.T
	l      net.Listener
	echoes chan *echo
	panics chan any
}

func both(t *testing.T, test func(t *testing.T, h *harness)) {
	for name, start := range map[string]func(Options) (Driver, error){
		"goroutines": func(o Options) (Driver, error) { return NewGoroutines(o), nil },
		"epoll":      func(o Options) (Driver, error) { return NewEpoll(o, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			h := &harness{t: t, l: l, echoes: make(chan *echo, 1), panics: make(chan any, 1)}
			d, err := start(Options{
				Connect: func(l Link, _ net.Conn, _ int) Conn {
					e := &echo{link: l, intent: ToRead, gone: make(chan struct{})}
					h.echoes <- e
					return e
				},
				Panicked: func(v any) { h.panics <- v },
				Logger:   zaptest.NewLogger(t),
			})
			if err != nil {
				t.Fatal(err)
			}
			accepted := make(chan struct{})
			go func() {
				defer close(accepted)
				for {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					if err := d.Add(nc); err != nil {
						t.Error(err)
					}
				}
			}()
			test(t, h)
			_ = l.Close()
			<-accepted
			d.Stop()
		})
	}
}

func (h *harness) dial() (net.Conn, *echo) {
	h.t.Helper()
	nc, err := net.Dial("tcp", h.l.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc, <-h.echoes
}

func (h *harness) ask(nc net.Conn, in, want string) {
	h.t.Helper()
	if _, err := nc.Write([]byte(in)); err != nil {
		h.t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != want {
		h.t.Fatalf("got %q (%v), want %q", got, err, want)
	}
}

// end expects the end of the connection, at both ends.
func (h *harness) end(nc net.Conn, e *echo) {
	h.t.Helper()
	if rest, err := io.ReadAll(nc); len(rest) > 0 || err != nil && !bytes.Contains([]byte(err.Error()), []byte("reset")) {
		h.t.Errorf("%q and %v instead of the end", rest, err)
	}
	select {
	case <-e.gone:
	case <-time.After(20 * time.Second):
		h.t.Error("not abandoned")
	}
	_ = nc.Close()
}

func TestEcho(t *testing.T) {
	both(t, func(t *testing.T, h *harness) {
		nc, e := h.dial()
		h.ask(nc, "hello", "hello")
		h.ask(nc, "wait?", "wait?+")
		h.ask(nc, "bye.", "bye.")
		h.end(nc, e)
		if e.unsent != 0 || e.unblocks != 0 {
			t.Errorf("%d bytes and %d blocks are not reported as sent", e.unsent, e.unblocks)
		}
	})
}

// What a connection does to itself, it does to nobody else.
func TestPanicEndsOneConnection(t *testing.T) {
	both(t, func(t *testing.T, h *harness) {
		bad, badEcho := h.dial()
		good, goodEcho := h.dial()
		h.ask(good, "a", "a")
		if _, err := bad.Write([]byte("!")); err != nil {
			t.Fatal(err)
		}
		if v := <-h.panics; fmt.Sprint(v) != "as asked" {
			t.Errorf("panicked with %v", v)
		}
		h.end(bad, badEcho)
		h.ask(good, "b", "b")
		goodEcho.link.Kill()
		h.end(good, goodEcho)
	})
}

// A client that sends much before it reads anything gets all of it.
func TestClientThatReadsLate(t *testing.T) {
	both(t, func(t *testing.T, h *harness) {
		nc, e := h.dial()
		much := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		if _, err := nc.Write(much); err != nil { // before anything is read
			t.Fatal(err)
		}
		got := make([]byte, len(much))
		if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, much) {
			t.Fatalf("not what was sent: %v", err)
		}
		h.ask(nc, ".", ".")
		h.end(nc, e)
	})
}
