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
func nextIncarnation(cfg *Config) (uint64, error) {
	path := filepath.Join(cfg.Dir, "incarnation")
	var last uint64
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return 0, fmt.Errorf("read incarnation: %w", err)
	default:
		last, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err)
		}
	}
	next := last + 1
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, fmt.Errorf("write incarnation: %w", err)
	}
	_, err = fmt.Fprintln(f, next)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = cfg.failpoint("incarnationBeforeRename")
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = syncDir(cfg.Dir)
	}
	if err != nil {
		return 0, fmt.Errorf("write incarnation: %w", err)
	}
	return next, nil
}
