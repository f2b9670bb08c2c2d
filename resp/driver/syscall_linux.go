package driver

import (
	"syscall"
	"unsafe"
)

// The event loops' system calls never wait: the sockets are non-blocking, and
// epoll is asked with a timeout of 0. So they are made without telling the
// scheduler, which would otherwise, whenever the machine is busy and a call
// takes longer than some 20 us, give the loop's processor to another thread and
// have the loop queue for one again.

// rawMost bounds what one call copies, since a garbage collection that begins
// meanwhile has to wait for it.
const rawMost = 256 * 1024

func rawRead(fd int, b []byte) (int, error) {
	if len(b) > rawMost {
		b = b[:rawMost]
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func rawWrite(fd int, b []byte) (int, error) {
	if len(b) > rawMost {
		b = b[:rawMost]
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// epollPoll is epoll_wait with a timeout of 0, under the name that every
// architecture has it by.
func epollPoll(epfd int, events []syscall.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
