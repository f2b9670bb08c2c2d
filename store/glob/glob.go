package glob

import "unsafe"

// Match reports whether s matches a glob pattern as Redis's KEYS, SCAN and
// CONFIG GET do: * ? [a-z] [^a] and \ before what is to be taken literally.
// Redis's own oddities are kept: a range may be written backwards, its bytes are
// signed, a class that is not closed ends with the pattern, a \ at the very end
// is a \, and the empty string is matched by the empty pattern alone (which is
// why KEYS and SCAN do not ask here about the pattern *).
//
// Redis tries the rest of the pattern at every position after each *, which a
// pattern such as a*a*a*a*b makes exponential. Here only the latest * is ever
// tried again, which finds the same matches: whatever an earlier * could take
// over from a later one, the later one can take itself.
func Match(pattern, s []byte, nocase bool) bool {
	if len(s) == 0 {
		return len(pattern) == 0
	}
	p, i := 0, 0
	starP, starI := -1, 0 // where to go on when what follows the latest * failed
	for {
		if p < len(pattern) {
			if pattern[p] == '*' {
				for p < len(pattern) && pattern[p] == '*' {
					p++
				}
				if p == len(pattern) {
					return true
				}
				starP, starI = p, i
				continue
			}
			if i < len(s) {
				if next, ok := matchOne(pattern, p, s[i], nocase); ok {
					p, i = next, i+1
					continue
				}
			}
		} else if i == len(s) {
			return true
		}
		if starP < 0 || starI >= len(s) {
			return false
		}
		starI++
		p, i = starP, starI
	}
}

// MatchString is Match for a string, with regard to case.
func MatchString(pattern []byte, s string) bool {
	return Match(pattern, unsafe.Slice(unsafe.StringData(s), len(s)), false)
}

func fold(c byte, nocase bool) byte {
	if nocase && 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// matchOne matches c against the element of the pattern at p, which is no *, and
// returns the position after that element.
func matchOne(pattern []byte, p int, c byte, nocase bool) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		return matchClass(pattern, p+1, c, nocase)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, fold(pattern[p], nocase) == fold(c, nocase)
}

func matchClass(pattern []byte, p int, c byte, nocase bool) (next int, ok bool) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	for {
		switch {
		case p >= len(pattern):
			return p, ok != not
		case pattern[p] == '\\' && p+1 < len(pattern):
			p++
			ok = ok || pattern[p] == c // Redis does not fold an escaped one
		case pattern[p] == ']':
			return p + 1, ok != not
		case p+2 < len(pattern) && pattern[p+1] == '-':
			lo, hi := pattern[p], pattern[p+2]
			if int8(lo) > int8(hi) {
				lo, hi = hi, lo
			}
			signed := int8(fold(c, nocase))
			ok = ok || int8(fold(lo, nocase)) <= signed && signed <= int8(fold(hi, nocase))
			p += 2
		default:
			ok = ok || fold(pattern[p], nocase) == fold(c, nocase)
		}
		p++
	}
}
