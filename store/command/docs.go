package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Argument is one of a command's arguments, as COMMAND DOCS describes it.
type Argument struct {
	Name          string
	Type          string // "key", "string", "integer", "oneof", "block" ...
	Token         string
	Optional      bool
	Multiple      bool
	MultipleToken bool // the token is repeated as well
	Arguments     []Argument
}

// Arguments parses the Syntax.
func (s *Spec) Arguments() ([]Argument, error) {
	p := &syntaxParser{words: splitSyntax(s.Syntax)}
	args, err := p.sequence()
	if err == nil && len(p.words) > 0 {
		err = fmt.Errorf("%q: unexpected %q", s.Syntax, p.words[0])
	}
	return args, err
}

// splitSyntax splits into words and the signs [ ] < > |. A sign that is an
// argument of its own (XADD's < and >) is written with quotes.
func splitSyntax(syntax string) []string {
	spaced := strings.NewReplacer("[", " [ ", "]", " ] ", "|", " | ", `"<"`, `"<"`, `">"`, `">"`, "<", " < ", ">", " > ").Replace(syntax)
	return strings.Fields(spaced)
}

type syntaxParser struct{ words []string }

func (p *syntaxParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *syntaxParser) next() string {
	w := p.peek()
	if w != "" {
		p.words = p.words[1:]
	}
	return w
}

// isToken reports whether a word stands for itself.
func isToken(word string) bool { return strings.ToUpper(word) == word }

func isSign(word string) bool {
	switch word {
	case "", "[", "]", "<", ">", "|", "...":
		return true
	}
	return false
}

// sequence parses arguments up to a closing sign, a | or the end.
func (p *syntaxParser) sequence() ([]Argument, error) {
	var args []Argument
	for {
		switch w := p.peek(); {
		case w == "[" || w == "<":
			again, group, err := p.group()
			if err != nil {
				return nil, err
			}
			if again {
				if args, err = repeat(args, group.Arguments); err != nil {
					return nil, err
				}
				continue
			}
			args = append(args, group)
		case isSign(w):
			return args, nil
		case isToken(w):
			arg, err := p.token()
			if err != nil {
				return nil, err
			}
			args = append(args, arg)
		default:
			args = append(args, plain(p.next()))
		}
	}
}

// token parses a token and what belongs to it: the names behind it, or a choice.
func (p *syntaxParser) token() (Argument, error) {
	token := strings.Trim(p.next(), `"`)
	if p.peek() == "<" {
		_, choice, err := p.group()
		if choice.Token != "" { // XINFO STREAM's FULL <[COUNT count]>
			choice = Argument{Name: strings.ToLower(token), Type: "block", Arguments: []Argument{choice}}
		}
		choice.Token = token
		return choice, err
	}
	var args []Argument
	for w := p.peek(); ; w = p.peek() {
		if w == "[" && p.repeats() {
			_, group, err := p.group()
			if err != nil {
				return Argument{}, err
			}
			if len(group.Arguments) > 0 && group.Arguments[0].Token == token {
				// TOKEN name [TOKEN name ...]
				block := joined(token, args)
				block.Multiple, block.MultipleToken = true, true
				return block, nil
			}
			if args, err = repeat(args, group.Arguments); err != nil {
				return Argument{}, err
			}
			continue
		}
		if isSign(w) || isToken(w) {
			return joined(token, args), nil
		}
		args = append(args, plain(p.next()))
	}
}

// repeats reports whether the bracket that opens here ends in "...".
func (p *syntaxParser) repeats() bool {
	depth := 0
	for i, w := range p.words {
		switch w {
		case "[", "<":
			depth++
		case "]", ">":
			if depth--; depth == 0 {
				return p.words[i-1] == "..."
			}
		}
	}
	return false
}

func joined(token string, args []Argument) Argument {
	switch len(args) {
	case 0:
		return Argument{Name: strings.ToLower(token), Type: "pure-token", Token: token}
	case 1:
		args[0].Token = token
		return args[0]
	default:
		return Argument{Name: strings.ToLower(token), Type: "block", Token: token, Arguments: args}
	}
}

// repeat marks the last arguments, which a bracket with "..." lists again.
func repeat(args, again []Argument) ([]Argument, error) {
	n := len(args) - len(again)
	if n < 0 || len(again) == 0 {
		return nil, errors.New("nothing to repeat")
	}
	last := block(args[n:])
	last.Multiple = true
	last.MultipleToken = len(again) == 1 && again[0].Token != "" && again[0].Type != "pure-token"
	return append(args[:n:n], last), nil
}

// block makes one argument of several.
func block(args []Argument) Argument {
	if len(args) == 1 {
		return args[0]
	}
	return Argument{Name: names(args), Type: "block", Arguments: args}
}

func names(args []Argument) string {
	var parts []string
	for _, a := range args {
		parts = append(parts, a.Name)
	}
	return strings.Join(parts, "_")
}

// group parses [ ... ] or < ... >. again says that it is a repetition, whose
// arguments are then the group's.
func (p *syntaxParser) group() (again bool, arg Argument, err error) {
	open := p.next()
	closing := map[string]string{"[": "]", "<": ">"}[open]
	var choices []Argument
	for {
		args, err := p.sequence()
		if err != nil {
			return false, Argument{}, err
		}
		if len(args) == 0 {
			return false, Argument{}, fmt.Errorf("nothing before %q", p.peek())
		}
		switch w := p.next(); w {
		case "...":
			if p.next() != closing || len(choices) > 0 {
				return false, Argument{}, errors.New("a repetition must be all that its bracket holds")
			}
			return true, Argument{Arguments: args}, nil
		case "|":
			choices = append(choices, block(args))
		case closing:
			arg = block(args)
			if len(choices) > 0 {
				choices = append(choices, arg)
				arg = Argument{Name: names(choices), Type: "oneof", Arguments: choices}
			}
			arg.Optional = arg.Optional || open == "["
			return false, arg, nil
		default:
			return false, Argument{}, fmt.Errorf("%q instead of %q", w, closing)
		}
	}
}

// plain is an argument that the caller fills in. Its type follows from its name,
// or stands behind it: "increment:double".
func plain(name string) Argument {
	arg := Argument{Name: name, Type: "string"}
	if before, kind, ok := strings.Cut(name, ":"); ok && slices.Contains([]string{"double", "integer", "string", "key"}, kind) {
		return Argument{Name: before, Type: kind}
	}
	switch name {
	case "key", "key1", "key2", "newkey", "source", "destination", "sourcekey", "destkey", "src", "dst":
		arg.Type = "key"
	case "pattern":
		arg.Type = "pattern"
	case "unix-time-seconds", "unix-time-milliseconds":
		arg.Type = "unix-time"
	case "score", "radius", "width", "height", "longitude", "latitude", "timeout":
		arg.Type = "double"
	case "seconds", "milliseconds", "ms", "count", "cursor", "db", "destination-db", "index", "index1", "index2",
		"increment", "decrement", "offset", "start", "stop", "end", "ttl", "len", "limit", "numkeys", "num-matches",
		"numreplicas", "rank", "weight", "bit", "frequency", "client-id", "port", "protover", "version", "slot",
		"entries_added", "entries_read":
		arg.Type = "integer"
	}
	return arg
}

// WriteDocs replies what COMMAND DOCS says about a command, without its name.
func WriteDocs(reply Reply, s *Spec) {
	args, err := s.Arguments()
	if err != nil {
		args = nil // NewTable has refused such a Spec
	}
	var fields []func()
	text := func(name, value string) {
		if value != "" {
			fields = append(fields, func() {
				reply.BulkString(name)
				reply.BulkString(value)
			})
		}
	}
	text("summary", s.Summary)
	text("since", s.Since)
	text("group", s.Group)
	text("complexity", s.Complexity)
	if s.DeprecatedSince != "" {
		fields = append(fields, func() {
			reply.BulkString("doc_flags")
			writeStatuses(reply, []string{"deprecated"})
		})
	}
	text("deprecated_since", s.DeprecatedSince)
	text("replaced_by", s.ReplacedBy)
	if len(args) > 0 {
		fields = append(fields, func() {
			reply.BulkString("arguments")
			key := 0
			writeArguments(reply, args, len(s.Keys), &key)
		})
	}
	if len(s.Subcommands) > 0 {
		fields = append(fields, func() {
			reply.BulkString("subcommands")
			reply.Map(len(s.Subcommands))
			for _, sub := range s.Subcommands {
				reply.BulkString(sub.FullName())
				WriteDocs(reply, sub)
			}
		})
	}
	reply.Map(len(fields))
	for _, write := range fields {
		write()
	}
}

// writeArguments gives each key the index of its key spec: the specs stand in
// the order of the arguments, and the last may be for several.
func writeArguments(reply Reply, args []Argument, specs int, key *int) {
	reply.Array(len(args))
	for _, a := range args {
		var flags []string
		for _, f := range []struct {
			set  bool
			name string
		}{{a.Optional, "optional"}, {a.Multiple, "multiple"}, {a.MultipleToken, "multiple_token"}} {
			if f.set {
				flags = append(flags, f.name)
			}
		}
		isKey := a.Type == "key" && specs > 0
		pairs := 2
		for _, more := range []bool{isKey, a.Token != "", flags != nil, a.Arguments != nil} {
			if more {
				pairs++
			}
		}
		reply.Map(pairs)
		reply.BulkString("name")
		reply.BulkString(a.Name)
		reply.BulkString("type")
		reply.BulkString(a.Type)
		if isKey {
			reply.BulkString("key_spec_index")
			reply.Int(int64(min(*key, specs-1)))
			*key++
		}
		if a.Token != "" {
			reply.BulkString("token")
			reply.BulkString(a.Token)
		}
		if flags != nil {
			reply.BulkString("flags")
			writeStatuses(reply, flags)
		}
		if a.Arguments != nil {
			reply.BulkString("arguments")
			writeArguments(reply, a.Arguments, specs, key)
		}
	}
}
