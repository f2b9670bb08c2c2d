package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A file is what it was, or the new backup, and never a part of one.
func TestWriteBackup(t *testing.T) {
	name := filepath.Join(t.TempDir(), "backup")
	write := func(text string, err error) error {
		return writeBackup(name, func(w io.Writer) error {
			if _, werr := io.WriteString(w, text); werr != nil {
				return werr
			}
			return err
		})
	}
	check := func(want string) {
		t.Helper()
		got, err := os.ReadFile(name)
		if err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		if all, _ := filepath.Glob(name + "*"); len(all) != 1 {
			t.Errorf("there are %v", all)
		}
	}
	if err := write("first", nil); err != nil {
		t.Fatal(err)
	}
	check("first")
	broken := errors.New("broken")
	if err := write("half of the sec", broken); !errors.Is(err, broken) {
		t.Error(err)
	}
	check("first")
	if err := write("second", nil); err != nil {
		t.Fatal(err)
	}
	check("second")
}
