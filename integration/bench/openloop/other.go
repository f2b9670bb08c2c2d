//go:build !linux

// Command openloop sends SETs at a fixed rate. It needs Linux's sleep.
package main

import "os"

func main() {
	os.Stderr.WriteString("openloop: runs on Linux only\n")
	os.Exit(1)
}
