package script

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// These make random scripts and ask the server given with -oracle what it makes of them.

func oracleCompare(t *testing.T, rounds int, source func(r *rand.Rand) string) {
	t.Helper()
	if *oracleAddr == "" {
		t.Skip("needs -oracle host:port")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	e := NewEngine()
	for range rounds {
		c := &testCase{kind: "eval", source: source(r), resp: 2}
		if got, want := c.ours(e), c.real(t); got != want {
			t.Fatalf("%s\nfound    %q\nexpected %q", c.source, got, want)
		}
	}
}

// TestOracleTables sets and clears random keys: the order of pairs and what '#' says are Lua's.
func TestOracleTables(t *testing.T) {
	oracleCompare(t, 1000, func(r *rand.Rand) string {
		var b strings.Builder
		b.WriteString("local t = {")
		for i := range r.IntN(8) {
			switch r.IntN(4) {
			case 0:
				fmt.Fprintf(&b, "k%d=%d,", r.IntN(9), i)
			case 1:
				fmt.Fprintf(&b, "[%d]=%d,", r.IntN(12), i)
			default:
				fmt.Fprintf(&b, "%d,", i)
			}
		}
		b.WriteString("}\n")
		span := r.IntN(60) + 2
		key := func() string {
			switch r.IntN(8) {
			case 0, 1:
				return fmt.Sprintf("'key%d'", r.IntN(span))
			case 2:
				return fmt.Sprintf("'a rather long key, of which not every byte is hashed: %d, and so on'", r.IntN(span))
			case 3:
				return fmt.Sprintf("%d", r.IntN(span)-span/2)
			case 4:
				return fmt.Sprintf("%g", r.Float64()*10)
			case 5:
				return []string{"true", "false"}[r.IntN(2)]
			default:
				return fmt.Sprintf("%d", r.IntN(span)+1)
			}
		}
		for i := range r.IntN(120) {
			switch r.IntN(10) {
			case 0:
				fmt.Fprintf(&b, "t[#t+1] = %d\n", i)
			case 1:
				fmt.Fprintf(&b, "table.remove(t)\n")
			case 2, 3, 4:
				fmt.Fprintf(&b, "t[%s] = nil\n", key())
			default:
				fmt.Fprintf(&b, "t[%s] = %d\n", key(), i)
			}
		}
		b.WriteString("local s = {} for k, v in pairs(t) do s[#s+1] = tostring(k) .. '=' .. v end return {#t, table.concat(s, ' ')}")
		return b.String()
	})
}

// TestOracleWords strings random words of the language together: nearly all are errors, which
// are to be the same ones.
func TestOracleWords(t *testing.T) {
	words := strings.Fields("local x y z = = ( ) ( ) { } [ ] , ; . : .. + - * / % ^ # == ~= < <= and or not nil true false " +
		"1 2 3.5 'a' 'b' \"c\" if then else elseif end while do end for in repeat until break return return function f g ... x x x y " +
		"string.rep tostring pairs ipairs KEYS ARGV redis error ('e') x.y x:y() f() {1} [[l]]")
	oracleCompare(t, 4000, func(r *rand.Rand) string {
		var b strings.Builder
		for range r.IntN(14) + 1 {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteByte(" \n  "[r.IntN(4)])
		}
		return b.String()
	})
}

// TestOracleFormats formats and parses random numbers.
func TestOracleFormats(t *testing.T) {
	number := func(r *rand.Rand) string {
		switch r.IntN(5) {
		case 0:
			return fmt.Sprint(r.IntN(1000) - 500)
		case 1:
			return fmt.Sprint(r.Int64() - r.Int64())
		case 2:
			return fmt.Sprintf("%.17g", r.NormFloat64()*1e3)
		case 3:
			return fmt.Sprintf("%d.%de%d", r.IntN(100), r.IntN(1000), r.IntN(60)-30)
		default:
			return fmt.Sprintf("'%d.%d'", r.IntN(100), r.IntN(10))
		}
	}
	oracleCompare(t, 2000, func(r *rand.Rand) string {
		flags := ""
		for _, f := range "-+ #0" {
			if r.IntN(4) == 0 {
				flags += string(f)
			}
		}
		if r.IntN(2) == 0 {
			flags += fmt.Sprint(r.IntN(25))
		}
		if r.IntN(2) == 0 {
			flags += fmt.Sprintf(".%d", r.IntN(20))
		}
		verb := "dixXoueEfgGs"[r.IntN(12)]
		a, b := number(r), number(r)
		return fmt.Sprintf("return {string.format('%%%s%c', %s), tostring(%s), %s .. '', cjson.encode({%s / %s}), struct.pack('>d', %s %% %s), bit.tohex(%s), cmsgpack.pack(%s + 0)}",
			flags, verb, a, b, a+" ", a, b, a, b, b, a)
	})
}

// TestOraclePatterns matches random patterns.
func TestOraclePatterns(t *testing.T) {
	oracleCompare(t, 4000, func(r *rand.Rand) string {
		word := func(letters string, n int) string {
			b := make([]byte, r.IntN(n))
			for i := range b {
				b[i] = letters[r.IntN(len(letters))]
			}
			return string(b)
		}
		s, p := word("aab 1.-]", 14), word("aab.%%%aws[]^$()*+-?-1bf", 9)
		switch r.IntN(3) {
		case 0:
			return fmt.Sprintf("return {string.find(%q, %q)}", s, p)
		case 1:
			return fmt.Sprintf("return {string.gsub(%q, %q, %q)}", s, p, word("x%%01", 5))
		}
		return fmt.Sprintf("local t = {} for a, b in string.gmatch(%q, %q) do t[#t+1] = a t[#t+1] = b end return t", s, p)
	})
}
