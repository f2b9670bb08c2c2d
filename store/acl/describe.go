package acl

import (
	"slices"
	"strings"

	"github.com/raftredis/raftredis/store/command"
)

// Flags returns the user's flags as ACL GETUSER shows them.
func (u *User) Flags() []string {
	flags := []string{"off"}
	if u.enabled {
		flags[0] = "on"
	}
	if u.noPass {
		flags = append(flags, "nopass")
	}
	switch u.sanitize {
	case sanitizeSkip:
		flags = append(flags, "skip-sanitize-payload")
	case sanitizePayload:
		flags = append(flags, "sanitize-payload")
	}
	return flags
}

// Passwords returns the hashes of the user's passwords.
func (u *User) Passwords() []string {
	all := make([]string, len(u.passwords))
	for i, h := range u.passwords {
		all[i] = h.String()
	}
	return all
}

// PasswordRules returns rules that give a user the passwords that u has.
func (u *User) PasswordRules() []string {
	rules := []string{"resetpass"}
	if u.noPass {
		rules = append(rules, "nopass")
	}
	for _, h := range u.Passwords() {
		rules = append(rules, "#"+h)
	}
	return rules
}

// Description is one selector in words that ACL SETUSER takes.
type Description struct{ Commands, Keys, Channels string }

// Describe returns the user's selectors, the user's own first.
func (p *Policy) Describe(cs *Commands) []Description {
	all := make([]Description, len(p.selectors))
	for i := range p.selectors {
		g := &p.selectors[i]
		all[i] = Description{cs.describe(g), strings.Join(g.keyWords(), " "), strings.Join(g.channelWords(), " ")}
	}
	return all
}

func (g *grants) keyWords() []string {
	if g.allKeys {
		return []string{allKeys}
	}
	var words []string
	for _, k := range g.selector.keys {
		words = append(words, k.String())
	}
	return words
}

func (g *grants) channelWords() []string {
	if g.allChannels {
		return []string{allChannels}
	}
	var words []string
	for _, c := range g.selector.channels {
		words = append(words, "&"+c)
	}
	return words
}

// Line returns the user as ACL LIST and configuration files have it, without the
// user and the name in front.
func (p *Policy) Line(cs *Commands) string {
	words := p.User.Flags()
	for _, h := range p.User.Passwords() {
		words = append(words, "#"+h)
	}
	for i := range p.selectors {
		g := &p.selectors[i]
		own := g.keyWords()
		if !g.allChannels {
			own = append(own, "resetchannels")
		}
		own = append(append(own, g.channelWords()...), cs.describe(g))
		line := strings.Join(own, " ")
		if i > 0 {
			line = "(" + line + ")"
		}
		words = append(words, line)
	}
	return strings.Join(words, " ")
}

// describe says in few rules which commands are allowed, as Redis does: it begins
// with all or none, then takes the categories that fit best, one after the other,
// and makes the rest right command by command.
func (cs *Commands) describe(g *grants) string {
	words, shown := []string{noCommands}, cs.none()
	sign := "+@"
	if g.allowed.all {
		words, shown = []string{allCommands}, cs.every()
		sign = "-@"
	}
	rest := allowed{bits: slices.Clone(g.allowed.bits)} // without what a category has said already
	adding := !g.allowed.all
	taken := map[string]bool{}
	for {
		best, fewest, most := "", 0, 0
		for _, c := range command.Categories() {
			if taken[c] {
				continue
			}
			same, different := 0, 0
			for _, id := range cs.members[c] {
				if rest.has(id) == adding {
					same++
				} else {
					different++
				}
			}
			if same > different && (best == "" || different < fewest || different == fewest && same > most) {
				best, fewest, most = c, different, same
			}
		}
		if best == "" {
			break
		}
		taken[best] = true
		words = append(words, sign+best)
		cs.changeCategory(&shown, best, adding, nil)
		cs.changeCategory(&rest, best, !adding, nil)
	}
	for id, spec := range cs.specs {
		yes := g.allowed.has(id)
		if yes != shown.has(id) {
			words = append(words, map[bool]string{true: "+", false: "-"}[yes]+spec.FullName())
			cs.change(&shown, id, yes, nil)
		}
		if !yes {
			for _, first := range g.firstArgs[id] {
				words = append(words, "+"+spec.FullName()+"|"+first)
			}
		}
	}
	return strings.Join(words, " ")
}
