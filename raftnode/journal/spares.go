package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// spares are files that are to become segments. All of their blocks were written once:
// by an earlier segment, or with zeros. So to write them again allocates nothing.
type spares struct {
	dir    string
	beside func() func()

	mu      sync.Mutex
	ready   []spare
	keep    int           // as many old segments at most wait to be written again
	makingC chan struct{} // not nil while a file is being made; closed after that
	partial int64         // of which so much is written
	closed  bool
	made    int // counts the names
}

type spare struct {
	path string
	size int64
}

const (
	spareExt = ".tmp"
	// manySpares is how many old segments wait to be written again where there is room. A
	// snapshot may free several at a time, and the log takes them one after the other.
	manySpares = 2
	// pieceBytes are synced at a time: one sync of a whole segment would hold up those
	// of the log for long.
	pieceBytes = 1 << 20
)

// take returns a spare of at least need bytes, or makes one of size bytes.
func (s *spares) take(need, size int64) (spare, error) {
	s.mu.Lock()
	for s.makingC != nil {
		c := s.makingC
		s.mu.Unlock()
		<-c
		s.mu.Lock()
	}
	for i, sp := range s.ready {
		if sp.size >= need {
			s.ready = append(s.ready[:i], s.ready[i+1:]...)
			s.mu.Unlock()
			return sp, nil
		}
	}
	path := s.name()
	s.mu.Unlock() // look must not wait for a disk
	if err := makeFile(path, size, func(int64) error { return nil }); err != nil {
		return spare{}, err
	}
	return spare{path, size}, nil
}

// name is a new one. REQUIRES: mu is held.
func (s *spares) name() string {
	s.made++
	return filepath.Join(s.dir, fmt.Sprintf("%d%s", s.made, spareExt))
}

// make makes a spare of so many bytes in a goroutine, unless there is one. That fails
// if there is no room, and whoever wants the segment tries again.
func (s *spares) make(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.makingC != nil || len(s.ready) > 0 {
		return
	}
	doneC, path := make(chan struct{}), s.name()
	s.makingC = doneC
	go func() {
		defer close(doneC)
		if s.beside != nil {
			defer s.beside()()
		}
		err := makeFile(path, size, func(written int64) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.partial = written
			if s.closed {
				return os.ErrClosed
			}
			return nil
		})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.makingC, s.partial = nil, 0
		if err == nil {
			s.ready = append(s.ready, spare{path, size})
		}
	}()
}

// makeFile makes a file of zeros, durably. What it could not finish, or progress did not
// let it, it removes.
func makeFile(path string, size int64, progress func(int64) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, fileutil.PrivateFileMode)
	if err != nil {
		return err
	}
	for at := int64(0); at < size && err == nil; at += pieceBytes {
		if err = zero(f, at, min(at+pieceBytes, size)); err == nil {
			err = fileutil.Fdatasync(f)
		}
		if err == nil {
			err = progress(at)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("make %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// zero writes zeros.
func zero(f *os.File, from, to int64) error {
	if from >= to {
		return nil
	}
	zeros := make([]byte, min(to-from, pieceBytes))
	for ; from < to; from += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-from)], from); err != nil {
			return err
		}
	}
	return nil
}

// look is what is there.
func (s *spares) look() (ready bool, partial int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready) > 0, s.partial
}

// recycle makes an old segment a spare, if it is as large as the next ones, or removes it.
func (s *spares) recycle(path string, size int64) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	there := len(s.ready)
	if s.makingC != nil {
		there++
	}
	keep, name := !s.closed && fi.Size() == size && there < s.keep, s.name()
	s.mu.Unlock()
	if !keep {
		return os.Remove(path)
	}
	if err := os.Rename(path, name); err != nil {
		return err
	}
	// Before anything is written into it: under its old name it would be a segment whose
	// records are gone.
	if err := syncDir(s.dir); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.Remove(name)
	}
	s.ready = append(s.ready, spare{name, size})
	return nil
}

// limit has so many old segments wait at most, and removes those that are more.
func (s *spares) limit(n int) error {
	s.mu.Lock()
	s.keep = n
	rest := slices.Clone(s.ready[min(n, len(s.ready)):])
	s.ready = s.ready[:len(s.ready)-len(rest)]
	s.mu.Unlock()
	var err error
	for _, sp := range rest {
		err = errors.Join(err, os.Remove(sp.path))
	}
	return err
}

// close ends the making of a file, and removes all.
func (s *spares) close() error {
	s.mu.Lock()
	s.closed = true
	c := s.makingC
	s.mu.Unlock()
	if c != nil {
		<-c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, sp := range s.ready {
		err = errors.Join(err, os.Remove(sp.path))
	}
	s.ready = nil
	return err
}
