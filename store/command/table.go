package command

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/raftredis/raftredis/store/keyspace"
)

// Table is all commands by name. It is built once, by main, and never changes.
type Table struct {
	byName   map[string]*Spec
	sorted   []*Spec
	internal map[string]*Spec
}

// maxName bounds how long a name is looked at, so that lookups need no
// allocation.
const maxName = 32

// Data returns the commands that are about data, all families of this package.
func Data() []*Spec {
	return slices.Concat(
		Strings(),
		Generic(),
		Lists(),
		Hashes(),
		Sets(),
		SortedSets(),
		Geo(),
		Bitmaps(),
		HyperLogLogs(),
		Streams(),
		Sorting(),
		Dump(),
		Limits(),
		Locks(),
		PubSubs(),
		Events(),
		Scripting(),
	)
}

// NewTable joins families of commands (Strings(), Generic(), the front's own)
// and refuses what is declared twice or not consistently. A container may be
// declared in several families: MEMORY USAGE is about data, MEMORY STATS about
// the node.
func NewTable(families ...[]*Spec) (*Table, error) {
	t := &Table{byName: make(map[string]*Spec), internal: make(map[string]*Spec)}
	for _, family := range families {
		for _, s := range family {
			if err := s.check(); err != nil {
				return nil, fmt.Errorf("command %q: %w", s.Name, err)
			}
			if s.Internal {
				t.internal[s.Name] = s
				continue
			}
			if have := t.byName[s.Name]; have != nil {
				if err := have.join(s); err != nil {
					return nil, fmt.Errorf("command %q: %w", s.Name, err)
				}
				continue
			}
			s.adopt(s.Subcommands)
			t.byName[s.Name] = s
			t.sorted = append(t.sorted, s)
		}
	}
	sort.Slice(t.sorted, func(i, j int) bool { return t.sorted[i].Name < t.sorted[j].Name })
	return t, nil
}

func (s *Spec) adopt(subs []*Spec) {
	for _, sub := range subs {
		sub.container = s.Name
		sub.Level = max(sub.Level, s.Level)
	}
}

// join takes over the subcommands of another declaration of the same container.
func (s *Spec) join(other *Spec) error {
	if len(s.Subcommands) == 0 || len(other.Subcommands) == 0 {
		return errors.New("declared twice")
	}
	s.adopt(other.Subcommands)
	for _, sub := range other.Subcommands {
		if s.Sub([]byte(sub.Name)) != nil {
			return fmt.Errorf("subcommand %q is declared twice", sub.Name)
		}
		s.Subcommands = append(s.Subcommands, sub)
	}
	return nil
}

func (s *Spec) check() error {
	handlers := 0
	for _, set := range []bool{s.Read != nil || s.Write != nil, s.Local, len(s.Subcommands) > 0} {
		if set {
			handlers++
		}
	}
	switch {
	case len(s.Name) == 0 || len(s.Name) > maxName:
		return fmt.Errorf("name of %d bytes", len(s.Name))
	case handlers == 0 || handlers > 1 && !(s.Local && len(s.Subcommands) > 0):
		return fmt.Errorf("needs Read or Write, Local, or Subcommands")
	case s.Answer != nil && !s.Local:
		return errors.New("only a Local command can have an Answer")
	case s.Block != nil && (s.Read == nil && s.Write == nil || s.Block.Timeout == nil || s.Block.Keys == nil || s.Block.Kind == keyspace.None):
		return errors.New("what blocks reads or writes, and says for what kind of value, for which keys and how long")
	case s.Runs != 0 && (!s.Script || s.Read == nil || s.Write == nil):
		return errors.New("what runs a script is tried as a Read and applied as a Write")
	case s.Channels != NoChannels && s.Flags&PubSub == 0:
		return errors.New("only a PubSub command has Channels")
	case s.Arity == 0 || s.Summary == "" || s.Since == "" || s.Group == "":
		return fmt.Errorf("arity, summary, since and group are all needed")
	}
	if _, err := s.Arguments(); err != nil {
		return err
	}
	for _, sub := range s.Subcommands {
		if err := sub.check(); err != nil {
			return fmt.Errorf("subcommand %q: %w", sub.Name, err)
		}
	}
	return nil
}

// Lookup finds a command by its name in any case, nil if there is none.
func (t *Table) Lookup(name []byte) *Spec {
	var lower [maxName]byte
	if len(name) > maxName {
		return nil
	}
	return t.byName[string(appendLower(lower[:0], name))]
}

// Internal finds an internal command by its name, nil if there is none.
func (t *Table) Internal(name string) *Spec { return t.internal[name] }

// Sub finds a subcommand of s by its name in any case, nil if there is none.
func (s *Spec) Sub(name []byte) *Spec {
	for _, sub := range s.Subcommands {
		if EqualFold(name, sub.Name) {
			return sub
		}
	}
	return nil
}

// Resolve finds the command that argv calls: a subcommand where its first
// argument names one of a container, else the command itself. It is how a log
// entry is read, and so also finds what is internal.
func (t *Table) Resolve(argv [][]byte) *Spec {
	s := t.Lookup(argv[0])
	if s == nil {
		return t.internal[string(argv[0])]
	}
	if len(s.Subcommands) > 0 && len(argv) > 1 {
		if sub := s.Sub(argv[1]); sub != nil {
			return sub
		}
	}
	return s
}

// All returns every command in the order of names. The slice is the table's
// own.
func (t *Table) All() []*Spec { return t.sorted }

func appendLower(dst, name []byte) []byte {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// EqualFold reports whether b is lower, which is in lower case, in any case of
// ASCII letters.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
