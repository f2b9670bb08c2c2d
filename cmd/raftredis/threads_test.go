package main

import (
	"runtime"
	"testing"
)

// Long work has one thread more, however many works there are, and gives it back.
func TestLend(t *testing.T) {
	was := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(was)
	check := func(when string, want int) {
		t.Helper()
		if got := runtime.GOMAXPROCS(0); got != want {
			t.Errorf("%s: %d threads, want %d", when, got, want)
		}
	}
	t.Setenv("GOMAXPROCS", "")
	threads := fewThreads()
	check("at the start", 2)
	first, second := threads.lend(), threads.lend()
	check("two at work", 3)
	first()
	check("one at work", 3)
	second()
	check("none at work", 2)

	runtime.GOMAXPROCS(4)
	t.Setenv("GOMAXPROCS", "4")
	defer fewThreads().lend()()
	check("the user's own word", 4)
}
