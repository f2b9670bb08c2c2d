package cluster

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// Network stands between the peers: every node's peer address is that of a
// proxy, which forwards to where the node really listens. A proxy knows who is
// calling from rafthttp's X-Server-From header, so that one link, or one
// direction of it, can be cut or slowed.
//
// A cut link holds what is under way, as a network that loses packets looks to
// TCP, and delivers it when it heals: old messages that arrive late are the
// harder test.
type Network struct {
	mu    sync.Mutex
	heal  *sync.Cond
	cut   map[link]bool
	delay map[link]time.Duration
	conns map[net.Conn]bool
	ls    []net.Listener
	done  bool
	wg    sync.WaitGroup
}

// link is one direction between two members.
type link struct{ from, to uint64 }

// NewNetwork returns a network in which everybody hears everybody.
func NewNetwork() *Network {
	n := &Network{cut: map[link]bool{}, delay: map[link]time.Duration{}, conns: map[net.Conn]bool{}}
	n.heal = sync.NewCond(&n.mu)
	return n
}

// Cut stops what from sends to to.
func (n *Network) Cut(from, to uint64) { n.set(from, to, true) }

// Mend undoes Cut.
func (n *Network) Mend(from, to uint64) { n.set(from, to, false) }

// Slow delays what from sends to to.
func (n *Network) Slow(from, to uint64, by time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay[link{from, to}] = by
}

// Heal undoes every Cut and Slow.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	clear(n.delay)
	n.heal.Broadcast()
}

func (n *Network) set(from, to uint64, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if cut {
		n.cut[link{from, to}] = true
	} else {
		delete(n.cut, link{from, to})
	}
	n.heal.Broadcast()
}

// Close ends all proxies and the connections through them.
func (n *Network) Close() {
	n.mu.Lock()
	n.done = true
	for _, l := range n.ls {
		l.Close()
	}
	for c := range n.conns {
		c.Close()
	}
	n.heal.Broadcast()
	n.mu.Unlock()
	n.wg.Wait()
}

// listen opens the proxy of member id, which forwards to target.
func (n *Network) listen(id uint64, target string) (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	n.ls = append(n.ls, l)
	n.mu.Unlock()
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.wg.Add(1)
			go func() {
				defer n.wg.Done()
				n.serve(c, id, target)
			}()
		}
	}()
	return l.Addr().String(), nil
}

// track remembers a connection until the returned func closes it.
func (n *Network) track(c net.Conn) (untrack func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c] = true
	if n.done {
		c.Close()
	}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.conns, c)
		c.Close()
	}
}

func (n *Network) serve(caller net.Conn, to uint64, target string) {
	defer n.track(caller)()
	head, from, err := readHead(caller)
	if err != nil {
		return
	}
	if !n.pass(link{from, to}) {
		return
	}
	callee, err := net.Dial("tcp", target)
	if err != nil {
		return // the node is down: the caller sees its connection close
	}
	defer n.track(callee)()
	if _, err := callee.Write(head); err != nil {
		return
	}
	ended := make(chan struct{}, 2)
	go func() { n.copy(callee, caller, link{from, to}); ended <- struct{}{} }()
	go func() { n.copy(caller, callee, link{to, from}); ended <- struct{}{} }()
	<-ended
	caller.Close()
	callee.Close()
	<-ended
}

// readHead reads the first request's header and finds out who sent it. Callers
// that do not say (another member's question for the member list) are 0.
func readHead(c net.Conn) (head []byte, from uint64, err error) {
	buf := make([]byte, 4096)
	for {
		m, err := c.Read(buf)
		head = append(head, buf[:m]...)
		if i := bytes.Index(head, []byte("\r\n\r\n")); i >= 0 {
			for _, line := range bytes.Split(head[:i], []byte("\r\n")) {
				name, value, _ := bytes.Cut(line, []byte(":"))
				if bytes.EqualFold(name, []byte("X-Server-From")) {
					// rafthttp writes ids in hexadecimal.
					from, _ = strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
				}
			}
			return head, from, nil
		}
		if err != nil {
			return nil, 0, err
		}
		if len(head) > 64<<10 {
			return nil, 0, errors.New("no end of header")
		}
	}
}

// pass waits until the link is whole and reports whether the network still is.
func (n *Network) pass(l link) bool {
	n.mu.Lock()
	for n.cut[l] && !n.done {
		n.heal.Wait()
	}
	by, done := n.delay[l], n.done
	n.mu.Unlock()
	if by > 0 && !done {
		time.Sleep(by) // the slowness itself, not a wait for anything
	}
	return !done
}

func (n *Network) copy(dst io.Writer, src io.Reader, l link) {
	buf := make([]byte, 32<<10)
	for {
		m, err := src.Read(buf)
		if m > 0 {
			if !n.pass(l) {
				return
			}
			if _, err := dst.Write(buf[:m]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
