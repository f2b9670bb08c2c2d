package acl

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// Rule is one rule of ACL SETUSER in the form in which it goes into the log:
// checked against the commands that there are, in one spelling, with hashes where
// passwords were. op is one of
//
//	on off skip-sanitize-payload sanitize-payload nopass resetpass #hash !hash
//	clearselectors reset (                   of a user; within ( are the rules of a selector
//	~* resetkeys ~pattern %R~pattern %W~pattern %RW~*
//	&* resetchannels &pattern
//	+@all -@all +@category -@category +command -command +command|subcommand
//	-command|subcommand +command|first-argument
type Rule struct {
	op string
	in []string
}

// allCommands allows everything, also what later versions bring.
const (
	allCommands   = "+@all"
	noCommands    = "-@all"
	allKeys       = "~*"
	allChannels   = "&*"
	beginSelector = "("
)

// Reason is why a rule cannot be applied. It is Redis's text.
type Reason string

// Error returns the text.
func (r Reason) Error() string { return string(r) }

// The reasons that Redis has.
const (
	errUnknown   Reason = "Unknown command or category name in ACL"
	errSyntax    Reason = "Syntax error"
	errAllKeys   Reason = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
	errAllChans  Reason = "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
	errPassword  Reason = "The password you are trying to remove from the user does not exist"
	errHash      Reason = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
	errFirstArg  Reason = "Allowing first-arg of a subcommand is not supported"
	errForeignOp Reason = "Rule of a newer version"
)

// Rules are the rules of one ACL SETUSER.
type Rules struct {
	all   []Rule
	texts []string // of each rule, as the client wrote it; never in the log
	// err is why the rule behind those in all can never be applied, and errText its
	// text. nil: all of them are there.
	err     error
	errText string
}

// Parser reads rules.
type Parser struct {
	Commands *Commands
	// Split splits what stands between the parentheses of a selector into words, as
	// an inline command; false: the quotes are wrong.
	Split func(string) ([]string, bool)
	// AllChannels is acl-pubsub-default: whether users and selectors begin with all
	// channels.
	AllChannels bool
}

// Parse reads the arguments behind the user's name. The error is that of a
// parenthesis without its match; that of a rule comes with applying, since Redis
// tells the first error, and whether a rule before is one may depend on the user.
func (p *Parser) Parse(args []string) (Rules, error) {
	var rs Rules
	merged, err := mergeSelectors(args)
	if err != nil {
		return rs, err
	}
	for _, op := range merged {
		all, err := p.rule(op)
		if err != nil {
			rs.err, rs.errText = err, op
			break
		}
		for _, r := range all {
			rs.all, rs.texts = append(rs.all, r), append(rs.texts, op)
		}
	}
	return rs, nil
}

// mergeSelectors joins the words of a selector that the client has not quoted.
func mergeSelectors(args []string) ([]string, error) {
	var merged []string
	open, from := "", -1
	for i, op := range args {
		closes := strings.HasSuffix(op, ")")
		switch {
		case strings.HasPrefix(op, "(") && !closes:
			open, from = op, i
		case from >= 0:
			open += " " + cString(op)
			if closes {
				merged, from = append(merged, open), -1
			}
		default:
			merged = append(merged, op)
		}
	}
	if from >= 0 {
		return nil, fmt.Errorf("Unmatched parenthesis in acl selector starting at '%s'.", cString(args[from]))
	}
	return merged, nil
}

// cString cuts s where C sees its end.
func cString(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

// rule reads one rule of a user.
func (p *Parser) rule(op string) ([]Rule, error) {
	if op == "" {
		return nil, nil
	}
	switch word := strings.ToLower(cString(op)); word {
	case "on", "off", "skip-sanitize-payload", "sanitize-payload", "nopass", "resetpass":
		return []Rule{{op: word}}, nil
	case "reset":
		all := []Rule{{op: word}}
		if p.AllChannels {
			all = append(all, Rule{op: allChannels})
		}
		return all, nil
	}
	switch op[0] {
	case '>', '<':
		sign := map[byte]string{'>': "#", '<': "!"}[op[0]]
		return []Rule{{op: sign + hash(sha256.Sum256([]byte(op[1:]))).String()}}, nil
	case '#', '!':
		if _, ok := hashOf(op[1:]); !ok {
			return nil, errHash
		}
		return []Rule{{op: op}}, nil
	case '(':
		if len(op) > 1 && strings.HasSuffix(op, ")") {
			return p.selector(op[1 : len(op)-1])
		}
	}
	if strings.EqualFold(cString(op), "clearselectors") {
		return []Rule{{op: "clearselectors"}}, nil
	}
	own, err := p.selectorRule(op)
	if err != nil {
		return nil, err
	}
	return []Rule{{op: own}}, nil
}

// selector reads what stands between parentheses.
func (p *Parser) selector(inside string) ([]Rule, error) {
	r := Rule{op: beginSelector}
	if p.AllChannels {
		r.in = append(r.in, allChannels)
	}
	words, ok := p.Split(inside)
	if !ok {
		words = nil // as in Redis: nothing can be read, so nothing is allowed
	}
	s := selector{allChannels: p.AllChannels}
	for _, op := range words {
		own, err := p.selectorRule(op)
		if err == nil {
			err = s.apply(own)
		}
		if err != nil {
			return nil, s.refuse(op, err)
		}
		r.in = append(r.in, own)
	}
	return []Rule{r}, nil
}

// selectorRule reads one rule about keys, channels or commands.
func (p *Parser) selectorRule(op string) (string, error) {
	switch word := strings.ToLower(cString(op)); word {
	case "allkeys", allKeys:
		return allKeys, nil
	case "allchannels", allChannels:
		return allChannels, nil
	case "allcommands", allCommands:
		return allCommands, nil
	case "nocommands", noCommands:
		return noCommands, nil
	case "resetkeys", "resetchannels":
		return word, nil
	case "":
		return "", errSyntax
	}
	switch op[0] {
	case '~', '%':
		return keyRule(op)
	case '&':
		if hasSpace(op) {
			return "", errSyntax
		}
		return op, nil
	case '+', '-':
		return p.commandRule(cString(op))
	}
	return "", errSyntax
}

// refuse returns the error for a rule that cannot be: Redis looks whether there
// is a * before it looks at a pattern.
func (s *selector) refuse(op string, err error) error {
	switch {
	case s.allKeys && (op[0] == '~' || op[0] == '%'):
		return errAllKeys
	case s.allChannels && op[0] == '&':
		return errAllChans
	}
	return err
}

func keyRule(op string) (string, error) {
	var may access
	pattern := op[1:]
	if op[0] == '~' {
		may = read | write
	}
	for done := op[0] == '~'; !done && pattern != ""; pattern = pattern[1:] {
		switch c := pattern[0]; {
		case (c == 'r' || c == 'R') && may&read == 0:
			may |= read
		case (c == 'w' || c == 'W') && may&write == 0:
			may |= write
		case c == '~':
			done = true
		default:
			return "", errSyntax
		}
	}
	// Redis takes %~pattern, and ends when it is asked to show it.
	if may == 0 || hasSpace(pattern) {
		return "", errSyntax
	}
	k := keyPattern{pattern, may}
	if may == read|write && op[0] == '%' {
		return "%RW~" + pattern, nil // %RW~* is a pattern, ~* is not
	}
	return k.String(), nil
}

// hasSpace reports whether s has what C takes for a space, or a NUL.
func hasSpace(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r == 0 || r == ' ' || '\t' <= r && r <= '\r' })
}

// ValidName reports whether a user may have the name.
func ValidName(name string) bool { return !hasSpace(name) }

// commandRule reads +command, -command, and either with a category or a
// subcommand.
func (p *Parser) commandRule(op string) (string, error) {
	sign, name := op[:1], op[1:]
	if category, is := strings.CutPrefix(name, "@"); is {
		category = strings.ToLower(category)
		if _, ok := p.Commands.category(category); !ok {
			return "", errUnknown
		}
		return sign + "@" + category, nil
	}
	bar := strings.LastIndexByte(name, '|')
	if sign == "-" || bar < 0 {
		if p.Commands.lookup(name) == nil {
			return "", errUnknown
		}
		return sign + strings.ToLower(name), nil
	}
	parent, first := p.Commands.lookup(name[:bar]), name[bar+1:]
	switch {
	case parent == nil:
		return "", errUnknown
	case strings.Contains(name[:bar], "|"):
		return "", errFirstArg
	case first == "":
		return "", errSyntax
	case len(parent.Subcommands) == 0:
		return sign + strings.ToLower(name[:bar]) + "|" + first, nil
	case p.Commands.lookup(name) == nil:
		return "", errUnknown
	}
	return sign + strings.ToLower(name), nil
}

// apply changes the user by one rule.
func (u *User) apply(r Rule) error {
	switch r.op {
	case "on":
		u.enabled = true
	case "off":
		u.enabled = false
	case "skip-sanitize-payload":
		u.sanitize = sanitizeSkip
	case "sanitize-payload":
		u.sanitize = sanitizePayload
	case "nopass":
		u.noPass, u.passwords = true, nil
	case "resetpass":
		u.noPass, u.passwords = false, nil
	case "clearselectors":
		u.selectors = u.selectors[:1]
	case "reset":
		u.noPass, u.passwords, u.enabled, u.sanitize = false, nil, false, sanitizePayload
		u.selectors = []selector{{}}
	case beginSelector:
		var s selector
		for _, op := range r.in {
			if err := s.apply(op); err != nil {
				return err
			}
		}
		u.selectors = append(u.selectors[:len(u.selectors):len(u.selectors)], s)
	default:
		if r.op != "" && (r.op[0] == '#' || r.op[0] == '!') {
			return u.password(r.op)
		}
		return u.selectors[0].apply(r.op)
	}
	return nil
}

func (u *User) password(op string) error {
	h, ok := hashOf(op[1:])
	if !ok {
		return errHash
	}
	at := slices.Index(u.passwords, h)
	if op[0] == '!' {
		if at < 0 {
			return errPassword
		}
		u.passwords = slices.Delete(u.passwords, at, at+1)
		return nil
	}
	if at < 0 {
		u.passwords = append(u.passwords, h)
	}
	u.noPass = false
	return nil
}

// apply changes the selector by one rule.
func (s *selector) apply(op string) error {
	switch op {
	case allKeys:
		s.allKeys, s.keys = true, nil
		return nil
	case "resetkeys":
		s.allKeys, s.keys = false, nil
		return nil
	case allChannels:
		s.allChannels, s.channels = true, nil
		return nil
	case "resetchannels":
		s.allChannels, s.channels = false, nil
		return nil
	case "":
		return errForeignOp
	}
	switch op[0] {
	case '~', '%':
		return s.key(op)
	case '&':
		if s.allChannels {
			return errAllChans
		}
		if !slices.Contains(s.channels, op[1:]) {
			s.channels = append(s.channels, op[1:])
		}
	case '+', '-':
		if len(op) == 1 {
			return errForeignOp
		}
		s.command(op)
	default:
		return errForeignOp
	}
	return nil
}

func (s *selector) key(op string) error {
	if s.allKeys {
		return errAllKeys
	}
	k := keyPattern{pattern: op[1:], access: read | write}
	if op[0] == '%' {
		may, pattern, ok := strings.Cut(op[1:], "~")
		k.pattern, k.access = pattern, map[string]access{"R": read, "W": write, "RW": read | write}[may]
		if !ok || k.access == 0 {
			return errForeignOp
		}
	}
	at := slices.IndexFunc(s.keys, func(have keyPattern) bool { return have.pattern == k.pattern })
	if at < 0 {
		s.keys = append(s.keys, k)
	} else {
		s.keys[at].access |= k.access
	}
	return nil
}

// command adds a rule about commands, and drops those of which nothing is left
// behind it: what remains is bounded by the names that there are, however often a
// user is changed.
func (s *selector) command(op string) {
	if op == allCommands || op == noCommands {
		s.commands = nil
		if op == allCommands {
			s.commands = []string{op}
		}
		return
	}
	name := op[1:]
	if at := slices.IndexFunc(s.commands, func(have string) bool { return strings.EqualFold(have, op) }); at >= 0 && strings.Contains(name, "|") {
		// Said twice with nothing about the command in between, it stays where it is:
		// that is the order in which first arguments are shown.
		parent, _, _ := strings.Cut(name, "|")
		if !slices.ContainsFunc(s.commands[at+1:], func(r string) bool { return r[1] == '@' || r[1:] == parent || r[1:] == name }) {
			return
		}
	}
	s.commands = slices.DeleteFunc(s.commands, func(have string) bool {
		if have == allCommands {
			return false
		}
		return strings.EqualFold(have[1:], name) || strings.HasPrefix(have[1:], name+"|")
	})
	s.commands = append(s.commands, op)
}
