package acl

import (
	"github.com/raftredis/raftredis/store/keyspace"
)

// Bits of a user's flags and of a selector's.
const (
	flagEnabled = 1 << iota
	flagNoPass
)

const (
	flagAllKeys = 1 << iota
	flagAllChannels
)

// Encode writes the users for a snapshot.
func (us *Users) Encode(e *keyspace.Encoder) {
	e.Uvarint(us.version)
	e.Uvarint(us.lastID)
	e.Uvarint(uint64(len(us.all)))
	for _, u := range us.all {
		e.Uvarint(u.ID)
		e.String(u.Name)
		e.Byte(bits(u.enabled, flagEnabled) | bits(u.noPass, flagNoPass))
		e.Byte(byte(u.sanitize))
		e.Uvarint(uint64(len(u.passwords)))
		for _, h := range u.passwords {
			e.Bytes(h[:])
		}
		e.Uvarint(uint64(len(u.selectors)))
		for i := range u.selectors {
			u.selectors[i].encode(e)
		}
	}
}

func (s *selector) encode(e *keyspace.Encoder) {
	e.Byte(bits(s.allKeys, flagAllKeys) | bits(s.allChannels, flagAllChannels))
	e.Uvarint(uint64(len(s.keys)))
	for _, k := range s.keys {
		e.Byte(byte(k.access))
		e.String(k.pattern)
	}
	for _, list := range [][]string{s.channels, s.commands} {
		e.Uvarint(uint64(len(list)))
		for _, v := range list {
			e.String(v)
		}
	}
}

func bits(yes bool, flag byte) byte {
	if yes {
		return flag
	}
	return 0
}

// Decode reads what Encode wrote. What is wrong with it is d's error.
func Decode(d *keyspace.Decoder) *Users {
	us := &Users{version: d.Uvarint(), lastID: d.Uvarint()}
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		u := decodeUser(d)
		if k := len(us.all); k > 0 && us.all[k-1].Name >= u.Name {
			d.Fail("users out of order")
		}
		if u.ID == 0 || u.ID > us.lastID {
			d.Fail("user number out of range")
		}
		us.all = append(us.all, u)
	}
	if d.Err() == nil && us.Default() == nil {
		d.Fail("no default user")
	}
	return us
}

func decodeUser(d *keyspace.Decoder) *User {
	u := &User{ID: d.Uvarint(), Name: d.String()}
	flags := d.Byte()
	u.enabled, u.noPass = flags&flagEnabled != 0, flags&flagNoPass != 0
	if u.sanitize = sanitize(d.Byte()); u.sanitize > sanitizePayload || flags > flagEnabled|flagNoPass {
		d.Fail("flags of a user")
	}
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		b := d.Bytes()
		if len(b) != len(hash{}) {
			d.Fail("length of a hash")
			break
		}
		u.passwords = append(u.passwords, hash(b))
	}
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		u.selectors = append(u.selectors, decodeSelector(d))
	}
	if len(u.selectors) == 0 {
		d.Fail("user without a selector")
	}
	return u
}

func decodeSelector(d *keyspace.Decoder) (s selector) {
	flags := d.Byte()
	s.allKeys, s.allChannels = flags&flagAllKeys != 0, flags&flagAllChannels != 0
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		k := keyPattern{access: access(d.Byte()), pattern: d.String()}
		if k.access == 0 || k.access > read|write {
			d.Fail("access to a key")
		}
		s.keys = append(s.keys, k)
	}
	for _, list := range []*[]string{&s.channels, &s.commands} {
		for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
			*list = append(*list, d.String())
		}
	}
	for i, op := range s.commands {
		if len(op) < 2 || op[0] != '+' && op[0] != '-' || op == allCommands && i > 0 {
			d.Fail("rule about commands")
			break
		}
	}
	return s
}
