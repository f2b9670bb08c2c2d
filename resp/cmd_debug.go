package resp

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/resp/wire"
	"github.com/raftredis/raftredis/store/command"
)

// cmdDebug is, as in Redis, one command that takes its first argument apart
// itself. It knows what makes sense here: nothing that crashes the process or
// speaks of Redis's inner structures.
func (c *conn) cmdDebug(argv [][]byte) {
	switch sub := strings.ToLower(string(argv[1])); {
	case sub == "sleep" && len(argv) == 3:
		c.debugSleep(argv[2])
	case sub == "digest" && len(argv) == 2:
		c.debugDigest()
	case sub == "error" && len(argv) == 3:
		c.enc.Error(oneLine(string(argv[2])))
	case sub == "log" && len(argv) == 3:
		c.srv.log.Warn("DEBUG LOG", zap.ByteString("message", argv[2]))
		c.enc.Status("OK")
	case sub == "object" && len(argv) == 3:
		c.debugObject(argv[2])
	case sub == "protocol" && len(argv) == 3:
		c.debugProtocol(strings.ToLower(string(argv[2])))
	case sub == "set-active-expire" && len(argv) == 3:
		n, _ := strconv.Atoi(string(argv[2])) // as C's atoi
		c.srv.store.ActiveExpire(n != 0)
		c.enc.Status("OK")
	case sub == "help" && len(argv) == 2:
		command.Help("debug", "server", "4.0.0",
			"DIGEST",
			"    Output a hex signature representing the current DB content.",
			"ERROR <string>",
			"    Return a Redis protocol error with <string> as message. Useful for clients",
			"    unit tests to simulate Redis errors.",
			"LOG <message>",
			"    Write <message> to the server log.",
			"OBJECT <key>",
			"    Show low level info about `key` and associated value.",
			"PROTOCOL <type>",
			"    Reply with a test value of the specified type. <type> can be: string,",
			"    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
			"    true, false.",
			"SET-ACTIVE-EXPIRE <0|1>",
			"    Setting it to 0 keeps this node, when it leads, from having keys deleted that",
			"    have expired. They go when they are written to.",
			"SLEEP <seconds>",
			"    Have this connection wait for <seconds>. Decimals allowed.").Answer(c.enc)
	default:
		c.enc.Error(subcommandSyntax(argv))
	}
}

// debugObject shows what OBJECT and MEMORY know of a key, in one line.
func (c *conn) debugObject(key []byte) {
	table := c.srv.opts.Table
	encoding := table.Resolve([][]byte{[]byte("object"), []byte("encoding")})
	usage := table.Resolve([][]byte{[]byte("memory"), []byte("usage")})
	ask := func(spec *command.Spec, argv ...string) string {
		if spec == nil || spec.Read == nil {
			return ""
		}
		var args [][]byte
		for _, a := range argv {
			args = append(args, []byte(a))
		}
		var e wire.Encoder
		reader := c.srv.store.BeginRead()
		defer reader.End()
		reader.Do(c.db, spec, append(args, key), &e)
		_, rest, bulk := strings.Cut(string(e.Buf), "\r\n")
		if bulk && e.Buf[0] == '$' && e.Buf[1] != '-' {
			return strings.TrimSuffix(rest, "\r\n")
		}
		if e.Buf[0] == ':' {
			return strings.TrimSuffix(string(e.Buf[1:]), "\r\n")
		}
		return ""
	}
	name := ask(encoding, "object", "encoding")
	if name == "" {
		c.enc.Error(command.ErrNoSuchKey)
		return
	}
	c.enc.Status("Value at:0x0 refcount:1 encoding:" + name + " serializedlength:" + ask(usage, "memory", "usage") + " lru:0 lru_seconds_idle:0")
}

// debugSleep makes its own connection wait, and no other: what it does to a
// single-threaded server is not worth imitating.
func (c *conn) debugSleep(arg []byte) {
	seconds, err := strconv.ParseFloat(string(arg), 64)
	if err != nil || math.IsNaN(seconds) {
		seconds = 0 // as C's strtod
	}
	select {
	case <-time.After(time.Duration(min(max(seconds, 0), 1e9) * float64(time.Second))):
	case <-c.srv.stopC:
	}
	c.enc.Status("OK")
}

func (c *conn) debugDigest() {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	_, digest, err := c.srv.store.Digest(ctx)
	if err != nil {
		c.done(err)
		return
	}
	c.enc.Status(digest)
}

func (c *conn) debugProtocol(kind string) {
	e := c.enc
	switch kind {
	case "string":
		e.BulkString("Hello World")
	case "integer":
		e.Int(12345)
	case "double":
		e.Double(3.141)
	case "null":
		e.Null()
	case "array":
		e.Array(3)
		for i := range 3 {
			e.Int(int64(i))
		}
	case "set":
		e.Set(3)
		for i := range 3 {
			e.Int(int64(i))
		}
	case "map":
		e.Map(3)
		for i := range 3 {
			e.Int(int64(i))
			e.Bool(i == 1)
		}
	case "push":
		e.Push(2)
		e.BulkString("server-cpu-usage")
		e.Int(42)
	case "attrib":
		if e.RESP3() {
			e.Raw([]byte("|1\r\n"))
			e.BulkString("key-popularity")
			e.Array(2)
			e.BulkString("key:123")
			e.Int(90)
		}
		e.BulkString("Some real reply following the attribute")
	case "true", "false":
		e.Bool(kind == "true")
	case "verbatim":
		e.Verbatim("txt", "This is a verbatim\nstring")
	case "bignum":
		e.BigNumber("1234567999999999999999999999999999999")
	default:
		e.Error("ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false")
	}
}
