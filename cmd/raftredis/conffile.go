package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/raftredis/raftredis/resp/wire"
)

// confLine is one line of a configuration file, or what stands for one.
type confLine struct {
	name  string   // lower case
	value string   // the arguments joined by one blank
	words []string // the arguments, where the source says where each ends
	where string   // file:line, for errors; empty on the command line
}

// at begins an error about the directive.
func (d confLine) at() string {
	if d.where == "" {
		return ""
	}
	return d.where + ": "
}

// shown is the name as the user wrote it.
func (d confLine) shown() string {
	if d.where == "" {
		return "--" + d.name
	}
	return d.name
}

// from says where the value comes from.
func (d confLine) from() string {
	if d.where == "" {
		return d.shown()
	}
	return d.where
}

// maxIncludes bounds how deep files include each other.
const maxIncludes = 8

// readConfFile reads a file in the format of redis.conf: one directive a line,
// # begins a comment at the start of a line, arguments may be quoted, include
// reads further files in place. The error joins one for each line that is wrong.
func readConfFile(path string, depth int) ([]confLine, error) {
	if depth > maxIncludes {
		return nil, fmt.Errorf("%s: more than %d files include each other", path, maxIncludes)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	parsed, err := parseConf(f, path)
	errs := []error{err}
	var all []confLine
	for _, d := range parsed {
		if d.name != "include" {
			all = append(all, d)
			continue
		}
		paths, err := filepath.Glob(d.value)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: include: %w", d.where, err))
		}
		if err == nil && len(paths) == 0 && !strings.ContainsAny(d.value, "*?[") {
			errs = append(errs, fmt.Errorf("%s: include: there is no file %s", d.where, d.value))
		}
		for _, p := range paths {
			included, err := readConfFile(p, depth+1)
			errs = append(errs, err)
			all = append(all, included...)
		}
	}
	return all, errors.Join(errs...)
}

func parseConf(r io.Reader, name string) ([]confLine, error) {
	var all []confLine
	var errs []error
	scanner := bufio.NewScanner(r)
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		where := fmt.Sprintf("%s:%d", name, n)
		args, err := splitArgs(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
			continue
		}
		all = append(all, confLine{
			name:  strings.TrimLeft(strings.ToLower(args[0]), "-"),
			value: strings.Join(args[1:], " "),
			words: args[1:],
			where: where,
		})
	}
	if err := scanner.Err(); err != nil {
		errs = append(errs, fmt.Errorf("read %s: %w", name, err))
	}
	return all, errors.Join(errs...)
}

// splitArgs splits a line into words, which are quoted as in an inline command.
func splitArgs(line string) ([]string, error) {
	argv, ok := wire.SplitInline([]byte(line), nil)
	switch {
	case !ok:
		return nil, fmt.Errorf("unbalanced quotes, or a closing one without a blank behind it: %s", line)
	case len(argv) == 0:
		return nil, fmt.Errorf("the line begins with a NUL byte: %q", line)
	}
	args := make([]string, len(argv))
	for i, a := range argv {
		args[i] = string(a)
	}
	return args, nil
}
