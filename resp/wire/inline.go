package wire

// SplitInline splits an inline command into its arguments as Redis does: words
// between spaces; "..." with \n \r \t \b \a \xHH and \c for any other c; '...'
// with \' alone; a closing quote must be followed by a space or the end. ok is
// false if quotes are unbalanced. Inline commands are typed by people, and so are
// configuration files, which are quoted alike: this may allocate. argv's array is
// used again.
func SplitInline(line []byte, argv [][]byte) (_ [][]byte, ok bool) {
	argv = argv[:0]
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i >= len(line) || line[i] == 0 {
			return argv, true
		}
		var arg []byte
		var quote byte
		for done := false; !done; {
			if i >= len(line) {
				if quote != 0 {
					return argv, false
				}
				break
			}
			c := line[i]
			switch {
			case quote == '"' && c == '\\' && i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]):
				arg = append(arg, unhex(line[i+2])<<4|unhex(line[i+3]))
				i += 3
			case quote == '"' && c == '\\' && i+1 < len(line):
				i++
				arg = append(arg, unescape(line[i]))
			case quote == '\'' && c == '\\' && i+1 < len(line) && line[i+1] == '\'':
				i++
				arg = append(arg, '\'')
			case quote != 0 && c == quote:
				if i+1 < len(line) && !isSpace(line[i+1]) {
					return argv, false
				}
				quote, done = 0, true
			case quote != 0:
				arg = append(arg, c)
			case isSpace(c) || c == 0:
				done = true
			case c == '"' || c == '\'':
				quote = c
			default:
				arg = append(arg, c)
			}
			i++
		}
		if arg == nil {
			arg = []byte{}
		}
		argv = append(argv, arg)
	}
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	default:
		return c
	}
}
