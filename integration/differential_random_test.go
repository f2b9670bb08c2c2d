package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// compareRandom runs random commands over a few keys on both.
func compareRandom(t *testing.T, p *pair, commands []entry) {
	seed := *differentialSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (repeat with -differential.seed %d)", seed, seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	known := map[string]entry{}
	for _, e := range commands {
		known[e.name] = e
	}
	grammar := readGrammar(t, known)
	if len(grammar) == 0 {
		t.Fatal("no command of the grammar is known to both")
	}
	p.do(t, "FLUSHALL")
	history := []string{}
	for n := 0; n < *differentialCount; {
		var batch [][]string
		for range 1 + rng.IntN(20) {
			batch = append(batch, grammar[rng.IntN(len(grammar))].make(rng))
		}
		for i, reply := range p.pipeline(t, batch) {
			call := batch[i]
			history = append(history, fmt.Sprintf("%q", call))
			if strings.EqualFold(call[0], "OBJECT") && (stringForm(reply[0]) && stringForm(reply[1]) || sortedOnce(reply[0], reply[1])) {
				continue
			}
			h := known[strings.ToLower(call[0])].how()
			if why := h.differs(reply[0], reply[1]); why != "" {
				// What follows differs because of this: one is enough.
				t.Fatalf("seed %d: command %d: %q\n%s\nthe last commands were\n%s", seed, len(history), call, why,
					strings.Join(history[max(0, len(history)-40):], "\n"))
			}
		}
		n += len(batch)
	}
}

// stringForm reports whether the reply is OBJECT ENCODING's of a string. Which of
// the three it is depends in Redis on how the string came about (INCRBYFLOAT's
// 3 is embstr, SET's is int), here on its bytes alone; the scripts compare the
// usual ways.
func stringForm(reply value) bool {
	return reply.Str == "int" || reply.Str == "embstr" || reply.Str == "raw"
}

// sortedOnce reports whether the replies are OBJECT ENCODING's of a small sorted
// set that SORT has looked at. Redis turns it into a skiplist for that and leaves
// it so; here SORT without STORE is a read and changes nothing.
func sortedOnce(ours, redis value) bool { return ours.Str == "listpack" && redis.Str == "skiplist" }

// template is one line of testdata/differential/grammar: words to be sent as
// they are and words to be chosen.
type template []string

// readGrammar reads the templates whose commands both servers know.
func readGrammar(t *testing.T, known map[string]entry) []template {
	t.Helper()
	content, err := os.ReadFile("testdata/differential/grammar")
	if err != nil {
		t.Fatal(err)
	}
	var all []template
	for _, line := range strings.Split(string(content), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if _, ok := known[strings.ToLower(words[0])]; ok {
			all = append(all, words)
		}
	}
	return all
}

// make fills a template in. <key>, <int> and so on are choices; [a b c] is there
// half of the time; a|b is one of both; a word followed by ... is repeated.
func (tp template) make(rng *rand.Rand) []string {
	var out []string
	for i := 0; i < len(tp); i++ {
		word := tp[i]
		if strings.HasPrefix(word, "[") {
			end := i
			for !strings.HasSuffix(tp[end], "]") {
				end++
			}
			if rng.IntN(2) == 0 {
				inner := template(strings.Fields(strings.TrimSuffix(strings.TrimPrefix(strings.Join(tp[i:end+1], " "), "["), "]")))
				out = append(out, inner.make(rng)...)
			}
			i = end
			continue
		}
		repeat := 1
		if w, ok := strings.CutSuffix(word, "..."); ok {
			word, repeat = w, 1+rng.IntN(4)
		}
		for range repeat {
			for _, part := range strings.Split(word, ",") {
				choices := strings.Split(part, "|")
				out = append(out, choose(rng, choices[rng.IntN(len(choices))]))
			}
		}
	}
	return out
}

func choose(rng *rand.Rand, word string) string {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	switch word {
	case "<key>":
		return pick("a", "b", "c", "d", "e", "f")
	case "<dest>":
		return pick("a", "b", "x", "y")
	case "<value>":
		return pick("", "0", "1", "-7", "3.5", "hello", "a longer value that needs more than a few bytes of space to be kept", "\x00\xff\r\n", "x")
	case "<member>":
		return pick("a", "b", "c", "d", "1", "2", "3", "-5", "m\x00n", "")
	case "<int>":
		return pick("0", "1", "2", "3", "-1", "-2", "10", "100", "9223372036854775807", "-9223372036854775808", "x", "1.5", "")
	case "<small>":
		return pick("0", "1", "2", "3", "5", "-1", "-2", "-3", "100")
	case "<count>":
		return pick("1", "2", "3", "10")
	case "<float>":
		return pick("0", "1", "-1.5", "3.0e3", "1e-7", "inf", "-inf", "nan", "x", "0.1", "123456789.123")
	case "<score>":
		return pick("0", "1", "2", "-3", "1.5", "inf", "-inf", "1e10")
	case "<bound>":
		return pick("-inf", "+inf", "0", "1", "(1", "2", "(-3", "x")
	case "<lex>":
		return pick("-", "+", "[a", "(b", "[c", "x")
	case "<pattern>":
		return pick("*", "a*", "?", "[a-c]", "[^a]", "\\*", "x*y")
	case "<bit>":
		return pick("0", "1")
	case "<offset>":
		return pick("0", "1", "7", "8", "100", "-1")
	case "<ttl>": // far enough away that nothing expires during the test
		return pick("1000", "100000", "0", "-1", "x")
	case "<xid>":
		return pick("1-1", "2-2", "3-3", "3-4", "5", "0-0", "x")
	case "<bulk>":
		return strings.Repeat("v", rng.IntN(200))
	}
	return word
}
