package raftnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// nextIncarnation counts the starts of this node in a file. The number tells
// requests of this run from those of earlier ones that are still in somebody's
// log or buffer, so it must never be handed out twice: it is durable before it is
// used.
//
// The promise knows it, too, so that one of the two files may be missing, damaged or an
// older copy.
func nextIncarnation(cfg *Config) (uint64, error) {
	var promised uint64
	switch p, err := readPromise(cfg); {
	case err != nil && !errors.Is(err, errDamaged):
		return 0, err
	case p != nil:
		promised = p.Incarnation
	}
	path := filepath.Join(cfg.Dir, "incarnation")
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read incarnation: %w", err)
	}
	last, perr := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err == nil && perr != nil {
		if promised == 0 {
			return 0, fmt.Errorf("%w: %s: %w; way out: write a number into it that is higher than this node's starts can have been", ErrCorrupt, path, perr)
		}
		if err := setAside(cfg, damagedFile{path, perr.Error()}); err != nil {
			return 0, err
		}
	}
	next := max(last, promised) + 1
	err = writeDurably(path, fmt.Appendln(nil, next), func() error { return cfg.failpoint("incarnationBeforeRename") })
	if err != nil {
		return 0, fmt.Errorf("write incarnation: %w", err)
	}
	return next, nil
}
