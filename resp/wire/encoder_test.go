package wire

import (
	"math"
	"testing"
)

func TestReplies(t *testing.T) {
	for _, test := range []struct {
		name         string
		write        func(*Encoder)
		resp2, resp3 string
	}{
		{"status", func(e *Encoder) { e.Status("OK") }, "+OK\r\n", "+OK\r\n"},
		{"status of two lines", func(e *Encoder) { e.Status("a\r\nb") }, "+a  b\r\n", "+a  b\r\n"},
		{"error", func(e *Encoder) { e.Error("ERR no\nway") }, "-ERR no way\r\n", "-ERR no way\r\n"},
		{"int", func(e *Encoder) { e.Int(math.MinInt64) }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
		{"bulk", func(e *Encoder) { e.Bulk([]byte("a\r\n\x00")) }, "$4\r\na\r\n\x00\r\n", "$4\r\na\r\n\x00\r\n"},
		{"empty bulk", func(e *Encoder) { e.BulkString("") }, "$0\r\n\r\n", "$0\r\n\r\n"},
		{"null", func(e *Encoder) { e.Null() }, "$-1\r\n", "_\r\n"},
		{"null array", func(e *Encoder) { e.NullArray() }, "*-1\r\n", "_\r\n"},
		{"array", func(e *Encoder) { e.Array(12) }, "*12\r\n", "*12\r\n"},
		{"map", func(e *Encoder) { e.Map(6) }, "*12\r\n", "%6\r\n"},
		{"set", func(e *Encoder) { e.Set(2) }, "*2\r\n", "~2\r\n"},
		{"push", func(e *Encoder) { e.Push(2) }, "*2\r\n", ">2\r\n"},
		{"true", func(e *Encoder) { e.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(e *Encoder) { e.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"big number", func(e *Encoder) { e.BigNumber("12345678901234567890") }, "$20\r\n12345678901234567890\r\n", "(12345678901234567890\r\n"},
		{"verbatim", func(e *Encoder) { e.Verbatim("txt", "a b") }, "$3\r\na b\r\n", "=7\r\ntxt:a b\r\n"},
	} {
		for _, resp3 := range []bool{false, true} {
			e := &Encoder{resp3: resp3}
			test.write(e)
			want := test.resp2
			if resp3 {
				want = test.resp3
			}
			if string(e.Buf) != want {
				t.Errorf("%s, RESP3 %v: %q, want %q", test.name, resp3, e.Buf, want)
			}
		}
	}
}

func TestDouble(t *testing.T) {
	e := &Encoder{}
	e.Double(2.5)
	e.resp3 = true
	e.Double(2.5)
	if string(e.Buf) != "$3\r\n2.5\r\n,2.5\r\n" {
		t.Errorf("%q", e.Buf)
	}
}
