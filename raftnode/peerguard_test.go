package raftnode

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func guarded(t *testing.T, patience time.Duration) *peerGuard {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newPeerGuard(ln)
	g.patience = patience
	s := &http.Server{ConnContext: g.connContext, Handler: g.knows(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello")
	}))}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(g)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-served
	})
	return g
}

func dialGuard(t *testing.T, g *peerGuard) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection is still open")
	}
}

// A stranger has so long for all of its request, however busy it is, and who has
// made one has not.
func TestSlowStrangers(t *testing.T) {
	g := guarded(t, 200*time.Millisecond)
	known, silent, slow := dialGuard(t, g), dialGuard(t, g), dialGuard(t, g)
	ask := func() {
		t.Helper()
		if _, err := io.WriteString(known, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 15)
		_ = known.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadFull(known, b); err != nil || string(b) != "HTTP/1.1 200 OK" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	ask()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for { // a byte at a time, and never done
			if _, err := io.WriteString(slow, "G"); err != nil {
				return
			}
			<-pace.C
		}
	}()
	ended(t, silent)
	<-stopped
	if _, err := io.WriteString(known, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "strangers are forgotten", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.strangers.Len() == 0 && g.open == 1
	})
}

// A flood of strangers is bounded, and a member gets through it.
func TestFloodOfStrangers(t *testing.T) {
	ms := newCluster(t, 3, nil)
	l := leader(t, ms)
	m := remove(ms, l)[0]
	m.stop()
	var flood []net.Conn
	for range 3 * maxStrangers {
		c, err := net.Dial("tcp", l.cfg.Peers[l.cfg.ID-1].URL[len("http://"):])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		flood = append(flood, c)
	}
	for _, c := range flood[:2*maxStrangers] {
		ended(t, c) // at once, long before its time is over
	}
	m.start()
	m.propose("through the flood")
	sameRequests(t, ms)
}

func TestPeerConnsAreBounded(t *testing.T) {
	g := newPeerGuard(nil)
	for i := range maxPeerConns + 1 {
		c := &peerConn{guard: g}
		_, full := g.admit(c)
		g.forget(c, false) // it is known
		if full != (i >= maxPeerConns) {
			t.Fatalf("connection %d: full is %v", i, full)
		}
	}
}

// TestReadIsCut has a read begin behind the deadline that was to end it, as net/http's do
// when a handler is quick. It waited for as long as a member may be silent, and a stream
// that was to go on in its connection with it.
func TestReadIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		c := &peerConn{Conn: here, guard: newPeerGuard(nil)}
		c.known.Store(true)
		defer here.Close()
		began := time.Now()
		if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > 0 {
			t.Errorf("read %d, %v after %v", n, err, time.Since(began))
		}
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = there.Write([]byte("x")) }()
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read %d, %v when reads may wait again", n, err)
		}
	})
}
