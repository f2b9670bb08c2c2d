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
	err = writeDurably(path, fmt.Appendln(nil, next), func() error { return cfg.failpoint("incarnationBeforeRename") })
	if err != nil {
		return 0, fmt.Errorf("write incarnation: %w", err)
	}
	return next, nil
}
