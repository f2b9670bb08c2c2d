package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// logFile is the file of --logfile, under that name: when somebody has renamed or
// removed the file, as logrotate does, the next line goes to a new one. Redis opens
// the file for each line, so that is what its users count on. SIGHUP opens it again
// in any case.
type logFile struct {
	path string
	hupC chan os.Signal
	done chan struct{} // closed when nobody listens for SIGHUP any more

	mu     sync.Mutex
	f      *os.File
	info   os.FileInfo // of f
	failed bool        // it could not be opened again, and the file says so
}

func openLogFile(path string) (*logFile, error) {
	l := &logFile{path: path, hupC: make(chan os.Signal, 1), done: make(chan struct{})}
	if err := l.open(); err != nil {
		return nil, err
	}
	signal.Notify(l.hupC, syscall.SIGHUP)
	go func() {
		defer close(l.done)
		for range l.hupC {
			l.mu.Lock()
			l.reopen()
			l.mu.Unlock()
		}
	}()
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) //nolint:gosec // as Redis, for whoever collects logs
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // nothing was written to it
		return err
	}
	if l.f != nil {
		_ = l.f.Close() // what was written is with the kernel, and there is nowhere to complain
	}
	l.f, l.info, l.failed = f, info, false
	return nil
}

// reopen goes on with the old file if there can be no new one.
func (l *logFile) reopen() {
	if err := l.open(); err != nil && !l.failed {
		l.failed = true
		fmt.Fprintf(l.f, "raftredis: the log goes on here, because --logfile cannot be opened again: %v\n", err)
	}
}

// Write implements zapcore.WriteSyncer.
func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if there, err := os.Stat(l.path); err != nil || !os.SameFile(there, l.info) {
		l.reopen()
	}
	return l.f.Write(b)
}

// Sync implements zapcore.WriteSyncer.
func (l *logFile) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Sync()
}

func (l *logFile) close() error {
	signal.Stop(l.hupC)
	close(l.hupC)
	<-l.done
	return l.f.Close()
}
