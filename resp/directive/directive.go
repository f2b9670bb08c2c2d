package directive

import "strings"

// Owner says who obeys a directive, and with it where its value is and how CONFIG
// SET changes it.
type Owner string

// The owners.
const (
	Front   Owner = "front"   // package resp: a field of its Config, which is swapped as a whole
	State   Owner = "state"   // the state machine: the same on every member, changed by an entry of the log
	Process Owner = "process" // main and what it starts: the command line decides, but for those that are not Immutable
	Nobody  Owner = "nobody"  // a directive of Redis without a meaning here: Why, and no value
)

// Kind is what a directive's value looks like.
type Kind string

// The kinds of directives. A directive of Process has none: main's flags read
// values as the command line has them, with errors that speak to who typed them.
const (
	YesNo  Kind = "yes|no"
	Number Kind = "number"
	Memory Kind = "memory" // bytes, 1gb, 64mb ...
	Enum   Kind = "enum"   // one of Values
	Text   Kind = "text"   // words, where the directive allows several
)

// Directive is one setting, named as in redis.conf. It is declared once, in its
// owner's list, and flags, configuration file, environment, --help, CONFIG GET,
// SET and REWRITE follow from that.
type Directive struct {
	Name    string
	Alias   string // Redis's other name for it: slave-... for replica-...
	Owner   Owner
	Kind    Kind
	Values  []string // of an Enum
	Min     int64    // of a Number or Memory
	Max     int64
	Default string
	Redis   string // Redis's default, if it is another
	Summary string // for --help

	Immutable bool // CONFIG SET may not change it
	StartOnly bool // CONFIG does not know it: it is about one start of a node
	Hidden    bool // it is there for tests: --help does not show it, and no error suggests it
	Remember  bool // it is kept in the data directory, so that a restart need not say it

	// Why tells, of a directive of Nobody, the reason; Is has the values that say
	// what is so anyway, and Refuse is set where to go on with another one would let
	// somebody believe in something that is not there. Shown: CONFIG GET answers the
	// first of Is, for programs that ask.
	Why    string
	Is     []string
	Refuse bool
	Shown  bool
}

// Names returns the name and, if there is one, the alias.
func (d *Directive) Names() []string {
	if d.Alias == "" {
		return []string{d.Name}
	}
	return []string{d.Name, d.Alias}
}

// Says reports whether a value of a directive of Nobody says what is so anyway.
func (d *Directive) Says(value string) bool {
	for _, v := range d.Is {
		if strings.EqualFold(v, value) {
			return true
		}
	}
	return false
}

// Placeholder stands for the value in --help.
func (d *Directive) Placeholder() string {
	switch d.Kind {
	case Enum:
		return strings.Join(d.Values, "|")
	case YesNo:
		return "yes|no"
	case Memory:
		return "bytes"
	case Number:
		return "n"
	default:
		return "text"
	}
}
