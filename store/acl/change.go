package acl

import (
	"fmt"
	"slices"
	"strconv"
)

// Change is one change of the users, as it stands in the log.
type Change struct {
	kind changeKind
	sets []set    // seed and setUser
	gone []string // delUser
}

type changeKind string

const (
	setUser changeKind = "set"
	delUser changeKind = "del"
	seed    changeKind = "seed"
)

// set makes a user what rules say.
type set struct {
	name        string
	allChannels bool // what the user begins with if it is new
	rules       []Rule
}

// SetUser is ACL SETUSER. rules must be without an error of their own: see
// Rules.Error.
func SetUser(name string, allChannels bool, rules Rules) Change {
	return Change{kind: setUser, sets: []set{{name, allChannels, rules.all}}}
}

// DelUser is ACL DELUSER.
func DelUser(names []string) Change { return Change{kind: delUser, gone: names} }

// Seed makes what configuration files say the users of a cluster in which nobody
// has said anything yet. It is nothing in any other.
func Seed() Change { return Change{kind: seed} }

// Add adds a user to a Seed. Rules are applied as ACL SETUSER does.
func (c *Change) Add(name string, allChannels bool, rules Rules) {
	c.sets = append(c.sets, set{name, allChannels, rules.all})
}

// Empty reports whether the change is a Seed without users.
func (c *Change) Empty() bool { return c.kind == seed && len(c.sets) == 0 }

// Failure says which rule of a SetUser could not be applied, and why.
type Failure struct {
	Rule int
	Why  error
}

// Error says both.
func (f *Failure) Error() string { return fmt.Sprintf("rule %d: %v", f.Rule, f.Why) }

// Apply returns what the users are after the change, and how many of them it has
// changed; us itself if that is none. The error is a *Failure, and changes nothing.
func (us *Users) Apply(c Change) (_ *Users, changed int, err error) {
	next := &Users{us.version + 1, us.lastID, slices.Clone(us.all)}
	switch c.kind {
	case seed:
		if us.version > 0 || len(c.sets) == 0 {
			return us, 0, nil
		}
		fallthrough
	case setUser:
		for i := range c.sets {
			if err := next.set(&c.sets[i]); err != nil {
				return us, 0, err
			}
			changed++
		}
	case delUser:
		for _, name := range c.gone {
			if at, ok := next.search(name); ok && name != DefaultName {
				next.all = slices.Delete(next.all, at, at+1)
				changed++
			}
		}
		if changed == 0 {
			return us, 0, nil
		}
	}
	return next, changed, nil
}

func (us *Users) set(s *set) error {
	at, ok := us.search(s.name)
	var u *User
	if ok {
		u = us.all[at].clone()
	} else {
		us.lastID++
		u = &User{ID: us.lastID, Name: s.name, selectors: []selector{{allChannels: s.allChannels}}}
	}
	for i, r := range s.rules {
		if err := u.apply(r); err != nil {
			return &Failure{i, err}
		}
	}
	if ok {
		us.all[at] = u
	} else {
		us.all = slices.Insert(us.all, at, u)
	}
	return nil
}

// Error returns Redis's text for the first rule that cannot be applied to the user
// of that name, "" if all can: for rules of which one can never be, so that they
// are not worth a log entry.
func (rs *Rules) Error(us *Users, name string, allChannels bool) string {
	if rs.err == nil {
		return ""
	}
	tried, _, err := us.Apply(SetUser(name, allChannels, *rs))
	if err != nil {
		return rs.Explain(err)
	}
	return modifier(rs.errText, tried.Find(name).selectors[0].refuse(rs.errText, rs.err))
}

// Explain returns Redis's text for a *Failure of the rules.
func (rs *Rules) Explain(err error) string {
	f, ok := err.(*Failure) //nolint:errorlint // it is never wrapped
	if !ok || f.Rule >= len(rs.texts) {
		return err.Error()
	}
	return modifier(rs.texts[f.Rule], f.Why)
}

func modifier(op string, why error) string {
	return fmt.Sprintf("Error in ACL SETUSER modifier '%s': %v", cString(op), why)
}

// Args returns the change as the arguments of a command, for the log:
//
//	set  name all(0|1) rules { rule }
//	del  { name }
//	seed { name all(0|1) rules { rule } }
//
// A rule is its op; that of a selector is ( and the number of rules in it, which
// follow.
func (c *Change) Args() [][]byte {
	args := []string{string(c.kind)}
	args = append(args, c.gone...)
	for _, s := range c.sets {
		args = append(args, s.name, map[bool]string{false: "0", true: "1"}[s.allChannels], strconv.Itoa(len(s.rules)))
		for _, r := range s.rules {
			args = append(args, r.op)
			if r.op == beginSelector {
				args = append(args, strconv.Itoa(len(r.in)))
				args = append(args, r.in...)
			}
		}
	}
	argv := make([][]byte, len(args))
	for i, a := range args {
		argv[i] = []byte(a)
	}
	return argv
}

// ParseChange reads what Args wrote, of this program or an older one.
func ParseChange(argv [][]byte) (Change, error) {
	r := argReader{argv}
	c := Change{kind: changeKind(r.next())}
	switch c.kind {
	case delUser:
		for len(r.args) > 0 {
			c.gone = append(c.gone, r.next())
		}
		return c, nil
	case setUser, seed:
	default:
		return c, fmt.Errorf("acl: change %q is unknown", c.kind)
	}
	for len(r.args) > 0 {
		s := set{name: r.next(), allChannels: r.next() == "1"}
		for n := r.count(); n > 0; n-- {
			rule := Rule{op: r.next()}
			if rule.op == beginSelector {
				for k := r.count(); k > 0; k-- {
					rule.in = append(rule.in, r.next())
				}
			}
			s.rules = append(s.rules, rule)
		}
		c.sets = append(c.sets, s)
	}
	// That every rule is one is seen now: what a later version may have written must
	// not be taken for an error of the user's.
	for _, s := range c.sets {
		scratch := &User{selectors: []selector{{}}}
		for _, rule := range s.rules {
			if err := scratch.apply(rule); err == errForeignOp || err == errHash {
				return c, fmt.Errorf("acl: rule %q is unknown", rule.op)
			}
		}
	}
	return c, nil
}

// argReader takes arguments one by one; what is missing is empty, and found to be
// no rule.
type argReader struct{ args [][]byte }

func (r *argReader) next() string {
	if len(r.args) == 0 {
		return ""
	}
	s := string(r.args[0])
	r.args = r.args[1:]
	return s
}

// count reads a number of arguments that follow.
func (r *argReader) count() int {
	n, err := strconv.Atoi(r.next())
	if err != nil || n < 0 || n > len(r.args) {
		r.args = [][]byte{{}} // one that is no rule
		return 1
	}
	return n
}
