package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// async writes without keeping a thread. The kernel takes a write (Linux AIO), and says through
// an eventfd, which Go's poller watches like a socket, that it is done. A thread that waits in the
// kernel keeps its share of Go's processors until Go's monitor takes it away, and what other
// members answer meanwhile is read when the disk is done. One goroutine uses it.
type async struct {
	context uintptr
	eventfd *os.File
	poll    syscall.RawConn

	block iocb
	list  [1]*iocb
	event ioEvent
	err   error
	done  func(uintptr) bool // takes the event, if it has come
}

// iocb and ioEvent are the kernel's, see linux/aio_abi.h. What has no name is 0.
type iocb struct {
	_             uint64 // data, to know the event by
	_, _          uint32 // key, flags of the write: big-endian machines have them the other way round
	opcode        uint16
	_             int16 // priority
	file          uint32
	buf, size     uint64
	at            int64
	_             uint64
	flags, notify uint32
}

type ioEvent struct {
	data, block    uint64
	result, second int64
}

const (
	writeCommand  = 1 // IOCB_CMD_PWRITE
	notifyEventfd = 1 // IOCB_FLAG_RESFD
)

// openAsync returns an error where the kernel, or a container's rules, have no such thing,
// or where as many are in use as may be (fs.aio-max-nr).
func openAsync() (*async, error) {
	a := &async{}
	if _, _, errno := syscall.Syscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&a.context)), 0); errno != 0 {
		return nil, os.NewSyscallError("io_setup", errno)
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("eventfd", err), a.close())
	}
	a.eventfd = os.NewFile(uintptr(fd), "eventfd")
	if a.poll, err = a.eventfd.SyscallConn(); err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.list[0] = &a.block
	a.block.opcode, a.block.flags, a.block.notify = writeCommand, notifyEventfd, uint32(fd)
	// The runtime calls it before it waits, and each time the eventfd has been written to: that is
	// after the event is there, so none is missed, though the eventfd is never read.
	a.done = func(uintptr) bool {
		n, _, errno := syscall.RawSyscall6(unix.SYS_IO_GETEVENTS, a.context, 0, 1, uintptr(unsafe.Pointer(&a.event)), 0, 0)
		if errno != 0 && errno != syscall.EINTR { // a signal, and no event yet
			a.err = os.NewSyscallError("io_getevents", errno)
			return true
		}
		return errno == 0 && n == 1
	}
	if a.done(0); a.err != nil { // better now than when a write is under way
		return nil, errors.Join(a.err, a.close())
	}
	return a, nil
}

// writeAt writes b, which is not on a stack, and returns when that is done. An error is for
// good, as that of any write to a log.
func (a *async) writeAt(f *os.File, b []byte, at int64) (int, error) {
	c := &a.block
	c.file, c.at, c.buf, c.size = uint32(f.Fd()), at, uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), uint64(len(b))
	if _, _, errno := syscall.Syscall(unix.SYS_IO_SUBMIT, a.context, 1, uintptr(unsafe.Pointer(&a.list))); errno != 0 {
		return f.WriteAt(b, at) // nothing is under way: it has no room to note the write, or may not take it
	}
	err := a.poll.Read(a.done)
	runtime.KeepAlive(b)
	runtime.KeepAlive(f)
	switch {
	case err != nil:
		return 0, fmt.Errorf("wait for a write: %w", err)
	case a.err != nil:
		return 0, a.err
	case a.event.result == -int64(syscall.EINTR):
		return f.WriteAt(b, at) // a signal has ended it, as it may any write
	case a.event.result < 0:
		return 0, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.Errno(-a.event.result)}
	case a.event.result < int64(len(b)):
		return int(a.event.result), io.ErrShortWrite
	}
	return len(b), nil
}

// close waits for a write that is under way.
func (a *async) close() error {
	var err error
	if _, _, errno := syscall.Syscall(unix.SYS_IO_DESTROY, a.context, 0, 0); errno != 0 {
		err = os.NewSyscallError("io_destroy", errno)
	}
	if a.eventfd != nil {
		err = errors.Join(err, a.eventfd.Close())
	}
	return err
}
