package command

import "strings"

// Spec declares one command. It is the only place that a command is known in.
type Spec struct {
	Name       string // lower case; a subcommand's is its own name alone
	Arity      int    // as Redis counts: with the name; negative: at least
	Flags      Flags  // beyond Readonly and Write, which follow from the handler
	Keys       []KeySpec
	Group      string // Redis's: "string", "generic", "connection" ...
	Since      string // the Redis version that introduced it
	Complexity string
	Summary    string
	Syntax     string // the arguments in Redis's notation: "key value [NX | XX] [EX seconds]"
	ACL        string // ACL categories, space separated, where they are not that of the group
	Tips       string // Redis's command tips, space separated

	// Level is the one that came with the command: as long as a lower one is in force, it
	// is refused, and scripts do not find it. 0: Level1.
	Level Level

	DeprecatedSince string // the Redis version, and what to use instead
	ReplacedBy      string

	// Exactly one of these is set, but for a command that reads and may have to
	// write what it has found out: it has Read, which calls Defer then, and Write,
	// which does all of it, for that case and for where nobody can defer. Local is for commands that are about the
	// connection or the node and not about data: the front runs them itself.
	Read        func(*Read)
	Write       func(*Write)
	Local       bool
	Answer      func(Reply) // a Local command's reply, where it is always the same
	Subcommands []*Spec     // a container command, such as OBJECT

	// FindKeys, if not nil, finds the keys of a call instead of Keys, where that
	// cannot say it all: SET's flags depend on GET, SORT's STORE may be anywhere.
	// nil: they cannot be found in these arguments.
	FindKeys func(argv [][]byte) []KeyRef

	// Vain says of a Write that it changes nothing, and tells nobody of anything, if none
	// of its keys is there, and that its reply is the same then whatever else there is.
	// Such a call need not go through the log (store/vain.go).
	Vain bool

	// Unchanged, if not nil, answers a call of a Write that finds what it is about there,
	// and just as the call wants it: SADD of members. Where Redis would change nothing, and
	// tell nobody of anything, it gives the reply that Write gives and reports true. Of any
	// other call, one without its key or that goes wrong among them, it says nothing and
	// reports false: that is for the log (store/vain.go).
	Unchanged func(*Read) bool
	// UnchangedIf, if not nil, says which calls Unchanged is to be asked about at all: SET
	// only with NX.
	UnchangedIf func(argv [][]byte) bool

	// CountLookups says of a Write that the keys which it looks up for reading count
	// as keyspace_hits and keyspace_misses, as all of a Read's do. It follows
	// Redis's use of lookupKeyRead.
	CountLookups bool

	Block *Block // for a command that may wait: BLPOP and its like

	// Script is for what runs a script, or is about those that there are: Redis counts
	// none of them as reading or writing unless its Flags say so.
	Script bool
	// Runs is set where the command itself runs one.
	Runs Naming

	// Channels are the arguments that a user must be allowed to send to or to hear.
	Channels Channels

	// Foreign, if not nil, returns Redis's error for a call that reads keys which are
	// known only when it runs (SORT's BY and GET), by a user who may not read all keys.
	// It is "" if the call does not, or is going to be refused anyway.
	Foreign func(argv [][]byte) string

	// OtherDatabase, if not nil, returns Redis's error, in a cluster, for a call that is
	// about another database than 0, and "" for any other.
	OtherDatabase func(argv [][]byte) string

	// Internal is for what only nodes themselves propose or read: no client can
	// call it or see it. See Table.Internal.
	Internal bool

	container string // the name of the command that this is a subcommand of
}

// Naming is how a command names the script that it runs.
type Naming uint8

// How it may. The zero value is for commands that run none.
const (
	BySource Naming = iota + 1 // EVAL
	BySHA                      // EVALSHA
	ByName                     // FCALL
)

// Channels says which arguments of a command are channels.
type Channels uint8

// What there is. Who unsubscribes needs no permission for what it names.
const (
	NoChannels   Channels = iota
	FirstChannel          // the first argument
	AllChannels           // every argument
	AllPatterns           // every argument, a pattern of channels
)

// Among returns where the channels are in a call of n arguments, the name included:
// from and up to.
func (c Channels) Among(n int) (from, to int) {
	switch c {
	case FirstChannel:
		return 1, min(2, n)
	case AllChannels, AllPatterns:
		return 1, n
	default:
		return 0, 0
	}
}

// FullName is the name by which Redis knows the command in errors and COMMAND: a
// subcommand's is "object|encoding".
func (s *Spec) FullName() string {
	if s.container == "" {
		return s.Name
	}
	return s.container + "|" + s.Name
}

// Help returns the subcommand HELP of a container, which answers with these
// lines between those that Redis puts around them.
func Help(container, group, since string, lines ...string) *Spec {
	return &Spec{
		Name: "help", Arity: 2, Group: group, Since: since,
		Flags:      Loading | Stale,
		Complexity: "O(1)",
		Summary:    "Show helpful text about the different subcommands",
		Local:      true,
		Answer: func(reply Reply) {
			reply.Array(len(lines) + 3)
			reply.Status(strings.ToUpper(container) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
			for _, line := range lines {
				reply.Status(line)
			}
			reply.Status("HELP")
			reply.Status("    Prints this help.")
		},
	}
}

// Flags are Redis's command flags. Each also implies ACL categories, as in
// Redis's setImplicitACLCategories.
type Flags uint32

// The flags that a Spec may set. Readonly and Write are derived.
const (
	Readonly        Flags = 1 << iota // has a Read handler
	WriteFlag                         // has a Write handler
	DenyOOM                           // may grow the data: refused when memory is full
	Admin                             // @admin, @dangerous
	PubSub                            //
	NoScript                          // not from a script
	Blocking                          // may block the client
	Loading                           // allowed before the first snapshot is loaded
	Stale                             // allowed without a leader when stale data are refused
	SkipMonitor                       //
	SkipSlowlog                       //
	Fast                              // O(1) or O(log n); @fast, else @slow
	NoAuth                            // allowed before AUTH
	MayReplicate                      // like a write to CLIENT PAUSE and in scripts that only read
	NoAsyncLoading                    //
	NoMulti                           // not inside MULTI
	MovableKeys                       // keys are found by Keys' keyword or number, not by position alone
	AllowBusy                         //
	NoMandatoryKeys                   // may be called without any key
	Dangerous                         // @dangerous without @admin (KEYS, FLUSHALL, SORT)
)

// KeySpec says where keys stand among the arguments, as Redis 7's key specs do.
type KeySpec struct {
	Flags string // Redis's, space separated: "RO ACCESS", "RW UPDATE", "OW INSERT" ...

	// Where to begin: at argument Index, or after the first Keyword found from
	// argument Index on (from the end backwards if it is negative).
	Index   int
	Keyword string

	// Which from there on. If NumKeys, the argument there is the number of keys
	// and they follow it; the rest is ignored but for Step. Otherwise: up to Last
	// (0: that one alone; negative: counted from the last argument), every
	// Step-th; a Limit of n takes only the first 1/n of what remains.
	NumKeys bool
	Last    int
	Step    int
	Limit   int
	Unknown bool // Redis calls the spec incomplete or not known (SORT's BY and GET)
}

// One is a single key at argument i.
func One(i int, flags string) []KeySpec { return []KeySpec{{Flags: flags, Index: i, Step: 1}} }

// All is every argument from i on, in steps.
func All(i, step int, flags string) []KeySpec {
	return []KeySpec{{Flags: flags, Index: i, Last: -1, Step: step}}
}

// Counted is a number at argument i and so many keys after it.
func Counted(i int, flags string) []KeySpec {
	return []KeySpec{{Flags: flags, Index: i, NumKeys: true, Step: 1}}
}

// IsWrite reports whether the command must go through the log, unless its Read
// comes to an end without Defer.
func (s *Spec) IsWrite() bool { return s.Write != nil }

// MayBeVain reports whether a call may come to nothing: see Vain and Unchanged.
func (s *Spec) MayBeVain(argv [][]byte) bool {
	return s.Vain || s.Unchanged != nil && (s.UnchangedIf == nil || s.UnchangedIf(argv))
}

// AllFlags returns the flags with those that follow from the handler.
func (s *Spec) AllFlags() Flags {
	f := s.Flags
	if s.Script {
		return f
	}
	if s.Read != nil {
		f |= Readonly
	}
	if s.Write != nil && s.Read == nil && s.Flags&PubSub == 0 { // a message goes through the log and changes nothing
		f |= WriteFlag
	}
	return f
}

// ArityOK reports whether n arguments, the name included, fit.
func (s *Spec) ArityOK(n int) bool {
	if s.Arity >= 0 {
		return n == s.Arity
	}
	return n >= -s.Arity
}
