package library

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tidwall/btree"

	"github.com/raftredis/raftredis/store/script"
)

// Limits of what is kept. They are the same on every member, and part of what the
// log means: changing them takes a new version of the snapshot's section.
const (
	// MaxEvaluated is how many scripts that were only ever evaluated are kept, and
	// maxEvaluatedBytes how many bytes of them: the oldest go first. Redis 7.4 does
	// so as well, since programs that write their arguments into the script would
	// fill the memory otherwise.
	MaxEvaluated      = 500
	maxEvaluatedBytes = 8 << 20

	// maxBytes bounds the scripts that SCRIPT LOAD was asked to keep, and likewise
	// the libraries. Both are kept until they are flushed, so that there is no more
	// to do than to refuse more.
	maxBytes = 64 << 20

	entryBytes = 1 << 10 // what each costs beside its source
)

// LoadLimits bound what a library may do while it is loaded.
func LoadLimits() script.Limits {
	return script.Limits{Instructions: 10_000_000, Memory: 64 << 20}
}

// ErrFull is the answer to a script or library that there is no room for.
var ErrFull = errors.New("OOM the scripts, or libraries, that are loaded take all the room there is for them")

// Entry is a script that is kept.
type Entry struct {
	*script.Script
	Source []byte
}

func (e *Entry) bytes() int { return len(e.Source) + entryBytes }

// kept is an entry with its place.
type kept struct {
	*Entry
	loaded bool   // by SCRIPT LOAD
	number uint64 // in the order of coming
}

// Function is a function with its library.
type Function struct {
	*script.Function
	Library *script.Library
}

// Library is what is loaded. The zero value is empty. A copy (Freeze) stays as it is
// and may be read by any goroutine.
type Library struct {
	scripts   btree.Map[string, kept]   // by SHA-1 in lower case
	evaluated btree.Map[uint64, *Entry] // those that were not loaded, in the order of coming
	number    uint64                    // of the last one that came
	flushed   uint64                    // how many times SCRIPT FLUSH has emptied it

	libraries btree.Map[string, *script.Library]
	functions btree.Map[string, Function] // by name in lower case, as Redis compares them

	// Derived. changes counts how often the libraries have changed.
	changes                                   uint64
	loadedBytes, evaluatedBytes, libraryBytes int
}

// Freeze returns a copy that stays as it is.
func (l *Library) Freeze() *Library {
	f := *l
	f.scripts, f.evaluated = *l.scripts.Copy(), *l.evaluated.Copy()
	f.libraries, f.functions = *l.libraries.Copy(), *l.functions.Copy()
	return &f
}

// Script returns the script with that SHA-1 in hexadecimal, nil if there is none.
func (l *Library) Script(sha string) *Entry {
	k, _ := l.scripts.Get(sha)
	return k.Entry
}

// Scripts returns how many scripts are kept, and the bytes of their sources.
func (l *Library) Scripts() (n, bytes int) {
	n = l.scripts.Len()
	return n, l.loadedBytes + l.evaluatedBytes - n*entryBytes
}

// Flushed counts how many times FlushScripts was called.
func (l *Library) Flushed() uint64 { return l.flushed }

// Load keeps a script until it is flushed. The error is ErrFull.
func (l *Library) Load(e *Entry) error {
	have, ok := l.scripts.Get(e.SHA)
	if ok && have.loaded {
		return nil
	}
	if l.loadedBytes+e.bytes() > maxBytes {
		return ErrFull
	}
	if ok {
		l.forget(have)
	}
	l.add(kept{Entry: e, loaded: true})
	return nil
}

// Remember keeps a script that was evaluated as long as there is room.
func (l *Library) Remember(e *Entry) {
	if _, ok := l.scripts.Get(e.SHA); ok || e.bytes() > maxEvaluatedBytes {
		return
	}
	for l.evaluated.Len() >= MaxEvaluated || l.evaluatedBytes+e.bytes() > maxEvaluatedBytes {
		_, oldest, _ := l.evaluated.Min()
		k, _ := l.scripts.Get(oldest.SHA)
		l.forget(k)
	}
	l.add(kept{Entry: e})
}

func (l *Library) add(k kept) {
	l.number++
	k.number = l.number
	l.scripts.Set(k.SHA, k)
	if k.loaded {
		l.loadedBytes += k.bytes()
	} else {
		l.evaluated.Set(k.number, k.Entry)
		l.evaluatedBytes += k.bytes()
	}
}

// forget forgets a script that was evaluated.
func (l *Library) forget(k kept) {
	l.scripts.Delete(k.SHA)
	l.evaluated.Delete(k.number)
	l.evaluatedBytes -= k.bytes()
}

// FlushScripts forgets all scripts.
func (l *Library) FlushScripts() {
	l.scripts.Clear()
	l.evaluated.Clear()
	l.loadedBytes, l.evaluatedBytes = 0, 0
	l.flushed++
}

// Function returns the function of that name, in any case of letters.
func (l *Library) Function(name string) (Function, bool) {
	return l.functions.Get(strings.ToLower(name))
}

// Changes counts how often the libraries have changed on this node.
func (l *Library) Changes() uint64 { return l.changes }

// Libraries visits all libraries in the order of their names.
func (l *Library) Libraries(visit func(*script.Library)) {
	l.libraries.Scan(func(_ string, lib *script.Library) bool {
		visit(lib)
		return true
	})
}

// Counts returns how many libraries there are, and how many functions in all.
func (l *Library) Counts() (libraries, functions int) {
	l.Libraries(func(lib *script.Library) { functions += len(lib.Functions) })
	return l.libraries.Len(), functions
}

// Policy says what Join does with what is there.
type Policy uint8

// The policies of FUNCTION RESTORE.
const (
	Append  Policy = iota // a library of the same name is an error
	Replace               // it is replaced
	Flush                 // everything that is there goes
)

// Has reports whether there is a library of that name.
func (l *Library) Has(name string) bool {
	_, ok := l.libraries.Get(name)
	return ok
}

// Join adds libraries, all of them or none. The error is the reply.
func (l *Library) Join(libs []*script.Library, policy Policy) error {
	next := l.Freeze()
	if policy == Flush {
		next.FlushFunctions()
	}
	for _, lib := range libs {
		old, there := next.libraries.Get(lib.Name)
		switch {
		case there && policy == Append:
			return fmt.Errorf("ERR Library %s already exists", lib.Name)
		case there:
			next.unlink(old)
		}
	}
	for _, lib := range libs {
		for _, f := range lib.Functions {
			name := strings.ToLower(f.Name)
			switch have, there := next.functions.Get(name); {
			case !there:
				next.functions.Set(name, Function{f, lib})
			case have.Library != lib: // else they differ in case, and the first is found
				return fmt.Errorf("ERR Function %s already exists", f.Name)
			}
		}
		if next.libraryBytes += len(lib.Source) + entryBytes; next.libraryBytes > maxBytes {
			return ErrFull
		}
		next.libraries.Set(lib.Name, lib)
	}
	next.changes++
	*l = *next
	return nil
}

func (l *Library) unlink(lib *script.Library) {
	for _, f := range lib.Functions {
		l.functions.Delete(strings.ToLower(f.Name))
	}
	l.libraries.Delete(lib.Name)
	l.libraryBytes -= len(lib.Source) + entryBytes
}

// Delete deletes a library and reports whether it was there.
func (l *Library) Delete(name string) bool {
	lib, ok := l.libraries.Get(name)
	if ok {
		l.unlink(lib)
		l.changes++
	}
	return ok
}

// FlushFunctions forgets all libraries.
func (l *Library) FlushFunctions() {
	l.libraries.Clear()
	l.functions.Clear()
	l.libraryBytes = 0
	l.changes++
}
