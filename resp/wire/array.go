package wire

import "github.com/tidwall/redcon"

// SplitArray splits the complete command in b, which Next has let through and which
// has the protocol's usual form. The arguments alias b; argv's array is used again.
// It answers false if redcon reads the command differently than Frame: the two would
// be out of step from here on.
func (f *Frame) SplitArray(b []byte, argv [][]byte) (_ [][]byte, ok bool) {
	if b[1] == '0' || b[1] == '-' {
		return argv[:0], true // no arguments, no command, no reply
	}
	if f.seen > cap(argv) {
		argv = make([][]byte, 0, f.seen) // rather than by doubling
	}
	complete, args, kind, rest, err := redcon.ReadNextCommand(b, argv)
	if err != nil || !complete || len(rest) != 0 || kind != redcon.Redis {
		return argv, false
	}
	return args, true
}
