package command

import (
	"errors"
	"slices"
	"strings"
)

// Errors of Keys.
var (
	ErrNoKeys      = errors.New("command has no key arguments")
	ErrInvalidKeys = errors.New("keys cannot be found in these arguments")
)

// KeyRef is a key among the arguments of a call.
type KeyRef struct {
	Pos   int
	Flags string // as in KeySpec
}

// keyFlagNames splits the flags of a key as COMMAND INFO prints them.
func keyFlagNames(flags string) []string {
	names := strings.Fields(flags)
	for i, f := range names {
		if len(f) > 2 { // RO, RW, OW and RM are printed in capitals
			names[i] = strings.ToLower(f)
		}
	}
	return names
}

// OnlyKey returns where a command has its key, if it always has exactly one and
// always there; otherwise 0.
func (s *Spec) OnlyKey() int {
	if len(s.Keys) != 1 || s.FindKeys != nil {
		return 0
	}
	if k := &s.Keys[0]; k.Keyword == "" && !k.NumKeys && k.Last == 0 && k.Limit == 0 && !k.Unknown {
		return k.Index
	}
	return 0
}

// HasKeys reports whether a command can have keys at all. A shard channel is none:
// it stands among the Keys for its slot alone.
func (s *Spec) HasKeys() bool {
	return slices.ContainsFunc(s.Keys, func(k KeySpec) bool { return !k.noKey() })
}

// OneKey reports whether each call has one key, the argument Keys[0].Index.
func (s *Spec) OneKey() bool {
	return len(s.Keys) == 1 && s.FindKeys == nil && s.Keys[0].Keyword == "" && !s.Keys[0].NumKeys && s.Keys[0].Last == 0 && !s.Keys[0].noKey()
}

func (k KeySpec) noKey() bool { return k.Flags == "NOT_KEY" }

// Keys finds the keys in the arguments of a call of s, whose number must have
// been checked. The error is ErrNoKeys or ErrInvalidKeys.
func Keys(s *Spec, argv [][]byte) ([]KeyRef, error) {
	if !s.HasKeys() {
		return nil, ErrNoKeys
	}
	if s.FindKeys != nil {
		if refs := s.FindKeys(argv); refs != nil {
			return refs, nil
		}
		return invalidKeys(s)
	}
	var refs []KeyRef
	for _, k := range s.Keys {
		if k.Unknown || k.noKey() {
			continue
		}
		first := k.Index
		if k.Keyword != "" {
			if first = k.search(argv); first < 0 {
				continue
			}
		}
		last := 0
		switch {
		case k.NumKeys:
			if first >= len(argv) {
				return invalidKeys(s)
			}
			n, ok := ParseInt(argv[first])
			if !ok || n < 0 || n >= int64(len(argv)) {
				return invalidKeys(s)
			}
			first++
			last = first + int(n) - 1
		case k.Last >= 0:
			last = first + k.Last
		case k.Limit == 0:
			last = len(argv) + k.Last
		default:
			last = first + (len(argv)-first)/k.Limit + k.Last
		}
		if first >= len(argv) || last >= len(argv) || last < first {
			return invalidKeys(s)
		}
		for i := first; i <= last; i += k.Step {
			refs = append(refs, KeyRef{Pos: i, Flags: k.Flags})
		}
	}
	if len(refs) == 0 {
		return invalidKeys(s)
	}
	return refs, nil
}

func invalidKeys(s *Spec) ([]KeyRef, error) {
	if s.Flags&NoMandatoryKeys != 0 {
		return nil, nil
	}
	return nil, ErrInvalidKeys
}

// search returns the position after the keyword, -1 if it is not there.
func (k KeySpec) search(argv [][]byte) int {
	if k.Index > 0 {
		for i := k.Index; i < len(argv)-1; i++ {
			if strings.EqualFold(string(argv[i]), k.Keyword) {
				return i + 1
			}
		}
		return -1
	}
	for i := len(argv) + k.Index; i > 1; i-- {
		if strings.EqualFold(string(argv[i]), k.Keyword) {
			return i + 1
		}
	}
	return -1
}

// WriteKeys replies what COMMAND GETKEYS, or GETKEYSANDFLAGS, says about a call.
func WriteKeys(reply Reply, t *Table, argv [][]byte, withFlags bool) {
	s := t.Resolve(argv)
	switch {
	case s == nil:
		reply.Error("ERR Invalid command specified")
		return
	case !s.HasKeys():
		reply.Error("ERR The command has no key arguments")
		return
	case !s.ArityOK(len(argv)):
		reply.Error("ERR Invalid number of arguments specified for command")
		return
	}
	refs, err := Keys(s, argv)
	if err != nil {
		reply.Error("ERR Invalid arguments specified for command")
		return
	}
	reply.Array(len(refs))
	for _, ref := range refs {
		if withFlags {
			reply.Array(2)
		}
		reply.Bulk(argv[ref.Pos])
		if withFlags {
			writeStatuses(reply, keyFlagNames(ref.Flags))
		}
	}
}
