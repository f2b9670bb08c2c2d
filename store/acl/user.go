package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"sort"
	"strings"
)

// DefaultName is the name of the user that connections have which do not say who
// they are. It is always there.
const DefaultName = "default"

// Users are all users at one place of the log. A Users never changes.
type Users struct {
	version uint64 // counts the changes; 0: nobody has said anything about users yet
	lastID  uint64
	all     []*User // by name
}

// User is one user, and never changes.
type User struct {
	// ID tells the user from an earlier one of the same name that was deleted.
	ID   uint64
	Name string

	enabled   bool
	noPass    bool
	sanitize  sanitize
	passwords []hash
	selectors []selector // the first is the user's own, the root
}

// sanitize is whether RESTORE checks what it is given. Here it always does: what
// is kept is what GETUSER shows.
type sanitize byte

const (
	sanitizeUnsaid sanitize = iota
	sanitizeSkip
	sanitizePayload
)

// hash is the SHA-256 of a password. The password itself is kept nowhere.
type hash [sha256.Size]byte

func (h hash) String() string { return hex.EncodeToString(h[:]) }

// hashOf reads a hash as Redis writes it: 64 lower case hexadecimal digits.
func hashOf(digits string) (h hash, ok bool) {
	if len(digits) != hex.EncodedLen(len(h)) || strings.ToLower(digits) != digits {
		return h, false
	}
	_, err := hex.Decode(h[:], []byte(digits))
	return h, err == nil
}

// selector is one set of permissions. A call is allowed if one selector allows all
// of it.
type selector struct {
	allKeys     bool
	allChannels bool
	keys        []keyPattern
	channels    []string
	// commands are the rules about commands that still have an effect, in order:
	// "+@all" (first, or not at all), "+@read", "-get", "+config|get", "+select|0".
	// Rules and not the commands that they come to are state: which commands there
	// are, and in which categories, is for the program to say, and members need not
	// all run the same version of it.
	commands []string
}

// access is what may be done with a key.
type access byte

const (
	read access = 1 << iota
	write
)

// keyPattern is a pattern of keys and what may be done with them.
type keyPattern struct {
	pattern string
	access  access
}

func (k keyPattern) String() string {
	switch k.access {
	case read:
		return "%R~" + k.pattern
	case write:
		return "%W~" + k.pattern
	default:
		return "~" + k.pattern
	}
}

// New returns the users of a new cluster: default alone, who may do everything and
// needs no password.
func New() *Users {
	u := &User{ID: 1, Name: DefaultName, enabled: true, noPass: true,
		selectors: []selector{{allKeys: true, allChannels: true, commands: []string{allCommands}}}}
	return &Users{lastID: 1, all: []*User{u}}
}

// Version counts the changes that were made. As long as it is 0 no one has said
// anything about users.
func (us *Users) Version() uint64 { return us.version }

// All returns the users in the order of their names. The slice is us's own.
func (us *Users) All() []*User { return us.all }

func (us *Users) search(name string) (at int, ok bool) {
	return sort.Find(len(us.all), func(i int) int { return strings.Compare(name, us.all[i].Name) })
}

// Find returns the user of a name, nil if there is none.
func (us *Users) Find(name string) *User {
	if at, ok := us.search(name); ok {
		return us.all[at]
	}
	return nil
}

// ByID returns the user of an ID, nil if there is none any more.
func (us *Users) ByID(id uint64) *User {
	for _, u := range us.all {
		if u.ID == id {
			return u
		}
	}
	return nil
}

// Default returns the user of connections that do not say who they are.
func (us *Users) Default() *User { return us.Find(DefaultName) }

// Open reports whether who connects is let in without a password.
func (u *User) Open() bool { return u.noPass && u.enabled }

// NoPass reports whether any password will do.
func (u *User) NoPass() bool { return u.noPass }

// Accepts reports whether the user may log in with the password. What it takes
// depends on how many passwords the user has, not on what they are.
func (u *User) Accepts(password []byte) bool {
	if !u.enabled {
		return false
	}
	if u.noPass {
		return true
	}
	given, ok := sha256.Sum256(password), 0
	for i := range u.passwords {
		ok |= subtle.ConstantTimeCompare(given[:], u.passwords[i][:])
	}
	return ok == 1
}

// Unrestricted reports whether the user may do everything, whatever commands there
// are.
func (u *User) Unrestricted() bool {
	return slices.ContainsFunc(u.selectors, func(s selector) bool {
		return s.allKeys && s.allChannels && len(s.commands) == 1 && s.commands[0] == allCommands
	})
}

// clone copies as deep as rules change.
func (u *User) clone() *User {
	c := *u
	c.passwords = slices.Clone(u.passwords)
	c.selectors = slices.Clone(u.selectors)
	c.selectors[0] = c.selectors[0].clone() // the others are only added and dropped
	return &c
}

func (s selector) clone() selector {
	s.keys = slices.Clone(s.keys)
	s.channels = slices.Clone(s.channels)
	s.commands = slices.Clone(s.commands)
	return s
}
