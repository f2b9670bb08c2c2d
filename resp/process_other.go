//go:build !linux

package resp

import (
	"runtime"
	"time"
)

// Other systems do without these figures: INFO shows 0.

func residentMemory() int64 { return 0 }

func systemMemory() int64 { return 0 }

func cpuTimes() (user, system time.Duration) { return 0, 0 }

func uname() (system, release, machine string) { return runtime.GOOS, "", runtime.GOARCH }
