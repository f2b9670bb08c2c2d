package lua

import (
	"fmt"
	"strings"
)

// SyntaxError is a chunk that does not compile; its text is Lua's.
type SyntaxError struct{ msg string }

func (e *SyntaxError) Error() string { return e.msg }

// A token is one of the constants below, or a single character.
type token int

const (
	tEOS token = iota + 256
	tName
	tString
	tNumber
	tConcat
	tDots
	tEq
	tGe
	tLe
	tNe
	tAnd
	tBreak
	tDo
	tElse
	tElseif
	tEnd
	tFalse
	tFor
	tFunction
	tIf
	tIn
	tLocal
	tNil
	tNot
	tOr
	tRepeat
	tReturn
	tThen
	tTrue
	tUntil
	tWhile
)

func (t token) String() string {
	switch t {
	case tEOS:
		return "<eof>"
	case tName:
		return "<name>"
	case tString:
		return "<string>"
	case tNumber:
		return "<number>"
	case tConcat:
		return ".."
	case tDots:
		return "..."
	case tEq:
		return "=="
	case tGe:
		return ">="
	case tLe:
		return "<="
	case tNe:
		return "~="
	}
	if t >= tAnd {
		return strings.Fields(keywords)[t-tAnd]
	}
	if t < 32 || t == 127 {
		return fmt.Sprintf("char(%d)", int(t))
	}
	return string([]byte{byte(t)})
}

// keywords are in the order of their tokens.
const keywords = "and break do else elseif end false for function if in local nil not or repeat return then true until while"

func keyword(s string) (token, bool) {
	switch s {
	case "and":
		return tAnd, true
	case "break":
		return tBreak, true
	case "do":
		return tDo, true
	case "else":
		return tElse, true
	case "elseif":
		return tElseif, true
	case "end":
		return tEnd, true
	case "false":
		return tFalse, true
	case "for":
		return tFor, true
	case "function":
		return tFunction, true
	case "if":
		return tIf, true
	case "in":
		return tIn, true
	case "local":
		return tLocal, true
	case "nil":
		return tNil, true
	case "not":
		return tNot, true
	case "or":
		return tOr, true
	case "repeat":
		return tRepeat, true
	case "return":
		return tReturn, true
	case "then":
		return tThen, true
	case "true":
		return tTrue, true
	case "until":
		return tUntil, true
	case "while":
		return tWhile, true
	}
	return 0, false
}

type lexer struct {
	src   string
	pos   int
	chunk string
	line  int // of what has been read

	tok      token
	str      string // of tName and tString
	num      float64
	text     string // of the token, for errors
	ahead    *lexed
	lastLine int // of the token before tok
}

type lexed struct {
	tok  token
	str  string
	num  float64
	text string
}

func (l *lexer) fail(msg, near string) {
	msg = fmt.Sprintf("%s:%d: %s", l.chunk, l.line, msg)
	if near != "" {
		msg += " near '" + near + "'"
	}
	panic(&SyntaxError{msg})
}

// near is how an error names the current token.
func (l *lexer) near() string {
	switch l.tok {
	case tName, tString, tNumber:
		return cstring(l.text)
	}
	return l.tok.String()
}

// cstring ends at a zero byte, as what C prints does.
func cstring(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}

func (l *lexer) errorNear(msg string) { l.fail(msg, l.near()) }

func (l *lexer) next() {
	l.lastLine = l.line
	if l.ahead != nil {
		l.tok, l.str, l.num, l.text = l.ahead.tok, l.ahead.str, l.ahead.num, l.ahead.text
		l.ahead = nil
		return
	}
	l.tok = l.scan()
}

func (l *lexer) peek() token {
	tok, str, num, text := l.tok, l.str, l.num, l.text
	t := l.scan()
	l.ahead = &lexed{t, l.str, l.num, l.text}
	l.tok, l.str, l.num, l.text = tok, str, num, text
	return t
}

func (l *lexer) at(i int) byte {
	if l.pos+i < len(l.src) {
		return l.src[l.pos+i]
	}
	return 0
}

func (l *lexer) newline() {
	c := l.at(0)
	l.pos++
	if n := l.at(0); (n == '\n' || n == '\r') && n != c && l.pos < len(l.src) {
		l.pos++
	}
	l.line++
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isAlpha(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func (l *lexer) scan() token {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; c {
		case '\n', '\r':
			l.newline()
		case ' ', '\t', '\v', '\f':
			l.pos++
		case '-':
			if l.at(1) != '-' {
				l.pos++
				return '-'
			}
			l.pos += 2
			if l.at(0) == '[' {
				if sep, ok := l.longSeparator(); ok {
					l.long(sep, "comment")
					continue
				}
			}
			for l.pos < len(l.src) && l.at(0) != '\n' && l.at(0) != '\r' {
				l.pos++
			}
		case '[':
			sep, ok := l.longSeparator()
			if ok {
				start := l.pos
				l.str = l.long(sep, "string")
				l.text = l.src[start:l.pos]
				return tString
			}
			if sep > 0 {
				l.fail("invalid long string delimiter", l.src[l.pos:l.pos+1+sep])
			}
			l.pos++
			return '['
		case '=':
			return l.orEqual('=', tEq)
		case '<':
			return l.orEqual('<', tLe)
		case '>':
			return l.orEqual('>', tGe)
		case '~':
			return l.orEqual('~', tNe)
		case '"', '\'':
			l.quoted(c)
			return tString
		case '.':
			if l.at(1) == '.' {
				if l.at(2) == '.' {
					l.pos += 3
					return tDots
				}
				l.pos += 2
				return tConcat
			}
			if !isDigit(l.at(1)) {
				l.pos++
				return '.'
			}
			return l.number()
		default:
			if isDigit(c) {
				return l.number()
			}
			if isAlpha(c) {
				start := l.pos
				for l.pos < len(l.src) && (isAlpha(l.src[l.pos]) || isDigit(l.src[l.pos])) {
					l.pos++
				}
				l.str = l.src[start:l.pos]
				l.text = l.str
				if t, ok := keyword(l.str); ok {
					return t
				}
				return tName
			}
			l.pos++
			return token(c)
		}
	}
	return tEOS
}

func (l *lexer) orEqual(c byte, with token) token {
	l.pos++
	if l.at(0) == '=' {
		l.pos++
		return with
	}
	return token(c)
}

func (l *lexer) number() token {
	start := l.pos
	for l.pos < len(l.src) && (isDigit(l.src[l.pos]) || l.src[l.pos] == '.') {
		l.pos++
	}
	if c := l.at(0); c == 'e' || c == 'E' {
		l.pos++
		if c := l.at(0); c == '+' || c == '-' {
			l.pos++
		}
	}
	for l.pos < len(l.src) && (isDigit(l.src[l.pos]) || isAlpha(l.src[l.pos])) {
		l.pos++
	}
	l.text = l.src[start:l.pos]
	f, ok := ParseNumber(l.text)
	if !ok {
		l.fail("malformed number", l.text)
	}
	l.num = f
	return tNumber
}

// longSeparator looks whether [==[ is ahead, and counts the '='. When not, the
// count is still the number of '=' read, 0 for a plain '['.
func (l *lexer) longSeparator() (int, bool) {
	n := 0
	for l.at(1+n) == '=' {
		n++
	}
	return n, l.at(1+n) == '['
}

func (l *lexer) long(sep int, what string) string {
	l.pos += sep + 2
	if c := l.at(0); c == '\n' || c == '\r' {
		l.newline()
	}
	var b strings.Builder
	for {
		if l.pos >= len(l.src) {
			l.fail("unfinished long "+what, "<eof>")
		}
		switch c := l.src[l.pos]; c {
		case ']':
			n := 0
			for l.at(1+n) == '=' {
				n++
			}
			if n == sep && l.at(1+n) == ']' {
				l.pos += n + 2
				return b.String()
			}
			b.WriteByte(c)
			l.pos++
		case '[':
			if n, ok := l.longSeparator(); ok && n == sep && sep == 0 {
				l.fail("nesting of [[...]] is deprecated", "[")
			}
			b.WriteByte(c)
			l.pos++
		case '\n', '\r':
			b.WriteByte('\n')
			l.newline()
		default:
			b.WriteByte(c)
			l.pos++
		}
	}
}

func (l *lexer) quoted(quote byte) {
	start := l.pos
	l.pos++
	var b strings.Builder
	for {
		if l.pos >= len(l.src) {
			l.fail("unfinished string", "<eof>")
		}
		c := l.src[l.pos]
		switch {
		case c == quote:
			l.pos++
			l.str, l.text = b.String(), l.src[start:l.pos]
			return
		case c == '\n' || c == '\r':
			l.fail("unfinished string", string(quote)+b.String())
		case c == '\\':
			l.pos++
			if l.pos >= len(l.src) {
				continue
			}
			switch c := l.src[l.pos]; c {
			case 'a':
				b.WriteByte('\a')
			case 'b':
				b.WriteByte('\b')
			case 'f':
				b.WriteByte('\f')
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			case 'v':
				b.WriteByte('\v')
			case '\n', '\r':
				b.WriteByte('\n')
				l.newline()
				continue
			default:
				if !isDigit(c) {
					b.WriteByte(c)
					break
				}
				n := 0
				for i := 0; i < 3 && isDigit(l.at(0)); i++ {
					n = n*10 + int(l.at(0)-'0')
					l.pos++
				}
				if n > 255 {
					l.fail("escape sequence too large", string(quote)+b.String())
				}
				b.WriteByte(byte(n))
				continue
			}
			l.pos++
		default:
			b.WriteByte(c)
			l.pos++
		}
	}
}
