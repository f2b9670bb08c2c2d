package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// TestAsync writes beside others that do the same, and reads what is there.
func TestAsync(t *testing.T) {
	var wg sync.WaitGroup
	for writer := range 4 {
		name := filepath.Join(t.TempDir(), "f")
		wg.Go(func() {
			f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_DSYNC, 0o600)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			a, err := openAsync()
			if err != nil {
				t.Errorf("no asynchronous writes here: %v", err)
				return
			}
			var want []byte
			for i := range 500 {
				b := bytes.Repeat([]byte{byte(writer), byte(i)}, SectorSize/2)
				if n, err := a.writeAt(f, b, int64(len(want))); n != len(b) || err != nil {
					t.Errorf("write %d: %d, %v", i, n, err)
				}
				want = append(want, b...)
			}
			if err := a.close(); err != nil {
				t.Error(err)
			}
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("writer %d: %d bytes, %v, want %d others", writer, len(got), err, len(want))
			}
		})
	}
	wg.Wait()
}

// TestAsyncErrors has the kernel refuse a write, one of them only to be asynchronous.
func TestAsyncErrors(t *testing.T) {
	a, err := openAsync()
	must(t, err)
	defer a.close()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must(t, err)
	defer full.Close()
	if n, err := a.writeAt(full, make([]byte, SectorSize), 0); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk that takes no asynchronous writes: %d, %v", n, err)
	}
	readOnly, err := os.Open(os.DevNull)
	must(t, err)
	defer readOnly.Close()
	if n, err := a.writeAt(readOnly, make([]byte, SectorSize), 0); n != 0 || !errors.Is(err, syscall.EBADF) {
		t.Errorf("a file that is read only: %d, %v", n, err)
	}
}
