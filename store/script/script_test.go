package script

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/raftredis/raftredis/store/script/lua"
)

// With an oracle the replies are those of the redis-server there, so that -rewrite
// records them, and a plain run with it finds out what is out of date. Without
// one they are the engine's own. The server needs enable-debug-command.
var oracleAddr = flag.String("oracle", "", "host:port of a redis-server 7.0 to take the replies from")

// TestScripts runs the scripts of testdata/*.txt, whose replies were recorded from a real redis-server.
//
//	eval [keys=(a,b)] [args=(c,d)] [resp=3]   EVAL of the input
//	library [fn=f] [keys=..] [args=..]        FUNCTION LOAD of the input, and FCALL of f
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			e := NewEngine()
			var wrong []string // datadriven ends with the first, and all of them are wanted
			datadriven.RunTest(t, f, func(t *testing.T, d *datadriven.TestData) string {
				c := &testCase{kind: d.Cmd, source: d.Input, resp: 2}
				for _, a := range d.CmdArgs {
					switch a.Key {
					case "keys":
						c.keys = a.Vals
					case "args":
						c.args = a.Vals
					case "fn":
						c.fn = a.Vals[0]
					case "resp":
						c.resp, _ = strconv.Atoi(a.Vals[0])
					default:
						t.Fatalf("%s: unknown argument %s", d.Pos, a.Key)
					}
				}
				if *oracleAddr != "" {
					return visible(c.real(t))
				}
				got := visible(c.ours(e))
				if strings.TrimSpace(got) != strings.TrimSpace(d.Expected) {
					wrong = append(wrong, fmt.Sprintf("%s: %s\n%s\nfound:    %s\nexpected: %s", d.Pos, d.Cmd, d.Input, strings.TrimSpace(got), d.Expected))
				}
				return d.Expected
			})
			for _, w := range wrong {
				t.Error(w)
			}
		})
	}
}

type testCase struct {
	kind, source, fn string
	keys, args       []string
	resp             int
}

func bytesOf(list []string) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

// visible prints a reply on lines of its own.
func visible(reply string) string {
	q := strconv.QuoteToASCII(reply)
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	return strings.ReplaceAll(q, `\r\n`, "\n")
}

var testLimits = Limits{Instructions: 20_000_000, Memory: 256 << 20}

func (c *testCase) ours(e *Engine) string {
	h := &fakeHost{values: map[string]any{}}
	env := &Env{Keys: bytesOf(c.keys), Args: bytesOf(c.args), Call: h.call}
	out := &wire{resp: c.resp}
	switch c.kind {
	case "eval":
		s, err := Compile([]byte(c.source))
		if err != nil {
			out.Error(err.Error())
			break
		}
		if err := e.Run(s, env, testLimits, out); err != nil {
			return err.Error()
		}
	case "library":
		l, err := e.LoadLibrary([]byte(c.source), testLimits)
		if err != nil {
			out.Error(err.Error())
			break
		}
		if c.fn == "" {
			out.BulkString(l.Name)
			break
		}
		if err := e.RunFunction(l, c.fn, env, testLimits, out); err != nil {
			return err.Error()
		}
	}
	return out.String()
}

func (c *testCase) real(t *testing.T) string {
	conn, err := net.Dial("tcp", *oracleAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	do := func(args ...string) string {
		var b bytes.Buffer
		fmt.Fprintf(&b, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
		}
		if _, err := conn.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
		var reply bytes.Buffer
		readReply(t, r, &reply)
		return reply.String()
	}
	do("FLUSHALL")
	do("FUNCTION", "FLUSH")
	do("SCRIPT", "FLUSH") // settings of cjson do not outlive it
	do("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "1")
	if c.resp == 3 {
		do("HELLO", "3")
	}
	args := append([]string{strconv.Itoa(len(c.keys))}, append(c.keys, c.args...)...)
	if c.kind == "eval" {
		return do(append([]string{"EVAL", c.source}, args...)...)
	}
	reply := do("FUNCTION", "LOAD", c.source)
	if c.fn == "" || reply[0] == '-' {
		return reply
	}
	return do(append([]string{"FCALL", c.fn}, args...)...)
}

// readReply copies one reply.
func readReply(t *testing.T, r *bufio.Reader, to *bytes.Buffer) {
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	to.WriteString(line)
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch line[0] {
	case '$', '=':
		if n >= 0 {
			if _, err := io.CopyN(to, r, int64(n)+2); err != nil {
				t.Fatal(err)
			}
		}
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		for range n {
			readReply(t, r, to)
		}
	}
}

// wire writes a reply as RESP.
type wire struct {
	resp int
	b    strings.Builder
}

func (w *wire) String() string { return w.b.String() }
func (w *wire) printf(format string, args ...any) {
	fmt.Fprintf(&w.b, format, args...)
}
func (w *wire) Status(s string) { w.printf("+%s\r\n", s) }
func (w *wire) Error(s string) {
	w.printf("-%s\r\n", strings.NewReplacer("\r", " ", "\n", " ").Replace(s))
}
func (w *wire) Int(n int64)         { w.printf(":%d\r\n", n) }
func (w *wire) Bulk(b []byte)       { w.BulkString(string(b)) }
func (w *wire) BulkString(s string) { w.printf("$%d\r\n%s\r\n", len(s), s) }
func (w *wire) Null() {
	if w.resp == 3 {
		w.printf("_\r\n")
	} else {
		w.printf("$-1\r\n")
	}
}
func (w *wire) NullArray()  { w.Null() }
func (w *wire) Array(n int) { w.printf("*%d\r\n", n) }
func (w *wire) Map(n int) {
	if w.resp == 3 {
		w.printf("%%%d\r\n", n)
	} else {
		w.Array(2 * n)
	}
}
func (w *wire) Set(n int) {
	if w.resp == 3 {
		w.printf("~%d\r\n", n)
	} else {
		w.Array(n)
	}
}
func (w *wire) Push(n int) { w.Array(n) }
func (w *wire) Double(f float64) {
	if w.resp == 3 {
		w.printf(",%s\r\n", lua.FormatG(f, 17))
	} else {
		w.BulkString(lua.FormatG(f, 17))
	}
}
func (w *wire) Decimal(s string) { w.BulkString(s) }
func (w *wire) Bool(b bool) {
	switch {
	case w.resp == 3 && b:
		w.printf("#t\r\n")
	case w.resp == 3:
		w.printf("#f\r\n")
	case b:
		w.Int(1)
	default:
		w.Int(0)
	}
}
func (w *wire) BigNumber(s string) {
	if w.resp == 3 {
		w.printf("(%s\r\n", s)
	} else {
		w.BulkString(s)
	}
}
func (w *wire) Verbatim(ext, s string) {
	if w.resp == 3 {
		w.printf("=%d\r\n%s:%s\r\n", len(s)+4, ext, s)
	} else {
		w.BulkString(s)
	}
}
func (w *wire) RESP3() bool { return w.resp == 3 }

// fakeHost knows the few commands that the scripts of testdata use.
type fakeHost struct{ values map[string]any }

const wrongType = "WRONGTYPE Operation against a key holding the wrong kind of value"

func (h *fakeHost) call(argv [][]byte, out Reply) error {
	a := make([]string, len(argv))
	for i := range argv {
		a[i] = string(argv[i])
	}
	key := ""
	if len(a) > 1 {
		key = a[1]
	}
	list, isList := h.values[key].([]string)
	str, isStr := h.values[key].(string)
	switch cmd := strings.ToLower(a[0]); cmd {
	case "ping":
		out.Status("PONG")
	case "echo":
		out.BulkString(key)
	case "set":
		h.values[key] = a[2]
		out.Status("OK")
	case "get":
		switch {
		case len(a) != 2:
			out.Error("ERR Wrong number of args calling Redis command from script")
		case isList:
			out.Error(wrongType)
		case isStr:
			out.BulkString(str)
		default:
			out.Null()
		}
	case "incr":
		n, err := strconv.Atoi(str)
		if isStr && err != nil {
			out.Error("ERR value is not an integer or out of range")
			break
		}
		h.values[key] = strconv.Itoa(n + 1)
		out.Int(int64(n + 1))
	case "rpush", "hset":
		h.values[key] = append(list, a[2:]...)
		if cmd == "hset" {
			out.Int(int64(len(a)-2) / 2)
		} else {
			out.Int(int64(len(list) + len(a) - 2))
		}
	case "lrange":
		out.Array(len(list))
		for _, s := range list {
			out.BulkString(s)
		}
	case "hgetall":
		out.Map(len(list) / 2)
		for _, s := range list {
			out.BulkString(s)
		}
	case "blpop":
		out.NullArray()
	case "debug":
		debugProtocol(a[2], out)
	default:
		out.Error("ERR Unknown Redis command called from script")
	}
	return nil
}

// debugProtocol is DEBUG PROTOCOL.
func debugProtocol(what string, out Reply) {
	switch what {
	case "string":
		out.BulkString("Hello World")
	case "integer":
		out.Int(12345)
	case "double":
		out.Double(3.141)
	case "null":
		out.Null()
	case "array":
		out.Array(3)
		for i := range 3 {
			out.Int(int64(i))
		}
	case "set":
		out.Set(3)
		for i := range 3 {
			out.Int(int64(i))
		}
	case "map":
		out.Map(3)
		for i := range 3 {
			out.Int(int64(i))
			out.Bool(i == 1)
		}
	case "bignum":
		out.BigNumber("1234567999999999999999999999999999999")
	case "true", "false":
		out.Bool(what == "true")
	case "verbatim":
		out.Verbatim("txt", "This is a verbatim\nstring")
	}
}
