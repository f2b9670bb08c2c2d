package script

import "errors"

// Limits bound one run. They are counted, never timed, so that a script that
// goes over one ends at the same instruction on every node. Zero is no limit.
type Limits struct {
	Instructions int64 // steps of the interpreter
	Memory       int64 // bytes allocated over the whole run, those since freed included
}

var (
	// ErrInstructions is what Run returns when Limits.Instructions is reached.
	ErrInstructions = errors.New("ERR script ended: it reached the limit of instructions")
	// ErrMemory is what Run returns when Limits.Memory is reached.
	ErrMemory = errors.New("ERR script ended: it reached the limit of memory")
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

// Levels of redis.log.
const (
	LogDebug = iota
	LogVerbose
	LogNotice
	LogWarning
)

// Env is what one run sees of its host.
type Env struct {
	Keys, Args [][]byte
	Now        int64 // ms since 1970: what os.clock is derived from
	RESP3      bool  // of the client: how a reply of 'out' is made; redis.call starts with RESP2 whatever this is

	// Call runs a command through the host's checks (arity, noscript, read-only,
	// ACL, cross-slot) and writes its one reply into reply, whose RESP3 is what
	// redis.setresp has set. An error ends the script at once, whatever pcall it
	// is in, and is what Run returns. argv is the host's to keep.
	Call func(argv [][]byte, reply Reply) error
	// ACLCheck answers redis.acl_check_cmd; the error is "ERR Invalid command ..." when there is no such command.
	ACLCheck func(argv [][]byte) (bool, error)
	// Log takes redis.log. Nil discards.
	Log func(level int, message string)
	// Stop is asked now and then and ends the script as an error of Call does.
	// Only a run that nothing is applied by may set it.
	Stop func() error
}

// Reply takes one reply; it has the methods of command.Reply.
type Reply interface {
	Status(s string)
	Error(err string)
	Int(n int64)
	Bulk(b []byte)
	BulkString(s string)
	Null()
	NullArray()
	Array(n int)
	Map(pairs int)
	Set(n int)
	Push(n int)
	Double(f float64)
	Decimal(s string)
	Bool(b bool)
	BigNumber(s string)
	Verbatim(ext, s string)
	RESP3() bool
}

// Script is a compiled EVAL body. It is immutable: any number of engines may run it.
type Script struct {
	SHA   string // SHA-1 of the source, 40 hex digits
	Flags Flags
}

// Compile compiles the body of an EVAL or SCRIPT LOAD. The error is the reply.
func Compile(source []byte) (*Script, error) { return nil, errors.New("ERR not yet") }

// Engine runs scripts and functions, one at a time: it has no lock. It keeps
// nothing of one run for the next.
type Engine struct{}

// NewEngine makes an engine.
func NewEngine() *Engine { return &Engine{} }

// Run runs a script and writes its reply, be it an error of the script's own, to
// out. An error means that the script was ended from outside (ErrInstructions,
// ErrMemory, or what Call or Stop returned): nothing has been written then, and
// what its commands did stands.
func (e *Engine) Run(s *Script, env *Env, limits Limits, out Reply) error { return errors.New("ERR not yet") }

// Function is one function of a library.
type Function struct {
	Name        string
	Description string // "" is none
	Flags       Flags
}

// Library is a compiled FUNCTION LOAD. It is immutable, as Script.
type Library struct {
	Name      string
	Engine    string      // "LUA"
	Source    []byte      // the shebang included
	Functions []*Function // in order of name
}

// LoadLibrary compiles a library and runs it for its registrations. The error is
// the reply of FUNCTION LOAD.
func LoadLibrary(source []byte, limits Limits) (*Library, error) { return nil, errors.New("ERR not yet") }

// RunFunction runs a function of a library, as Run does a script.
func (e *Engine) RunFunction(l *Library, name string, env *Env, limits Limits, out Reply) error {
	return errors.New("ERR not yet")
}
