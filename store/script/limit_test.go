package script

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// badScripts loop, allocate, recurse or explode. Each must end, with an error that is the
// same in every engine, and before it has made the process suffer.
var badScripts = []struct {
	name, source string
	want         error // nil: an error of the script's own
}{
	{"endless loop", `while true do end`, ErrInstructions},
	{"endless for", `for i = 1, math.huge do end`, ErrInstructions},
	{"endless repeat", `repeat until false`, ErrInstructions},
	{"loop in pcall", `while true do pcall(function() while true do end end) end`, ErrInstructions},
	{"loop in xpcall's handler", `xpcall(error, function() while true do end end) while true do end`, ErrInstructions},
	{"loop in a coroutine", `local co = coroutine.wrap(function() while true do end end) pcall(co) while true do end`, ErrInstructions},
	{"loop in gsub", `string.gsub('x', 'x', function() while true do end end)`, ErrInstructions},
	{"loop in sort", `table.sort({3,2,1}, function() while true do end end)`, ErrInstructions},
	{"loop in a metamethod", `return setmetatable({}, {__index = function() while true do end end}).x`, ErrInstructions},
	{"tail calls", `local function f() return f() end return f()`, nil},
	{"exploding pattern", `return string.find(string.rep('a', 30), string.rep('a?', 30) .. string.rep('a', 30) .. 'b')`, ErrInstructions},
	{"slow pattern", `return string.find(string.rep('a', 20000), '.-.-.-b')`, ErrInstructions},
	{"long concat of comparisons", `local a, b = string.rep('a', 1e6), string.rep('a', 1e6) while a == b do end`, ErrInstructions},
	{"less of long strings", `local a, b = string.rep('a', 1e6), string.rep('a', 1e6) while a <= b do end`, ErrInstructions},
	{"long key", `local a, t = string.rep('a', 1e6), {} while true do t[a] = 1 end`, ErrInstructions},
	{"long key in next", `local t = {[string.rep('a', 1e6)] = 1} while true do next(t, (next(t))) end`, ErrInstructions},
	{"insert at the front", `local t = {} while true do table.insert(t, 1, 0) end`, ErrInstructions},
	{"string.rep", `return string.rep('x', 2^31 - 1)`, ErrMemory},
	{"string.rep in pcall", `while true do pcall(string.rep, 'x', 2^30) end`, ErrMemory},
	{"doubling", `local s = 'x' while true do s = s .. s end`, ErrMemory},
	{"table growth", `local t = {} while true do t[#t+1], t[#t+2], t[#t+3], t[#t+4], t[#t+5], t[#t+6], t[#t+7], t[#t+8] = 1, 2, 3, 4, 5, 6, 7, 8 end`, ErrInstructions},
	{"array growth", `return cjson.decode('[' .. string.rep('1,', 3e6) .. '1]')`, ErrMemory},
	{"hash growth", `local t = {} for i = 1, 1e9 do t[i * 1.5] = i end`, ErrMemory},
	{"nested tables", `local t = {} while true do t = {t} end`, ErrMemory},
	{"closures", `local f while true do local g = f f = function() return g end end`, ErrInstructions},
	{"coroutines", `local t = {} while true do t[#t+1] = coroutine.create(function() end) end`, ErrMemory},
	{"coroutine in coroutine", `local function f() return coroutine.wrap(f)() end return f()`, nil},
	{"format", `local s = '' while true do s = s .. string.format('%99d', 1) end`, ErrMemory},
	{"concat", `local t = {} for i = 1, 1000 do t[i] = string.rep('x', 100000) end while true do table.concat(t) end`, ErrMemory},
	{"gsub", `local s = string.rep('x', 100000) return s:gsub('x', s)`, ErrMemory},
	{"json", `local t = {} for i = 1, 100 do t = {t, t} end return cjson.encode(t)`, ErrInstructions},
	{"msgpack", `local t = string.rep('x', 1000) for i = 1, 15 do t = {t, t, t, t, t, t, t, t} end return cmsgpack.pack(t)`, ErrMemory},
	{"reply", `local t = 'x' for i = 1, 100 do t = {t, t} end return t`, ErrMemory},
	{"reply of 300 MB", `local s = string.rep('x', 1e6) local t = {} for i = 1, 300 do t[i] = s end return t`, ErrMemory},
	{"recursion", `local function f() return 1 + f() end return f()`, nil},
	{"recursion in pcall", `local function f() return pcall(f) end return tostring(f()):nope()`, nil},
	{"recursion in wide expressions", `local function f() return ` + strings.Repeat("(1 + ", 90) + `f()` + strings.Repeat(")", 90) + ` end return f()`, ErrMemory},
	{"recursion of tostring", `local t = setmetatable({}, {}) getmetatable(t).__tostring = function() return tostring(t) end return tostring(t)`, nil},
	{"recursion of concat", `local t = setmetatable({}, {}) getmetatable(t).__concat = function(a, b) return a .. b end return t .. t`, nil},
	{"json nesting", `cjson.encode_max_depth(2^31 - 1) local t = {} t[1] = t return cjson.encode(t)`, nil},
	{"json depth", `cjson.decode_max_depth(2^31 - 1) return cjson.decode(string.rep('[', 1e6))`, nil},
	{"msgpack depth", `return cmsgpack.unpack(string.rep('\145', 1e6))`, nil},
	{"unpack", `return unpack({}, 1, 1e8)`, nil},
	{"string.byte", `return string.byte(string.rep('x', 1e6), 1, -1)`, nil},
	{"parentheses", `return loadstring('return ' .. string.rep('(', 1e5))()`, nil},
	{"operators", `return loadstring('return 1' .. string.rep('+1', 1e6))()`, nil},
	{"suffixes", `return loadstring('return x' .. string.rep('.x', 1e6))()`, nil},
	{"deep pattern", `return string.find(string.rep('a', 1e5), string.rep('a?', 1e5))`, nil},
}

// TestMain looks for coroutines that outlive their run.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBadScripts(t *testing.T) {
	for _, c := range badScripts {
		t.Run(c.name, func(t *testing.T) {
			var first string
			for i := range 2 {
				e := NewEngine()
				if i > 0 { // one that has a past
					runText(t, e, `local function f(n) if n > 0 then return 1 + f(n - 1) end return 0 end return f(1000)`)
				}
				out, err := runText(t, e, c.source)
				if !errors.Is(err, c.want) {
					t.Fatalf("error %v, want %v (reply %.200q)", err, c.want, out)
				}
				if c.want == nil && !strings.HasPrefix(out, "-") {
					t.Fatalf("reply %.200q, want an error", out)
				}
				if first == "" {
					first = out
				} else if out != first {
					t.Fatalf("one engine says %.200q, another %.200q", first, out)
				}
				if out, err := runText(t, e, `return {1, 'x'}`); err != nil || out != "*2\r\n:1\r\n$1\r\nx\r\n" {
					t.Fatalf("the run after it: %q, %v", out, err)
				}
			}
		})
	}
}

func runText(t *testing.T, e *Engine, source string) (string, error) {
	t.Helper()
	s, err := Compile([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeHost{values: map[string]any{}}
	out := &wire{resp: 2}
	err = e.Run(s, &Env{Call: h.call}, Limits{Instructions: 4_000_000, Memory: 48 << 20}, out)
	if err != nil && out.String() != "" {
		t.Fatalf("an ended run has written %.100q", out)
	}
	return out.String(), err
}

// TestLimitIsExact ends one script after each possible number of steps: how far it has come must
// not depend on the engine.
func TestLimitIsExact(t *testing.T) {
	s, err := Compile([]byte(`for i = 1, 50 do
		redis.call('echo', i)
		pcall(function() local t = {} for j = 1, i do t[j] = tostring(j) .. 'x' end return table.concat(t) end)
	end return 'end'`))
	if err != nil {
		t.Fatal(err)
	}
	calls := func(e *Engine, l Limits) string {
		n := 0
		h := &fakeHost{}
		env := &Env{Call: func(argv [][]byte, r Reply) error { n++; return h.call(argv, r) }}
		out := &wire{resp: 2}
		err := e.Run(s, env, l, out)
		return fmt.Sprint(n, err, out)
	}
	old := NewEngine()
	seen := map[string]bool{}
	for n := int64(1); n < 40_000; n += 97 {
		for _, l := range []Limits{{Instructions: n}, {Memory: 10 * n}} {
			a, b := calls(old, l), calls(NewEngine(), l)
			if a != b {
				t.Fatalf("limits %+v: %s in an old engine, %s in a new one", l, a, b)
			}
			seen[a] = true
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d different ends: the limits do nothing", len(seen))
	}
}

// TestHostEnds has the host end a script: nothing in it may catch that.
func TestHostEnds(t *testing.T) {
	stop := errors.New("ERR stopped")
	sources := []string{
		`pcall(redis.call, 'x') return 1`,
		`pcall(redis.pcall, 'x') return 1`,
		`coroutine.resume(coroutine.create(function() redis.call('x') end)) return 1`,
		`xpcall(function() redis.call('x') end, function() return 1 end) return 1`,
		`return ('x'):gsub('x', function() return redis.call('x') end)`,
	}
	e := NewEngine()
	for _, src := range sources {
		s, err := Compile([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		out := &wire{resp: 2}
		err = e.Run(s, &Env{Call: func([][]byte, Reply) error { return stop }}, Limits{}, out)
		if err != stop || out.String() != "" {
			t.Errorf("%s: %v, %q", src, err, out)
		}
	}
	s, err := Compile([]byte(`while true do end`))
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	env := &Env{Stop: func() error {
		if asked++; asked == 10 {
			return stop
		}
		return nil
	}}
	if err := e.Run(s, env, Limits{}, &wire{resp: 2}); err != stop {
		t.Errorf("Stop: %v", err)
	}
}

// TestNothingIsKept runs what would leave traces, and looks for them.
func TestNothingIsKept(t *testing.T) {
	e := NewEngine()
	for range 3 {
		for _, c := range []struct{ source, want string }{
			{`return tostring({})`, ""},
			{`cjson.encode_number_precision(3) redis.setresp(3) math.randomseed(5) return 1`, ":1\r\n"},
			{`return cjson.encode(1/3) .. tostring(redis.call('get', 'x'))`, "$21\r\n0.33333333333333false\r\n"},
			{`return math.random(1000000)`, ""},
			{`local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) return 1`, ":1\r\n"},
			{`return #KEYS`, ":0\r\n"},
			{`return collectgarbage('count') * 1024`, ""},
		} {
			got, err := runText(t, e, c.source)
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			if want == "" {
				want, _ = runText(t, NewEngine(), c.source)
			}
			if got != want {
				t.Errorf("%s: %q, want %q", c.source, got, want)
			}
		}
	}
}

func BenchmarkGetSet(b *testing.B) {
	s, err := Compile([]byte(`local v = redis.call('get', KEYS[1]) redis.call('set', KEYS[1], ARGV[1]) return v`))
	if err != nil {
		b.Fatal(err)
	}
	e := NewEngine()
	env := &Env{Keys: [][]byte{[]byte("k")}, Args: [][]byte{[]byte("v")}, Call: func(argv [][]byte, r Reply) error {
		if len(argv) == 2 {
			r.BulkString("v")
		} else {
			r.Status("OK")
		}
		return nil
	}}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Run(s, env, testLimits, nobody{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoop(b *testing.B) {
	s, err := Compile([]byte(`local t, s = {}, 0 for i = 1, 1000000 do t[i % 100 + 1] = i s = s + #t * 2 end return s`))
	if err != nil {
		b.Fatal(err)
	}
	e := NewEngine()
	for b.Loop() {
		if err := e.Run(s, &Env{}, Limits{}, nobody{}); err != nil {
			b.Fatal(err)
		}
	}
}
