package script

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // it is what Redis names scripts by
	"encoding/hex"
	"errors"
	"strings"

	"github.com/raftredis/raftredis/store/script/lua"
)

// Flags are those of a script's shebang or of a function.
type Flags struct {
	NoWrites           bool // no-writes
	AllowOOM           bool // allow-oom
	AllowStale         bool // allow-stale
	NoCluster          bool // no-cluster
	AllowCrossSlotKeys bool // allow-cross-slot-keys
	Compat             bool // EVAL without a shebang: Redis decides by command, not by flag
}

// set sets a flag by its name.
func (f *Flags) set(name string) bool {
	switch name {
	case "no-writes":
		f.NoWrites = true
	case "allow-oom":
		f.AllowOOM = true
	case "allow-stale":
		f.AllowStale = true
	case "no-cluster":
		f.NoCluster = true
	case "allow-cross-slot-keys":
		f.AllowCrossSlotKeys = true
	default:
		return false
	}
	return true
}

// Names lists the flags that are set, as FUNCTION LIST does.
func (f Flags) Names() []string {
	var names []string
	for _, n := range []struct {
		set  bool
		name string
	}{
		{f.NoWrites, "no-writes"}, {f.AllowOOM, "allow-oom"}, {f.AllowStale, "allow-stale"},
		{f.NoCluster, "no-cluster"}, {f.AllowCrossSlotKeys, "allow-cross-slot-keys"},
	} {
		if n.set {
			names = append(names, n.name)
		}
	}
	return names
}

// Script is a compiled EVAL body. It is immutable: any number of engines may run it.
type Script struct {
	SHA   string // SHA-1 of the source, 40 hex digits
	Flags Flags
	chunk *lua.Chunk
}

// SHA is the name of a script: the SHA-1 of its source, in hex.
func SHA(source []byte) string {
	sum := sha1.Sum(source) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// Compile compiles the body of an EVAL or SCRIPT LOAD. The error is the reply.
func Compile(source []byte) (*Script, error) {
	s := &Script{SHA: SHA(source)}
	body, err := s.Flags.shebang(source)
	if err != nil {
		return nil, err
	}
	if s.chunk, err = lua.Compile(string(body), "@user_script"); err != nil {
		return nil, errors.New("ERR Error compiling script (new function): " + err.Error())
	}
	return s, nil
}

// FlagsOf reads the flags of a script. The error is the reply that Compile gives too.
func FlagsOf(source []byte) (f Flags, err error) {
	_, err = f.shebang(source)
	return f, err
}

// shebang reads the flags and returns what is to be compiled: all but the first
// line, whose end stays for the sake of line numbers.
func (f *Flags) shebang(source []byte) ([]byte, error) {
	if !bytes.HasPrefix(source, []byte("#!")) {
		f.Compat = true
		return source, nil
	}
	end := bytes.IndexByte(source, '\n')
	if end < 0 {
		return nil, errors.New("ERR Invalid script shebang")
	}
	parts, ok := splitArgs(string(source[:end]))
	if !ok || len(parts) == 0 {
		return nil, errors.New("ERR Invalid engine in script shebang")
	}
	if parts[0] != "#!lua" {
		return nil, errors.New("ERR Unexpected engine in script shebang: " + parts[0])
	}
	for _, p := range parts[1:] {
		list, ok := strings.CutPrefix(p, "flags=")
		if !ok {
			return nil, errors.New("ERR Unknown lua shebang option: " + p)
		}
		if list == "" {
			continue
		}
		for _, name := range strings.Split(list, ",") {
			if !f.set(name) {
				return nil, errors.New("ERR Unexpected flag in script shebang: " + name)
			}
		}
	}
	return source[end:], nil
}

// splitArgs is sdssplitargs: words, and strings in quotes.
func splitArgs(line string) ([]string, bool) {
	var words []string
	i := 0
	at := func(i int) byte {
		if i < len(line) {
			return line[i]
		}
		return 0
	}
	space := func(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
	for {
		for space(at(i)) {
			i++
		}
		if at(i) == 0 {
			return words, true
		}
		var b strings.Builder
		var quote byte
	word:
		for {
			c := at(i)
			switch {
			case quote == '"' && c == '\\' && at(i+1) == 'x':
				if raw, err := hex.DecodeString(line[min(i+2, len(line)):min(i+4, len(line))]); err == nil && len(raw) == 1 {
					b.WriteByte(raw[0])
					i += 3
				} else {
					b.WriteByte('x')
					i++
				}
			case quote == '"' && c == '\\' && at(i+1) != 0:
				i++
				c = at(i)
				if n := strings.IndexByte("nrtba", c); n >= 0 {
					c = "\n\r\t\b\a"[n]
				}
				b.WriteByte(c)
			case quote == '\'' && c == '\\' && at(i+1) == '\'':
				i++
				b.WriteByte('\'')
			case quote != 0 && c == quote:
				if n := at(i + 1); n != 0 && !space(n) {
					return nil, false
				}
				i++
				break word
			case quote != 0 && c == 0:
				return nil, false
			case quote != 0:
				b.WriteByte(c)
			case space(c) || c == 0:
				break word
			case c == '"' || c == '\'':
				quote = c
			default:
				b.WriteByte(c)
			}
			i++
		}
		words = append(words, b.String())
	}
}
