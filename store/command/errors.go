package command

import (
	"fmt"
	"strings"
)

// Error texts, byte for byte Redis's.
const (
	ErrWrongType  = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrSyntax     = "ERR syntax error"
	ErrNotInteger = "ERR value is not an integer or out of range"
	ErrNotFloat   = "ERR value is not a valid float"
	ErrNoSuchKey  = "ERR no such key"
	ErrOverflow   = "ERR increment or decrement would overflow"
	ErrDBIndex    = "ERR DB index is out of range"
	ErrSameObject = "ERR source and destination objects are the same"

	// ErrOOM refuses what may grow the data when maxmemory is reached and nothing can be
	// evicted.
	ErrOOM = "OOM command not allowed when used memory > 'maxmemory'."

	errScriptOOM     = "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"
	errStringTooLong = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	errNaNOrInf      = "ERR increment would produce NaN or Infinity"
)

// errExpireTime is the answer to a time to live that is out of range.
func errExpireTime(c *Call) string {
	return fmt.Sprintf("ERR invalid expire time in '%s' command", appendLower(nil, c.Args[0]))
}

// ErrorCode returns the first word of an error, by which errors are counted. To one
// without, Redis gives ERR.
func ErrorCode(line string) string {
	if i := strings.IndexByte(line, ' '); i >= 0 && i < 31 {
		return line[:i]
	}
	return "ERR"
}

// ErrArity is the answer to a wrong number of arguments. name is the full name
// in lower case, a subcommand's with its container: "object|encoding".
func ErrArity(name string) string {
	return fmt.Sprintf("ERR wrong number of arguments for '%s' command", name)
}
