package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/tidwall/redcon"
)

// frames cuts in into commands, given to it in pieces of the given size.
func frames(in string, piece int, lim FrameLimits) (cmds []string, err error) {
	var f Frame
	var buf []byte
	for start := 0; ; {
		n, need, err := f.Next(buf[start:], lim)
		switch {
		case err != nil:
			return cmds, err
		case n > 0:
			cmds = append(cmds, string(buf[start:start+n]))
			start += n
		case len(buf) == len(in):
			return cmds, nil
		case need <= len(buf)-start:
			return cmds, fmt.Errorf("needs %d bytes and has %d", need, len(buf)-start)
		default:
			buf = append(buf, in[len(buf):min(len(in), len(buf)+piece)]...)
		}
	}
}

func TestFrames(t *testing.T) {
	lim := FrameLimits{Bulk: 512 << 20}
	stranger := FrameLimits{Bulk: 512 << 20, NoAuth: true}
	big := strings.Repeat("1", maxInline+10)
	for _, test := range []struct {
		in   string
		lim  FrameLimits
		want int // commands
		err  string
	}{
		{"", lim, 0, ""},
		{"*1\r\n$4\r\nPING\r\n", lim, 1, ""},
		{"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI", lim, 1, ""},
		{"*0\r\n*-1\r\n*1\r\n$0\r\n\r\n", lim, 3, ""},
		{"PING\r\nPING\n\r\n\n", lim, 4, ""},
		{"*1\r\n$4\r\nPINGxx*1\rx$4\r\nPING\r\n", lim, 2, ""},
		{"*2\r\n$3\r\nGET\r\n$100\r\n" + strings.Repeat("\r\n", 50) + "\r\n", lim, 1, ""},
		{"*1048577\r\n", lim, 0, ""},
		{"*2147483647\r\n$0\r\n\r\n", lim, 0, ""},
		{"*2147483648\r\n", lim, 0, "invalid multibulk length"},
		{"*9223372036854775808\r\n", lim, 0, "invalid multibulk length"},
		{"*+1\r\n", lim, 0, "invalid multibulk length"},
		{"*01\r\n", lim, 0, "invalid multibulk length"},
		{"*1 \r\n", lim, 0, "invalid multibulk length"},
		{"*\r\n", lim, 0, "invalid multibulk length"},
		{"*" + big, lim, 0, "too big mbulk count string"},
		{"*1\r\n$" + big, lim, 0, "too big bulk count string"},
		{big, lim, 0, "too big inline request"},
		{"*1\r\n$-1\r\n", lim, 0, "invalid bulk length"},
		{"*1\r\n$536870913\r\n", lim, 0, "invalid bulk length"},
		{"*1\r\n$9223372036854775807\r\n", lim, 0, "invalid bulk length"},
		{"*1\r\n4\r\nPING\r\n", lim, 0, "expected '$', got '4'"},
		{"*1\r\n\r\n", lim, 0, "expected '$', got '\r'"},
		{"*1\r\nfoo", lim, 0, ""},
		{"*11\r\n", stranger, 0, "unauthenticated multibulk length"},
		{"*1\r\n$16385\r\n", stranger, 0, "unauthenticated bulk length"},
		{"*10\r\n$16384\r\n", stranger, 0, ""},
	} {
		for _, piece := range []int{1, 2, 3, 7, 1 << 20} {
			cmds, err := frames(test.in, piece, test.lim)
			text := ""
			if err != nil {
				text = strings.TrimPrefix(err.Error(), "Protocol error: ")
			}
			if len(cmds) != test.want || text != test.err {
				t.Errorf("%.40q in pieces of %d: %d commands and %q, want %d and %q", test.in, piece, len(cmds), text, test.want, test.err)
			}
		}
	}
}

// A command that comes byte by byte must not be looked at from its beginning at
// every byte.
func TestFrameRemembers(t *testing.T) {
	var in []byte
	in = redcon.AppendArray(in, 1000)
	for range 1000 {
		in = redcon.AppendBulk(in, bytes.Repeat([]byte("x"), 100))
	}
	var f Frame
	for end := range len(in) {
		if n, _, err := f.Next(in[:end], FrameLimits{Bulk: 1000}); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if behind := end - max(f.pos, f.scan); behind > 110 {
			t.Fatalf("at %d bytes it will look at %d again", end, behind)
		}
	}
	if n, _, err := f.Next(in, FrameLimits{Bulk: 1000}); n != len(in) || err != nil {
		t.Fatal(n, err)
	}
}

// What the guard lets through, redcon must read to the same end.
func FuzzFrame(f *testing.F) {
	for _, s := range []string{
		"*1\r\n$4\r\nPING\r\n", "*0\r\n", "PING\r\n", "*2\r\n$1\r\na\r\n$0\r\n\r\n", "*1\rx$3\r\nabcde", "\"a\\x41\" 'b'\r\n",
		"*2147483647\r\n", "$5 hello\r\n", "*1\r\n$9223372036854775807\r\n", "*-1\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		lim := FrameLimits{Bulk: 1 << 20}
		cmds, err := frames(string(in), int(piece)+1, lim)
		whole, errWhole := frames(string(in), len(in)+1, lim)
		if fmt.Sprint(err) != fmt.Sprint(errWhole) || len(cmds) != len(whole) {
			t.Fatalf("in pieces %q %v, whole %q %v", cmds, err, whole, errWhole)
		}
		for _, cmd := range cmds {
			if cmd[0] != '*' {
				SplitInline([]byte(cmd), nil)
				continue
			}
			_, args, kind, rest, err := redcon.ReadNextCommand([]byte(cmd), nil)
			empty := len(args) == 0 && bytes.IndexByte([]byte(cmd), '$') < 0
			if !empty && (err != nil || len(rest) != 0 || kind != redcon.Redis) {
				t.Fatalf("%q: redcon reads %q, leaves %q, %v", cmd, args, rest, err)
			}
		}
	})
}

func TestSplitInline(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string
		ok   bool
	}{
		{"", nil, true},
		{"  set  a\tb ", []string{"set", "a", "b"}, true},
		{`set "a b" 'c d'`, []string{"set", "a b", "c d"}, true},
		{`"a\x41\n\"\\\q"`, []string{"aA\n\"\\q"}, true},
		{`'a\'b\n'`, []string{"a'b\\n"}, true},
		{`"" ''`, []string{"", ""}, true},
		{`a"b c"`, []string{"ab c"}, true},
		{`"a"b`, nil, false},
		{`"a`, nil, false},
		{`'a`, nil, false},
		{`"a\`, nil, false},
		{`"\x4"`, []string{"x4"}, true},
	} {
		argv, ok := SplitInline([]byte(test.line), nil)
		if ok != test.ok {
			t.Errorf("%q: %v", test.line, ok)
			continue
		}
		var got []string
		for _, a := range argv {
			got = append(got, string(a))
		}
		if ok && fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%q: %q, want %q", test.line, got, test.want)
		}
	}
}
