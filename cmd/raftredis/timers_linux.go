package main

import (
	"os"
	"runtime"
	"syscall"
)

// timerSlack is how late the kernel may wake a thread that sleeps, in ns.
//
// Go's monitor thread sleeps for 20 us at a time whenever a system call is under
// way, and a node that waits for its disk and its peers nearly always has one. On
// a virtual machine each of these wake-ups is an exit to the host: they were more
// than half of all context switches of a node under load, and cost more than all
// of its own work. Nothing in the program depends on a timer being more exact
// than a millisecond.
const timerSlack = 1_000_000

const prSetTimerSlack, prGetTimerSlack = 29, 30 // linux/prctl.h

// coalesceTimers gives every thread of the process timerSlack. The slack belongs
// to a thread, is inherited from the one that makes it, and outlives exec: so
// this thread takes it and the program starts again, in the same process. A
// kernel that refuses costs speed only.
func coalesceTimers() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prGetTimerSlack, 0, 0)
	if errno != 0 || slack >= timerSlack {
		return
	}
	self, err := os.Executable()
	if err != nil {
		return
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, timerSlack, 0); errno != 0 {
		return
	}
	_ = syscall.Exec(self, os.Args, os.Environ()) // returns only if it failed
}
