package resp

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// residentMemory is the process's resident set, in bytes.
func residentMemory() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// systemMemory is the machine's memory, in bytes.
func systemMemory() int64 {
	var si syscall.Sysinfo_t
	if syscall.Sysinfo(&si) != nil {
		return 0
	}
	return int64(si.Totalram) * int64(si.Unit)
}

func cpuTimes() (user, system time.Duration) {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0, 0
	}
	return time.Duration(ru.Utime.Nano()), time.Duration(ru.Stime.Nano())
}

func uname() (system, release, machine string) {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return "Linux", "", ""
	}
	return cText(u.Sysname[:]), cText(u.Release[:]), cText(u.Machine[:])
}

// cText reads a C string of chars, which are signed on some machines.
func cText[char int8 | uint8](chars []char) string {
	var b []byte
	for _, c := range chars {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}
