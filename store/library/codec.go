package library

import (
	"fmt"

	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/script"
)

// EncodeScripts writes the scripts: the counters, and for each in the order of
// their SHA-1 its number, whether it was loaded, and its source.
func (l *Library) EncodeScripts(e *keyspace.Encoder) {
	e.Uvarint(l.number)
	e.Uvarint(l.flushed)
	e.Uvarint(uint64(l.scripts.Len()))
	l.scripts.Scan(func(_ string, k kept) bool {
		loaded := byte(0)
		if k.loaded {
			loaded = 1
		}
		e.Uvarint(k.number)
		e.Byte(loaded)
		e.Bytes(k.Source)
		return true
	})
}

// DecodeScripts reads what EncodeScripts wrote, and compiles it.
func (l *Library) DecodeScripts(d *keyspace.Decoder) error {
	l.number, l.flushed = d.Uvarint(), d.Uvarint()
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		number, loaded, source := d.Uvarint(), d.Byte() != 0, d.Bytes()
		if d.Err() != nil {
			break
		}
		compiled, err := script.Compile(source)
		if err != nil {
			return fmt.Errorf("script %d: %w", number, err)
		}
		if _, twice := l.scripts.Get(compiled.SHA); twice || number == 0 || number > l.number {
			d.Fail("scripts that cannot be")
			break
		}
		last := l.number
		l.number = number - 1
		l.add(kept{Entry: &Entry{compiled, source}, loaded: loaded})
		l.number = last
	}
	return d.Err()
}

// EncodeFunctions writes the sources of the libraries in the order of their names.
func (l *Library) EncodeFunctions(e *keyspace.Encoder) {
	e.Uvarint(uint64(l.libraries.Len()))
	l.Libraries(func(lib *script.Library) { e.Bytes(lib.Source) })
}

// DecodeFunctions reads what EncodeFunctions wrote, and loads it.
func (l *Library) DecodeFunctions(d *keyspace.Decoder, engine *script.Engine) error {
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		source := d.Bytes()
		if d.Err() != nil {
			break
		}
		lib, err := engine.LoadLibrary(source, LoadLimits())
		if err == nil {
			err = l.Join([]*script.Library{lib}, Append)
		}
		if err != nil {
			return fmt.Errorf("library: %w", err)
		}
	}
	return d.Err()
}
