package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/raftredis/raftredis/raftnode"
)

// nodeConf is the file in the data directory that tells who it belongs to, so
// that a restart needs only --dir. Members and their addresses are in the log
// and in snapshots; here is what only this machine knows. No secret is in it.
const nodeConf = "node.conf"

// recall takes from the data directory what was not said otherwise.
func (o *options) recall() error {
	begun, err := raftnode.Begun(o.dir.value)
	if err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	o.restart = begun
	path := filepath.Join(o.dir.value, nodeConf)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || !o.restart {
		return nil // if it is all there is, raftnode refuses the directory
	}
	if err := checkNodeConf(path); err != nil {
		return err
	}
	all, err := readConfFile(path, 0)
	if err != nil {
		return err
	}
	if err := o.take(all); err != nil {
		return err
	}
	return o.validate()
}

// nodeConfSum begins the last line of nodeConf, which is a checksum of those before:
// one flipped bit, and a node would come back with another node's port.
const nodeConfSum = "# crc32c "

func nodeConfSumOf(content string) string {
	return fmt.Sprintf("%s%08x\n", nodeConfSum, crc32.Checksum([]byte(content), crc32.MakeTable(crc32.Castagnoli)))
}

// checkNodeConf refuses a file that is not what remember wrote.
func checkNodeConf(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	content := string(b)
	end := strings.LastIndex(content, nodeConfSum)
	if end < 0 || content[end:] != nodeConfSumOf(content[:end]) {
		return fmt.Errorf("%s is damaged, or was edited: its checksum is wrong; way out: move it away, and start once with the options "+
			"that this node was first started with (--id, --port and so on)", path)
	}
	return nil
}

// remember writes nodeConf, if it would change.
func (o *options) remember() error {
	var b strings.Builder
	b.WriteString("# Written by raftredis at each start, with a checksum: do not edit. Options given on starting win over these.\n")
	for i := range o.registry.all {
		opt := &o.registry.all[i]
		if !opt.Remember {
			continue
		}
		if value := opt.value.String(); opt.Name == "id" || value != opt.Default {
			fmt.Fprintf(&b, "%s %s\n", opt.Name, confQuote(value))
		}
	}
	b.WriteString(nodeConfSumOf(b.String()))
	if err := os.MkdirAll(o.dir.value, 0o700); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	path := filepath.Join(o.dir.value, nodeConf)
	if old, err := os.ReadFile(path); err == nil && string(old) == b.String() {
		return nil
	}
	return replaceFile(path, b.String(), 0o600)
}

// confQuote writes a value so that splitArgs reads it as it was.
func confQuote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"'\#`, r) }) < 0 {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			b.WriteString(`\x`)
			if c < 16 {
				b.WriteByte('0')
			}
			b.WriteString(strconv.FormatUint(uint64(c), 16))
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// rewriteConf puts changed values into a configuration file: in the place of the
// directive if it is there, else at the end. Comments and order stay.
func rewriteConf(path string, changed map[string]string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	var out []string
	done := map[string]bool{}
	for _, line := range strings.Split(strings.TrimRight(string(old), "\n"), "\n") {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		name = strings.ToLower(name)
		value, is := changed[name]
		switch {
		case !is:
			out = append(out, line)
		case !done[name]:
			out = append(out, name+" "+confQuote(value))
			done[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		if !done[name] {
			out = append(out, name+" "+confQuote(changed[name]))
		}
	}
	return replaceFile(path, strings.Join(out, "\n")+"\n", info.Mode().Perm())
}

// replaceFile makes path have content, or leaves it as it was.
func replaceFile(path, content string, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil // renamed already; a crash may bring back the old file, no more
	}
	return errors.Join(dir.Sync(), dir.Close())
}
