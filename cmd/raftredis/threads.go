package main

import (
	"os"
	"runtime"
	"sync"
)

// threads is how many threads run Go code at once: half as many as there are
// CPUs, unless GOMAXPROCS is the user's own word. What a node does for a request
// is small beside what it costs to wake a thread for it, and the other half of the
// CPUs is not idle: the kernel's network and disk work, and the clients' if they
// are on the same machine, take about as much as the node itself.
//
// The price is paid by whoever needs a thread while another one waits for a file:
// Go takes up to 10 ms to notice. The log's own sync is over before that. Longer
// work gets a thread of its own: see lend.
type threads struct {
	adjust bool

	mu   sync.Mutex
	n    int
	lent int
}

func fewThreads() *threads {
	t := &threads{adjust: os.Getenv("GOMAXPROCS") == "", n: max(1, runtime.GOMAXPROCS(0)/2)}
	t.set()
	return t
}

// lend adds a thread until the function that it returns is called, for any number
// of such works at once.
func (t *threads) lend() (giveBack func()) {
	t.change(1)
	return func() { t.change(-1) }
}

func (t *threads) change(by int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lent += by
	t.set()
}

// set stops the world for a moment if it changes anything. REQUIRES: mu is held.
func (t *threads) set() {
	if n := t.n + min(t.lent, 1); t.adjust && n != runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(n)
	}
}
