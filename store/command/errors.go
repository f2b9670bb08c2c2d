package command

import "fmt"

// Error texts, byte for byte Redis's.
const (
	ErrWrongType  = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrSyntax     = "ERR syntax error"
	ErrNotInteger = "ERR value is not an integer or out of range"
	ErrNotFloat   = "ERR value is not a valid float"
	ErrNoSuchKey  = "ERR no such key"
	ErrOverflow   = "ERR increment or decrement would overflow"
	ErrDBIndex    = "ERR DB index is out of range"
)

// ErrArity is the answer to a wrong number of arguments. name is the full name
// in lower case, a subcommand's with its container: "object|encoding".
func ErrArity(name string) string {
	return fmt.Sprintf("ERR wrong number of arguments for '%s' command", name)
}
