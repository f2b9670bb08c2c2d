package main

import (
	"os"
	"runtime"
)

// fewThreads halves the number of threads that run Go code at once, unless
// GOMAXPROCS is the user's own word. What a node does for a request is small
// beside what it costs to wake a thread for it, and the other half of the CPUs is
// not idle: the kernel's network and disk work, and the clients' if they are on
// the same machine, take about as much as the node itself.
func fewThreads() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}
