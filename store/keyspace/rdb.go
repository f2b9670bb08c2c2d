package keyspace

import (
	"encoding/binary"
	"errors"
	"hash/crc64"
)

// The types of values in Redis's serialization, as version 10 of it (Redis 7.0)
// has them. Only those that are marked are written here; the others are read.
const (
	rdbString         = 0 // written
	rdbList           = 1
	rdbSet            = 2 // written
	rdbZSet           = 3
	rdbHash           = 4 // written
	rdbZSet2          = 5 // written
	rdbListZiplist    = 10
	rdbSetIntset      = 11 // written
	rdbZSetZiplist    = 12
	rdbHashZiplist    = 13
	rdbQuicklist      = 14
	rdbStream         = 15
	rdbHashListpack   = 16 // written
	rdbZSetListpack   = 17 // written
	rdbQuicklist2     = 18 // written
	rdbStream2        = 19 // written
	rdbVersion        = 10
	rdbFooter         = 2 + 8 // version and checksum
	rdbPlainNode      = 1     // a quicklist node that is one element
	rdbPackedNode     = 2     // a quicklist node that is a listpack
	rdbMaxPackedBytes = 1 << 30
)

// ErrDumpChecksum and ErrDumpFormat are why a payload cannot be restored.
var (
	ErrDumpChecksum = errors.New("DUMP payload version or checksum are wrong")
	ErrDumpFormat   = errors.New("malformed dump")
)

// rdbChecksum is CRC-64 with the polynomial of Jones, reflected, that starts from
// zero and is not inverted. The standard library inverts before and after.
func rdbChecksum(b []byte) uint64 {
	const jones = 0x95ac9329ac4bc9b5 // 0xad93d23594c935a9, reflected
	return ^crc64.Update(^uint64(0), crc64.MakeTable(jones), b)
}

// Dump returns the value at key in Redis's serialization, with its footer. ok is
// false if there is no such key.
func (v *View) Dump(key []byte) (payload []byte, ok bool) {
	_, r := v.lookup(key)
	if r == nil {
		return nil, false
	}
	v.read(key, r)
	var o Object
	if r.kind() != String {
		o = v.held(r)
	}
	var w rdbWriter
	switch o := o.(type) {
	case nil:
		w.byte(rdbString)
		w.string(v.d.text(r))
	case *ListObject:
		w.list(&o.ListView)
	case *SetObject:
		w.set(&o.SetView)
	case *HashObject:
		w.hash(&o.HashView)
	case *ZSetObject:
		w.zset(&o.ZSetView)
	case *StreamObject:
		w.stream(&o.StreamView)
	}
	b := binary.LittleEndian.AppendUint16(w.buf, rdbVersion)
	return binary.LittleEndian.AppendUint64(b, rdbChecksum(b)), true
}

// Dumped is a value that was read from Redis's serialization.
type Dumped struct {
	str []byte
	obj Object // nil for a string
}

// ParseDump reads what Dump wrote, or Redis up to 7.0. The payload may come from
// anywhere: nothing that it says about sizes is believed before the bytes are
// there. The result shares nothing with it. The error is ErrDumpChecksum or
// ErrDumpFormat.
func ParseDump(payload []byte, limits *Limits) (*Dumped, error) {
	n := len(payload) - rdbFooter
	if n < 0 || binary.LittleEndian.Uint16(payload[n:]) > rdbVersion ||
		binary.LittleEndian.Uint64(payload[n+2:]) != rdbChecksum(payload[:n+2]) {
		return nil, ErrDumpChecksum
	}
	r := rdbReader{buf: payload[:n], limits: limits}
	d := r.value()
	if r.bad {
		return nil, ErrDumpFormat
	}
	return d, nil
}

// Restore makes key hold d, which must not be used any more, with the given
// deadline (0: none), as if it had last been accessed idle seconds ago and with
// the given access frequency. Those two are no state; negative means as new.
func (db *DB) Restore(key []byte, d *Dumped, expire, idle, hits int64) {
	if d.obj == nil {
		db.SetOwned(key, d.str, expire)
	} else {
		db.SetObject(key, d.obj, expire)
	}
	r := db.d.at(db.d.find(key))
	stamp, counted := r.accessed()
	if idle >= 0 {
		stamp = stampOf(max(db.now-idle*1000, 0))
	}
	if hits >= 0 {
		counted = uint8(hits)
	}
	r.setAccessed(stamp, counted)
}
