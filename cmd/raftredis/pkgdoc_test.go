package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPackageDocs: every package says once what it is, and there is a DESIGN.md
// that says why it is so: its own, or the one above it, which then names it.
func TestPackageDocs(t *testing.T) {
	for _, p := range goList(t) {
		docs := 0
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil && strings.TrimSpace(f.Doc.Text()) != "" {
				docs++
			}
		}
		if docs != 1 && len(p.GoFiles) > 0 {
			t.Errorf("%s has %d package comments, not one", p.ImportPath, docs)
		}
		above, err := os.ReadFile(filepath.Join(filepath.Dir(p.Dir), "DESIGN.md"))
		if err == nil && strings.Contains(string(above), "`"+filepath.Base(p.Dir)+"/`") {
			continue
		}
		if _, err := os.Stat(filepath.Join(p.Dir, "DESIGN.md")); err != nil {
			t.Errorf("%s has no DESIGN.md", p.ImportPath)
		}
	}
}

// TestNoClockInTheStateMachine: what is applied gets its time from the log.
func TestNoClockInTheStateMachine(t *testing.T) {
	for _, p := range goList(t) {
		dir, _ := ourDir(p.ImportPath)
		if !strings.HasPrefix(dir, "store/command") && !strings.HasPrefix(dir, "store/keyspace") {
			continue
		}
		for _, name := range p.GoFiles {
			for _, use := range calls(t, filepath.Join(p.Dir, name), "time", "Now", "Since", "Until", "After", "Tick", "NewTimer", "NewTicker", "Sleep", "AfterFunc") {
				t.Errorf("%s: %s", use, whyPure)
			}
		}
	}
}

// TestNoSleepingTests: a test that sleeps until something will have happened is
// slow on a fast machine and wrong on a slow one. Sleeping between two looks at
// a condition, in a for loop, is fine; a load with a pace says so (// pace:).
func TestNoSleepingTests(t *testing.T) {
	for _, p := range goList(t) {
		names, err := filepath.Glob(filepath.Join(p.Dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(source), `"testing/synctest"`) {
				continue // there the time that passes is not real
			}
			lines := strings.Split(string(source), "\n")
			for _, use := range calls(t, name, "time", "Sleep") {
				if !use.inLoop && !strings.Contains(lines[use.Line-1], "// pace:") {
					t.Errorf("%s: wait on a condition with a deadline instead", use)
				}
			}
		}
	}
}

// call is one mention of a function.
type call struct {
	token.Position
	inLoop bool // within a for statement
}

// calls finds where a file mentions pkg.name for one of the names.
func calls(t *testing.T, file, pkg string, names ...string) []call {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []call
	var above []ast.Node
	ast.Inspect(f, func(n ast.Node) bool {
		if n == nil {
			above = above[:len(above)-1]
			return true
		}
		above = append(above, n)
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == pkg && x.Obj == nil && slices.Contains(names, s.Sel.Name) {
			found = append(found, call{fset.Position(n.Pos()), slices.ContainsFunc(above, isFor)})
		}
		return true
	})
	return found
}

func isFor(n ast.Node) bool {
	_, ok := n.(*ast.ForStmt)
	return ok
}
