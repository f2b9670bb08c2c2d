package resp

import (
	"math"
	"testing"
)

func TestReplies(t *testing.T) {
	for _, test := range []struct {
		name         string
		write        func(*encoder)
		resp2, resp3 string
	}{
		{"status", func(e *encoder) { e.Status("OK") }, "+OK\r\n", "+OK\r\n"},
		{"status of two lines", func(e *encoder) { e.Status("a\r\nb") }, "+a  b\r\n", "+a  b\r\n"},
		{"error", func(e *encoder) { e.Error("ERR no\nway") }, "-ERR no way\r\n", "-ERR no way\r\n"},
		{"int", func(e *encoder) { e.Int(math.MinInt64) }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
		{"bulk", func(e *encoder) { e.Bulk([]byte("a\r\n\x00")) }, "$4\r\na\r\n\x00\r\n", "$4\r\na\r\n\x00\r\n"},
		{"empty bulk", func(e *encoder) { e.BulkString("") }, "$0\r\n\r\n", "$0\r\n\r\n"},
		{"null", func(e *encoder) { e.Null() }, "$-1\r\n", "_\r\n"},
		{"null array", func(e *encoder) { e.NullArray() }, "*-1\r\n", "_\r\n"},
		{"array", func(e *encoder) { e.Array(12) }, "*12\r\n", "*12\r\n"},
		{"map", func(e *encoder) { e.Map(6) }, "*12\r\n", "%6\r\n"},
		{"set", func(e *encoder) { e.Set(2) }, "*2\r\n", "~2\r\n"},
		{"push", func(e *encoder) { e.Push(2) }, "*2\r\n", ">2\r\n"},
		{"true", func(e *encoder) { e.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(e *encoder) { e.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"big number", func(e *encoder) { e.BigNumber("12345678901234567890") }, "$20\r\n12345678901234567890\r\n", "(12345678901234567890\r\n"},
		{"verbatim", func(e *encoder) { e.Verbatim("txt", "a b") }, "$3\r\na b\r\n", "=7\r\ntxt:a b\r\n"},
	} {
		for _, resp3 := range []bool{false, true} {
			e := &encoder{resp3: resp3}
			test.write(e)
			want := test.resp2
			if resp3 {
				want = test.resp3
			}
			if string(e.buf) != want {
				t.Errorf("%s, RESP3 %v: %q, want %q", test.name, resp3, e.buf, want)
			}
		}
	}
}

func TestDouble(t *testing.T) {
	e := &encoder{}
	e.Double(2.5)
	e.resp3 = true
	e.Double(2.5)
	if string(e.buf) != "$3\r\n2.5\r\n,2.5\r\n" {
		t.Errorf("%q", e.buf)
	}
}
