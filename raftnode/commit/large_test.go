package commit

import (
	"bytes"
	"errors"
	"testing"
)

// cut makes the parts of a request, each of n bytes.
func cut(request []byte, head string, n int) (parts [][]byte) {
	for at := 0; at < len(request); at += n {
		end := min(at+n, len(request))
		var h []byte
		if end == len(request) {
			h = []byte(head)
		}
		parts = append(parts, AppendPart(nil, len(request), at, h, request[at:end]))
	}
	return parts
}

func TestAssembly(t *testing.T) {
	request := []byte("0123456789")
	for n := 1; n < 12; n++ {
		var a Assembly
		for i, p := range cut(request, "head:", n) {
			// Others come in between, and a snapshot may be taken anywhere.
			if other, err := a.Add(3, []byte("other")); string(other) != "other" || err != nil {
				t.Fatalf("%q, %v", other, err)
			}
			restored := Assembly{}
			for _, q := range a.Parts {
				if data, err := restored.Add(a.Term, q); data != nil || err != nil {
					t.Fatalf("%q, %v", data, err)
				}
			}
			a = restored
			whole, err := a.Add(3, p)
			if err != nil {
				t.Fatalf("part %d of %d bytes: %v", i, n, err)
			}
			if last := (i+1)*n >= len(request); last != (string(whole) == "head:0123456789") || !last && whole != nil {
				t.Fatalf("after part %d of %d bytes: %q", i, n, whole)
			}
		}
		if len(a.Parts) > 0 {
			t.Fatalf("%q left over", a.Parts)
		}
	}
}

func TestAssemblyEndsWithItsTerm(t *testing.T) {
	parts := cut([]byte("0123456789"), "", 4)
	for _, next := range [][]byte{nil, []byte("other"), parts[0]} {
		var a Assembly
		for _, p := range parts[:2] {
			if _, err := a.Add(3, p); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := a.Add(4, next); !bytes.Equal(got, next) && !IsPart(next) || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		if want := map[bool]int{true: 1}[IsPart(next)]; len(a.Parts) != want {
			t.Fatalf("%d parts after %q of another term", len(a.Parts), next)
		}
	}
}

func TestWrongParts(t *testing.T) {
	parts := cut([]byte("0123456789"), "h", 4)
	for what, wrong := range map[string][]byte{
		"the second":      parts[1],
		"the last":        parts[2],
		"of another size": AppendPart(nil, 11, 4, nil, []byte("4567")),
		"too long":        AppendPart(nil, 10, 4, nil, []byte("45678901")),
		"last too early":  AppendPart(nil, 10, 4, []byte("h"), []byte("4567")),
		"not the last":    AppendPart(nil, 10, 4, nil, []byte("456789")),
		"empty":           AppendPart(nil, 10, 4, nil, nil),
		"of a new kind":   {partMark, 9, 10, 4, 'x'},
		"no header":       {partMark},
		"half a header":   {partMark, partOf, 0x80},
		"far too long":    {partMark, partOf, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 'x'},
		"a short head":    {partMark, partLast, 10, 4, 200, 'x'},
	} {
		var a Assembly
		if what != "the second" {
			if _, err := a.Add(1, parts[0]); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := a.Add(1, wrong); !errors.Is(err, ErrPart) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}
