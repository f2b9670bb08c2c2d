package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	coalesceTimers() // first: on Linux it starts the program once more
	// Redis ignores it as well: a node outlives the terminal it was started from.
	// Only --logfile listens to it.
	signal.Ignore(syscall.SIGHUP)
	stopC := make(chan os.Signal, 2)
	signal.Notify(stopC, syscall.SIGINT, syscall.SIGTERM)
	os.Exit(realMain(os.Args[1:], os.Environ(), stopC))
}

// realMain runs the program and returns its exit status. Whatever goes wrong
// ends with a line that says what; there are several if several options are wrong.
func realMain(args, environ []string, stopC <-chan os.Signal) int {
	if len(args) > 0 && args[0] == "status" {
		return runStatus(args[1:], environ, stopC, os.Stdout, os.Stderr)
	}
	o, err := parseOptions(args, environ)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(os.Stderr, "raftredis:", strings.TrimSuffix(line, "\n"))
		}
		return 2
	}
	switch {
	case o.help:
		o.printHelp(os.Stdout)
		return 0
	case o.version:
		fmt.Fprintln(os.Stdout, version())
		return 0
	}
	if err := run(o, stopC); err != nil {
		fmt.Fprintln(os.Stderr, "raftredis:", err)
		return 1
	}
	return 0
}
