package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// directive is one line of a configuration file, or what stands for one.
type directive struct {
	name  string // lower case
	value string // the arguments joined by one blank
	where string // file:line, for errors; empty on the command line
}

// at begins an error about the directive.
func (d directive) at() string {
	if d.where == "" {
		return ""
	}
	return d.where + ": "
}

// shown is the name as the user wrote it.
func (d directive) shown() string {
	if d.where == "" {
		return "--" + d.name
	}
	return d.name
}

// from says where the value comes from.
func (d directive) from() string {
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
func readConfFile(path string, depth int) ([]directive, error) {
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
	var all []directive
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

func parseConf(r io.Reader, name string) ([]directive, error) {
	var all []directive
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
		all = append(all, directive{
			name:  strings.TrimLeft(strings.ToLower(args[0]), "-"),
			value: strings.Join(args[1:], " "),
			where: where,
		})
	}
	if err := scanner.Err(); err != nil {
		errs = append(errs, fmt.Errorf("read %s: %w", name, err))
	}
	return all, errors.Join(errs...)
}

// splitArgs splits a line into words as redis.conf and redis-cli do: "..." with
// \n \r \t \b \a \xHH and \<any>, '...' with \', and bare words.
func splitArgs(line string) ([]string, error) {
	var args []string
	for i := 0; i < len(line); {
		if line[i] == ' ' || line[i] == '\t' {
			i++
			continue
		}
		var word []byte
		quote := byte(0)
		for ; i < len(line); i++ {
			c := line[i]
			if quote == 0 {
				if c == ' ' || c == '\t' {
					break
				}
				if c == '"' || c == '\'' {
					quote = c
					continue
				}
				word = append(word, c)
				continue
			}
			switch {
			case c == quote:
				if i+1 < len(line) && line[i+1] != ' ' && line[i+1] != '\t' {
					return nil, fmt.Errorf("a closing quote must be followed by a blank: %s", line)
				}
				quote = 0
			case c == '\\' && i+1 < len(line) && (quote == '"' || line[i+1] == '\''):
				i++
				if n, ok := hexByte(line[i:]); ok && quote == '"' {
					word = append(word, n)
					i += 2
					continue
				}
				word = append(word, unescape(line[i], quote))
			default:
				word = append(word, c)
			}
		}
		if quote != 0 {
			return nil, fmt.Errorf("unbalanced quotes: %s", line)
		}
		args = append(args, string(word))
	}
	return args, nil
}

func unescape(c, quote byte) byte {
	if quote == '"' {
		switch c {
		case 'n':
			return '\n'
		case 'r':
			return '\r'
		case 't':
			return '\t'
		case 'b':
			return '\b'
		case 'a':
			return '\a'
		}
	}
	return c
}

// hexByte reads xHH.
func hexByte(s string) (byte, bool) {
	if len(s) < 3 || s[0] != 'x' {
		return 0, false
	}
	var n byte
	for _, c := range []byte(s[1:3]) {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | (c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | (c | 0x20 - 'a' + 10)
		default:
			return 0, false
		}
	}
	return n, true
}
