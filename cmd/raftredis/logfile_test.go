package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs", "node.log")
	if _, err := openLogFile(path); err == nil {
		t.Fatal("a file in a directory that is not there was opened")
	}
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := openLogFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(s string) {
		t.Helper()
		if _, err := l.Write([]byte(s + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	has := func(name, want string) {
		t.Helper()
		got, err := os.ReadFile(name)
		if err != nil || strings.Join(strings.Fields(string(got)), " ") != want {
			t.Errorf("%s has %q (%v), want %q", filepath.Base(name), got, err, want)
		}
	}
	rename := func(to string) {
		t.Helper()
		if err := os.Rename(path, to); err != nil {
			t.Fatal(err)
		}
	}

	write("a")
	rename(path + ".1") // logrotate, without any signal
	write("b")
	has(path+".1", "a")
	has(path, "b")

	rename(path + ".2") // and with one: the new file is there at once
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("SIGHUP does not open the file again")
		}
	}
	has(path+".2", "b")

	if err := os.Truncate(path, 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	write("c")
	has(path, "c")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write("d")
	has(path, "d")

	moved := filepath.Dir(path) + ".moved" // there can be no new file: the old one goes on
	if err := os.Rename(filepath.Dir(path), moved); err != nil {
		t.Fatal(err)
	}
	write("e")
	write("f")
	got, err := os.ReadFile(filepath.Join(moved, "node.log"))
	if err != nil || strings.Count(string(got), "cannot be opened again") != 1 || !strings.HasSuffix(string(got), "e\nf\n") {
		t.Errorf("%q (%v)", got, err)
	}
	if err := os.Rename(moved, filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	write("g")
	if err := l.close(); err != nil {
		t.Error(err)
	}
}
