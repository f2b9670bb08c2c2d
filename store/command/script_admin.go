package command

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/raftredis/raftredis/store/glob"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/library"
	"github.com/raftredis/raftredis/store/script"
)

// errSubcommandSyntax is the answer to a subcommand with a number of arguments that it
// does not take.
func errSubcommandSyntax(c *Call) string {
	return fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%.128s'. Try %s HELP.", c.Args[1], strings.ToUpper(string(c.Args[0])))
}

func scriptLoad(w *Write) {
	e := w.Host.script(SHA(w.Args[2]))
	if e == nil {
		source := bytes.Clone(w.Args[2])
		compiled, err := script.Compile(source)
		if err != nil {
			w.Fail(err)
			return
		}
		e = &library.Entry{Script: compiled, Source: source}
	}
	if err := w.Host.Library.Load(e); err != nil {
		w.Fail(err)
		return
	}
	w.Reply.BulkString(e.SHA)
}

func scriptExists(r *Read) {
	r.Reply.Array(len(r.Args) - 2)
	for _, sha := range r.Args[2:] {
		r.IntBool(len(sha) == shaLen && r.Host.script(string(appendLower(nil, sha))) != nil)
	}
}

// flushMode checks the optional ASYNC or SYNC. Nothing depends on it: what is
// forgotten is the garbage collector's.
func (c *Call) flushMode(wrong string) bool {
	if len(c.Args) == 2 || len(c.Args) == 3 && (c.Is(2, "sync") || c.Is(2, "async")) {
		return true
	}
	c.Reply.Error(wrong)
	return false
}

func scriptFlush(w *Write) {
	if w.flushMode("ERR SCRIPT FLUSH only support SYNC|ASYNC option") {
		w.Host.Library.FlushScripts()
		w.OK()
	}
}

func functionLoad(w *Write) {
	replace := false
	for i := 2; i < len(w.Args)-1; i++ {
		if !w.Is(i, "replace") {
			w.Reply.Error(fmt.Sprintf("ERR Unknown option given: %s", w.Args[i]))
			return
		}
		replace = true
	}
	name, err := w.Host.load(w.Host.Library, w.Args[len(w.Args)-1], replace)
	if err != nil {
		w.Fail(err)
		return
	}
	w.Reply.BulkString(name)
}

// load loads a library into to, and returns its name. The error is the reply.
func (h *Host) load(to *library.Library, source []byte, replace bool) (name string, err error) {
	if name, err = script.Metadata(source); err != nil {
		return "", err
	}
	if to.Has(name) && !replace {
		return "", fmt.Errorf("ERR Library '%s' already exists", name)
	}
	lib, err := h.Engine.LoadLibrary(source, library.LoadLimits())
	switch {
	case errors.Is(err, script.ErrInstructions):
		return "", errors.New("ERR FUNCTION LOAD timeout")
	case err != nil:
		return "", err
	}
	return name, to.Join([]*script.Library{lib}, library.Replace)
}

func functionDelete(w *Write) {
	if w.Host.Library.Delete(string(w.Args[2])) {
		w.OK()
	} else {
		w.Reply.Error("ERR Library not found")
	}
}

func functionFlush(w *Write) {
	switch {
	case len(w.Args) > 3:
		w.Reply.Error(errSubcommandSyntax(&w.Call))
	case w.flushMode("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"):
		w.Host.Library.FlushFunctions()
		w.OK()
	}
}

func functionList(r *Read) {
	var pattern []byte
	named, withCode := false, false
	for i := 2; i < len(r.Args); i++ {
		switch {
		case !withCode && r.Is(i, "withcode"):
			withCode = true
		case !named && r.Is(i, "libraryname") && i+1 == len(r.Args):
			r.Reply.Error("ERR library name argument was not given")
			return
		case !named && r.Is(i, "libraryname"):
			i++
			named, pattern = true, r.Args[i]
		default:
			r.Reply.Error(fmt.Sprintf("ERR Unknown argument %s", r.Args[i]))
			return
		}
	}
	var libs []*script.Library
	r.Host.Library.Libraries(func(lib *script.Library) {
		if !named || glob.Match(pattern, []byte(lib.Name), true) {
			libs = append(libs, lib)
		}
	})
	r.Reply.Array(len(libs))
	for _, lib := range libs {
		writeLibrary(r.Reply, lib, withCode)
	}
}

func writeLibrary(reply Reply, lib *script.Library, withCode bool) {
	fields := 3
	if withCode {
		fields++
	}
	reply.Map(fields)
	reply.BulkString("library_name")
	reply.BulkString(lib.Name)
	reply.BulkString("engine")
	reply.BulkString(lib.Engine)
	reply.BulkString("functions")
	reply.Array(len(lib.Functions))
	for _, f := range lib.Functions {
		reply.Map(3)
		reply.BulkString("name")
		reply.BulkString(f.Name)
		reply.BulkString("description")
		if f.Described {
			reply.BulkString(f.Description)
		} else {
			reply.Null()
		}
		reply.BulkString("flags")
		writeStatuses(reply, functionFlags(f.Flags))
	}
	if withCode {
		reply.BulkString("library_code")
		reply.Bulk(lib.Source)
	}
}

// functionFlags names the flags, in Redis's order.
func functionFlags(f script.Flags) []string {
	var names []string
	for _, x := range []struct {
		set  bool
		name string
	}{
		{f.NoWrites, "no-writes"},
		{f.AllowOOM, "allow-oom"},
		{f.AllowStale, "allow-stale"},
		{f.NoCluster, "no-cluster"},
		{f.AllowCrossSlotKeys, "allow-cross-slot-keys"},
	} {
		if x.set {
			names = append(names, x.name)
		}
	}
	return names
}

func functionDump(r *Read) {
	var sources [][]byte
	r.Host.Library.Libraries(func(lib *script.Library) { sources = append(sources, lib.Source) })
	r.Reply.Bulk(keyspace.DumpFunctions(sources))
}

func functionRestore(w *Write) {
	policy := library.Append
	switch {
	case len(w.Args) > 4:
		w.Reply.Error(errSubcommandSyntax(&w.Call))
		return
	case len(w.Args) == 3 || w.Is(3, "append"):
	case w.Is(3, "replace"):
		policy = library.Replace
	case w.Is(3, "flush"):
		policy = library.Flush
	default:
		w.Reply.Error("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
		return
	}
	libs, err := w.Host.restore(w.Args[2])
	if err == nil {
		err = w.Host.Library.Join(libs, policy)
	}
	if err != nil {
		w.Fail(err)
		return
	}
	w.OK()
}

// restore loads what is in a dump. The error is the reply.
func (h *Host) restore(payload []byte) ([]*script.Library, error) {
	sources, err := keyspace.ParseFunctions(payload)
	if err != nil {
		return nil, fmt.Errorf("ERR %w", err)
	}
	var all library.Library // those of the dump must not collide either
	for _, source := range sources {
		if _, err := h.load(&all, source, false); err != nil {
			return nil, err
		}
	}
	var libs []*script.Library
	all.Libraries(func(lib *script.Library) { libs = append(libs, lib) })
	return libs, nil
}
