package page

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shown is a reply as people may read it: text as it is, and \xNN for every byte that is
// not.
func shown(r reply) string {
	switch v := r.(type) {
	case text:
		return printable(v.bytes)
	case int64:
		return fmt.Sprint(v)
	case failure:
		return string(v)
	}
	return ""
}

func printable(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1, r != '\n' && r != '\t' && !unicode.IsPrint(r):
			for _, c := range b[:n] {
				fmt.Fprintf(&out, `\x%02x`, c)
			}
		default:
			out.Write(b[:n])
		}
		b = b[n:]
	}
	return out.String()
}

// raw is a text of the node's own.
func raw(r reply) string {
	t, _ := r.(text)
	return strings.ToValidUTF8(string(t.bytes), "\uFFFD")
}

func number(r reply) int64 {
	n, _ := r.(int64)
	return n
}

func list(r reply) []reply {
	all, _ := r.([]reply)
	return all
}

// pairs is a reply of alternating names and values.
func pairs(r reply) map[string]any {
	all, m := list(r), map[string]any{}
	for i := 0; i+1 < len(all); i += 2 {
		if n, is := all[i+1].(int64); is {
			m[shown(all[i])] = n
		} else {
			m[shown(all[i])] = shown(all[i+1])
		}
	}
	return m
}
