//go:build !linux

package main

func coalesceTimers() {}
