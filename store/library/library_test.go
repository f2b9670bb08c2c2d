package library

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/script"
)

func entry(t testing.TB, source string) *Entry {
	t.Helper()
	s, err := script.Compile([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return &Entry{s, []byte(source)}
}

func lib(t testing.TB, name string, functions ...string) *script.Library {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "#!lua name=%s\n", name)
	for _, f := range functions {
		fmt.Fprintf(&b, "redis.register_function('%s', function() return 1 end)\n", f)
	}
	l, err := script.NewEngine().LoadLibrary([]byte(b.String()), LoadLimits())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// names lists libraries with their functions, and checks that each is found.
func names(t testing.TB, l *Library) string {
	t.Helper()
	var all []string
	n := 0
	l.Libraries(func(lib *script.Library) {
		s := lib.Name
		for _, f := range lib.Functions {
			if have, ok := l.Function(strings.ToUpper(f.Name)); !ok || have.Library != lib {
				t.Errorf("function %s is not found", f.Name)
			}
			s += " " + f.Name
			n++
		}
		all = append(all, s)
	})
	if libs, functions := l.Counts(); libs != len(all) || functions != n || l.functions.Len() != n {
		t.Errorf("%d libraries and %d functions are counted, %d are indexed", libs, functions, l.functions.Len())
	}
	return strings.Join(all, ", ")
}

func encode(l *Library) []byte {
	var e keyspace.Encoder
	l.EncodeScripts(&e)
	l.EncodeFunctions(&e)
	return e.Take()
}

func TestEvaluatedScriptsAreForgotten(t *testing.T) {
	var l Library
	kept := entry(t, "return 'kept'")
	if err := l.Load(kept); err != nil {
		t.Fatal(err)
	}
	promoted := entry(t, "return 'promoted'")
	l.Remember(promoted)
	if err := l.Load(promoted); err != nil {
		t.Fatal(err)
	}
	for i := range MaxEvaluated + 10 {
		l.Remember(entry(t, fmt.Sprintf("return %d", i)))
	}
	for source, want := range map[string]bool{
		"return 'kept'": true, "return 'promoted'": true, "return 9": false, "return 10": true, fmt.Sprintf("return %d", MaxEvaluated+9): true,
	} {
		if got := l.Script(entry(t, source).SHA) != nil; got != want {
			t.Errorf("%s: is there: %v", source, got)
		}
	}
	// By bytes as well.
	big := "return '" + strings.Repeat("x", maxEvaluatedBytes/3) + "' -- "
	for i := range 4 {
		l.Remember(entry(t, big+fmt.Sprint(i)))
	}
	if l.evaluated.Len() != 2 || l.evaluatedBytes > maxEvaluatedBytes {
		t.Errorf("%d scripts of %d bytes are kept", l.evaluated.Len(), l.evaluatedBytes)
	}
	l.Remember(entry(t, "return '"+strings.Repeat("x", maxEvaluatedBytes)+"'"))
	if l.evaluated.Len() != 2 {
		t.Error("one that is too big has displaced others")
	}
	l.FlushScripts()
	if n, bytes := l.Scripts(); n != 0 || bytes != 0 || l.evaluatedBytes != 0 || l.Flushed() != 1 {
		t.Errorf("%d scripts of %d bytes after a flush", n, bytes)
	}
}

func TestLoadedScriptsAreBounded(t *testing.T) {
	var l Library
	big := "return '" + strings.Repeat("x", maxBytes/3) + "' -- "
	for i := range 2 {
		if err := l.Load(entry(t, big+fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Load(entry(t, big+"2")); !errors.Is(err, ErrFull) {
		t.Errorf("a script beyond the limit: %v", err)
	}
	if err := l.Load(entry(t, big+"1")); err != nil {
		t.Errorf("one that is there already: %v", err)
	}
}

func TestJoin(t *testing.T) {
	for _, x := range []struct {
		name   string
		libs   []*script.Library
		policy Policy
		want   string
		err    string
	}{
		{"append", []*script.Library{lib(t, "c", "c1")}, Append, "a a1 a2, b b1, c c1", ""},
		{"append what is there", []*script.Library{lib(t, "c", "c1"), lib(t, "a", "x")}, Append, "a a1 a2, b b1", "ERR Library a already exists"},
		{"replace", []*script.Library{lib(t, "a", "a2", "a3"), lib(t, "c", "c1")}, Replace, "a a2 a3, b b1, c c1", ""},
		{"replace, and take a function from the other that is replaced", []*script.Library{lib(t, "a", "b1"), lib(t, "b", "a1")}, Replace, "a b1, b a1", ""},
		{"a function of another library", []*script.Library{lib(t, "c", "c1", "B1")}, Replace, "a a1 a2, b b1", "ERR Function B1 already exists"},
		{"flush", []*script.Library{lib(t, "c", "a1")}, Flush, "c a1", ""},
		{"flush, but they collide", []*script.Library{lib(t, "c", "x"), lib(t, "d", "x")}, Flush, "a a1 a2, b b1", "ERR Function x already exists"},
	} {
		t.Run(x.name, func(t *testing.T) {
			var l Library
			if err := l.Join([]*script.Library{lib(t, "a", "a1", "a2"), lib(t, "b", "b1")}, Append); err != nil {
				t.Fatal(err)
			}
			frozen := l.Freeze()
			err := l.Join(x.libs, x.policy)
			if got := fmt.Sprint(err); got != x.err && (err != nil || x.err != "") {
				t.Errorf("got %v, want %q", err, x.err)
			}
			if got := names(t, &l); got != x.want {
				t.Errorf("got %s, want %s", got, x.want)
			}
			if got := names(t, frozen); got != "a a1 a2, b b1" {
				t.Errorf("the frozen one is %s", got)
			}
			if !l.Delete(strings.Fields(x.want)[0]) || l.Delete("nope") {
				t.Error("Delete is wrong about what is there")
			}
			names(t, &l)
			l.FlushFunctions()
			if got := names(t, &l); got != "" || l.libraryBytes != 0 {
				t.Errorf("after a flush there are %s, of %d bytes", got, l.libraryBytes)
			}
		})
	}
}

func TestRestored(t *testing.T) {
	var l Library
	for i := range 20 {
		e := entry(t, fmt.Sprintf("return %d", i))
		if l.Remember(e); i%3 == 0 {
			if err := l.Load(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Join([]*script.Library{lib(t, "a", "a1", "a2"), lib(t, "b", "b1")}, Append); err != nil {
		t.Fatal(err)
	}
	want := encode(&l)
	var restored Library
	d := keyspace.NewDecoder(want)
	if err := errors.Join(restored.DecodeScripts(d), restored.DecodeFunctions(d, script.NewEngine())); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encode(&restored), want) || restored.loadedBytes != l.loadedBytes || restored.evaluatedBytes != l.evaluatedBytes || restored.libraryBytes != l.libraryBytes {
		t.Error("restored to something else")
	}
	// They go on alike.
	for _, x := range []*Library{&l, &restored} {
		for i := range MaxEvaluated - 5 {
			x.Remember(entry(t, fmt.Sprintf("return -%d", i)))
		}
	}
	if !bytes.Equal(encode(&restored), encode(&l)) {
		t.Error("the restored one goes another way")
	}
	for n := 0; n < len(want); n += 5 {
		d := keyspace.NewDecoder(want[:n])
		var broken Library
		if broken.DecodeScripts(d) == nil && broken.DecodeFunctions(d, script.NewEngine()) == nil {
			t.Fatalf("the first %d of %d bytes are taken for all", n, len(want))
		}
	}
}
