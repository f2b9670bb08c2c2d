package raftnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Evidence is never deleted: what is damaged, or of no use to the log, is moved into a
// folder beside it. Whoever has to find out what happened, or to save what can be saved,
// has all of it.

// damagedFile is a file that is to be set aside.
type damagedFile struct{ path, why string }

// newAside makes a folder for what must not stay where it is and must not be lost.
func newAside(cfg *Config) (string, error) {
	now := time.Now() //nolint:forbidigo // a name for people
	name := filepath.Join(cfg.Dir, "set-aside-"+now.UTC().Format("20060102T150405"))
	for n := 0; ; n++ {
		dir := name
		if n > 0 {
			dir = fmt.Sprintf("%s.%d", name, n)
		}
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("set damage aside: %w", err)
		}
	}
}

// setAside moves files of the data directory into a folder of their own.
func setAside(cfg *Config, files ...damagedFile) error {
	if len(files) == 0 {
		return nil
	}
	dir, err := newAside(cfg)
	if err != nil {
		return err
	}
	sync := []string{dir, cfg.Dir}
	for _, f := range files {
		to := filepath.Join(dir, filepath.Base(f.path))
		if err := os.Rename(f.path, to); err != nil {
			return fmt.Errorf("set damage aside: %w", err)
		}
		if from := filepath.Dir(f.path); !slices.Contains(sync, from) {
			sync = append(sync, from)
		}
		cfg.Logger.Warn("file set aside", zap.String("file", f.path), zap.String("why", f.why), zap.String("moved", to))
	}
	return syncDirs(sync...)
}

// keepAside keeps the part of a file that is cut off.
func keepAside(cfg *Config, name string, b []byte) error {
	dir, err := newAside(cfg)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := writeAndSync(path, b); err != nil { // most likely there is no room
		return fmt.Errorf("set damage aside: %w", errors.Join(err, os.Remove(path), os.Remove(dir)))
	}
	cfg.Logger.Warn("kept what is cut off", zap.String("file", path), zap.Int("bytes", len(b)))
	return syncDirs(dir, cfg.Dir)
}

func syncDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("set damage aside: %w", err)
		}
	}
	return nil
}
