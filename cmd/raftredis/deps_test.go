package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/raftredis/raftredis"

// goPackage is what go list tells about a package.
type goPackage struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func goList(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// rule says what a directory (and those below it, unless they have a rule of
// their own) may import.
type rule struct {
	ours   []string          // our packages, by directory; "x/..." is x and all below it
	banned map[string]string // import path (and all below it) -> why
	// stdlibOnly bans everything with a dot in its first element.
	stdlibOnly string
}

const (
	whyPure      = "applying an entry is a pure function of state and entry (rule 2): no clock, chance, file, network or lock may reach it"
	whyNoRaft    = "the front must not know how writes are replicated, only that the store decides"
	whyNoWire    = "the wire protocol ends at the front; the store's replies are typed"
	whyOpaque    = "the raft node moves opaque bytes: that is what lets it be tested alone and used for several groups"
	whyBytes     = "drivers move bytes: what they mean is the connection's business"
	whyClient    = "the page is a client of the node: it sees what a client sees, and no more"
	whyBlackBox  = "integration tests see what a user sees: TCP, the binary, real clients"
	whyTheory    = "it is arithmetic, and what it depends on would have to give the same results on every processor for ever"
	whyStateOnly = "the state machine must not know what orders its entries"
)

// rules is the import table of the design.
var rules = map[string]rule{
	"cmd/raftredis": {ours: []string{"resp", "resp/directive", "resp/page", "resp/wire", "raftnode", "raftnode/commit", "store", "store/acl", "store/command", "store/machine"}},
	"resp": {
		ours: []string{"store", "store/acl", "store/command", "store/cfloat", "store/glob", "resp/...", "raftnode/commit"},
		banned: map[string]string{
			"go.etcd.io/raft": whyNoRaft, "go.etcd.io/etcd": whyNoRaft,
		},
	},
	"resp/driver": {banned: map[string]string{"github.com/tidwall/redcon": whyBytes}},
	"resp/page":   {stdlibOnly: whyClient},
	"resp/wire":   {ours: []string{"store/command", "store/cfloat"}, banned: impure},
	"raftnode": {
		ours:   []string{"raftnode/..."},
		banned: map[string]string{"github.com/tidwall/redcon": whyOpaque},
	},
	"raftnode/journal": {banned: map[string]string{"go.etcd.io/raft": "a journal's records are the caller's business", "go.etcd.io/etcd/server": "the same"}},
	"raftnode/commit":  {stdlibOnly: "everybody imports it, so it must cost nothing"},
	// A log for tests: it knows what travels, and nobody who sends or receives it.
	"raftnode/commit/committest": {ours: []string{"raftnode/commit"}, stdlibOnly: "it stands in for the raft node, for tests of all packages"},
	"store": {
		ours: []string{"store/...", "raftnode/commit"},
		banned: map[string]string{
			"github.com/tidwall/redcon": whyNoWire, "go.etcd.io/raft": whyStateOnly, "go.etcd.io/etcd": whyStateOnly,
		},
	},
	"store/acl":      {ours: []string{"store/command", "store/keyspace", "store/glob"}, banned: impure},
	"store/machine":  {ours: []string{"store/acl", "store/command", "store/glob", "store/keyspace", "store/library", "store/script", "raftnode/commit"}, banned: impure},
	"store/command":  {ours: []string{"store/keyspace", "store/library", "store/script", "store/cfloat", "store/geohash", "store/glob", "store/hyperloglog"}, banned: impure},
	"store/library":  {ours: []string{"store/keyspace", "store/script"}, banned: impure},
	"store/keyspace": {ours: []string{"store/cfloat", "store/lhd"}, banned: impure},
	"store/evict":    {ours: []string{"store/keyspace"}, banned: impure},
	"store/script":   {ours: []string{"store/script/lua"}, banned: impure},
	// Theory: it knows nothing of what it is for.
	"store/cfloat":      {banned: impure, stdlibOnly: whyTheory},
	"store/geohash":     {banned: impure, stdlibOnly: whyTheory},
	"store/hyperloglog": {banned: impure, stdlibOnly: whyTheory},
	"store/glob":        {banned: impure, stdlibOnly: whyTheory},
	"store/lhd":         {stdlibOnly: "it judges keys by numbers alone, for whoever evicts, and no state depends on it"},
	"store/script/lua":  {banned: impure, stdlibOnly: whyTheory},
	"integration":       {ours: []string{"integration/..."}, banned: map[string]string{"go.etcd.io/raft": whyBlackBox, "go.etcd.io/etcd": whyBlackBox}},
}

// impure is what a state machine must not be able to reach.
var impure = map[string]string{
	"math/rand": whyPure, "crypto/rand": whyPure, "os": whyPure, "io/fs": whyPure, "net": whyPure, "sync": whyPure,
	"hash/maphash": whyPure + " (its seed differs in every process)", "runtime": whyPure, "context": whyPure, "log": whyPure,
	"go.etcd.io": whyStateOnly, "github.com/tidwall/redcon": whyNoWire, "go.uber.org/zap": whyPure,
}

// allowed are exceptions from impure, each with its reason.
var allowed = map[string]map[string]string{
	"resp/wire": {"github.com/tidwall/redcon": "it is the codec, and this is the wire"},
	"store/keyspace": {
		"runtime":      "it tells when nobody can reach memory any more that is not the collector's",
		"sync/atomic":  "readers note side by side when a key was last read: this node's own statistics (OBJECT IDLETIME), which nothing that is applied looks at",
		"hash/maphash": "the index of a database only finds positions; its seed keeps clients from choosing colliding keys and never influences an order",
	},
}

// ruleOf finds the rule of the nearest directory.
func ruleOf(dir string) (rule, string, bool) {
	for d := dir; d != "." && d != "/"; d = path.Dir(d) {
		if r, ok := rules[d]; ok {
			return r, d, true
		}
	}
	return rule{}, "", false
}

func TestImportTable(t *testing.T) {
	for _, p := range goList(t) {
		dir := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		r, at, ok := ruleOf(dir)
		if !ok {
			t.Errorf("%s has no place in the import table of the design", dir)
			continue
		}
		for _, imported := range p.Imports {
			checkImport(t, dir, at, r, imported)
		}
		if at == "integration" { // its tests are what it is about
			for _, imported := range append(p.TestImports, p.XTestImports...) {
				if ours, ok := ourDir(imported); ok && !strings.HasPrefix(ours, "integration") {
					t.Errorf("%s's tests import %s: %s", dir, ours, whyBlackBox)
				}
			}
		}
	}
}

func checkImport(t *testing.T, dir, at string, r rule, imported string) {
	t.Helper()
	if ours, ok := ourDir(imported); ok {
		for _, a := range r.ours {
			if ours == a || strings.HasSuffix(a, "/...") && strings.HasPrefix(ours+"/", strings.TrimSuffix(a, "...")) {
				return
			}
		}
		t.Errorf("%s imports %s: the import table allows %s only %v", dir, ours, at, r.ours)
		return
	}
	if allowed[at][imported] != "" {
		return
	}
	for banned, why := range r.banned {
		if imported == banned || strings.HasPrefix(imported, banned+"/") {
			t.Errorf("%s imports %s: %s", dir, imported, why)
		}
	}
	if first, _, _ := strings.Cut(imported, "/"); r.stdlibOnly != "" && strings.Contains(first, ".") {
		t.Errorf("%s imports %s: only the standard library, because %s", dir, imported, r.stdlibOnly)
	}
}

func ourDir(imported string) (string, bool) {
	dir, ok := strings.CutPrefix(imported, module+"/")
	return dir, ok
}
