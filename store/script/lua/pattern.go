package lua

// matcher is Lua 5.1's pattern matching. Every step of it is counted, so a pattern
// that explodes ends where the run's steps do.
type matcher struct {
	t       *Thread
	src     string
	pat     string
	level   int
	depth   int
	capture [maxCaptures]struct{ start, len int }
}

const (
	maxCaptures = 32
	capOpen     = -1
	capPosition = -2
	// maxMatchDepth bounds the recursion, which is as deep as a pattern has items; Redis has no limit and would crash.
	maxMatchDepth = 20000
)

func (m *matcher) classEnd(p int) int {
	if p >= len(m.pat) {
		m.t.Fail("malformed pattern (ends with '%%')")
	}
	c := m.pat[p]
	p++
	switch c {
	case '%':
		if p >= len(m.pat) {
			m.t.Fail("malformed pattern (ends with '%%')")
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for first := true; first || p >= len(m.pat) || m.pat[p] != ']'; first = false {
			if p >= len(m.pat) {
				m.t.Fail("malformed pattern (missing ']')")
			}
			c := m.pat[p]
			p++
			if c == '%' && p < len(m.pat) {
				p++
			}
		}
		return p + 1
	}
	return p
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isAlnum(c byte) bool { return isLower(c) || isUpper(c) || isDigit(c) }

func matchClass(c, class byte) bool {
	var r bool
	switch class | 0x20 {
	case 'a':
		r = isLower(c) || isUpper(c)
	case 'c':
		r = c < 32 || c == 127
	case 'd':
		r = isDigit(c)
	case 'l':
		r = isLower(c)
	case 'p':
		r = c > 32 && c < 127 && !isAlnum(c)
	case 's':
		r = isSpace(c)
	case 'u':
		r = isUpper(c)
	case 'w':
		r = isAlnum(c)
	case 'x':
		r = isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	case 'z':
		r = c == 0
	default:
		return class == c
	}
	if !isLower(class) && !isUpper(class) {
		return class == c
	}
	if isUpper(class) {
		return !r
	}
	return r
}

// matchSet matches c against the set at p, whose ']' is at end.
func (m *matcher) matchSet(c byte, p, end int) bool {
	in := true
	if m.pat[p+1] == '^' {
		in = false
		p++
	}
	for p++; p < end; p++ {
		switch {
		case m.pat[p] == '%':
			p++
			if matchClass(c, m.pat[p]) {
				return in
			}
		case p+2 < end && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return in
			}
			p += 2
		case m.pat[p] == c:
			return in
		}
	}
	return !in
}

func (m *matcher) single(s, p, ep int) bool {
	if s >= len(m.src) {
		return false
	}
	c := m.src[s]
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return matchClass(c, m.pat[p+1])
	case '[':
		m.t.Step((ep - p) / 16)
		return m.matchSet(c, p, ep-1)
	}
	return m.pat[p] == c
}

func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.t.Fail("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	open, close := m.pat[p], m.pat[p+1]
	depth := 1
	for i := s + 1; i < len(m.src); i++ {
		m.t.Step(1)
		switch m.src[i] {
		case close:
			if depth--; depth == 0 {
				return i + 1
			}
		case open:
			depth++
		}
	}
	return -1
}

func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxMatchDepth {
		m.t.Fail("pattern too complex")
	}
	defer func() { m.depth-- }()
	for {
		m.t.Step(1)
		if p >= len(m.pat) {
			return s
		}
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.startCapture(s, p+2, capPosition)
			}
			return m.startCapture(s, p+1, capOpen)
		case ')':
			return m.endCapture(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				switch c := m.pat[p+1]; {
				case c == 'b':
					if s = m.balance(s, p+2); s < 0 {
						return -1
					}
					p += 4
					continue
				case c == 'f':
					p += 2
					if p >= len(m.pat) || m.pat[p] != '[' {
						m.t.Fail("missing '[' after '%%f' in pattern")
					}
					ep := m.classEnd(p)
					var before, here byte
					if s > 0 {
						before = m.src[s-1]
					}
					if s < len(m.src) {
						here = m.src[s]
					}
					if m.matchSet(before, p, ep-1) || !m.matchSet(here, p, ep-1) {
						return -1
					}
					p = ep
					continue
				case isDigit(c):
					if s = m.backReference(s, c); s < 0 {
						return -1
					}
					p += 2
					continue
				}
			}
		}
		ep := m.classEnd(p)
		ok := m.single(s, p, ep)
		if ep < len(m.pat) {
			switch m.pat[ep] {
			case '?':
				if ok {
					if r := m.match(s+1, ep+1); r >= 0 {
						return r
					}
				}
				p = ep + 1
				continue
			case '*':
				return m.maxExpand(s, p, ep)
			case '+':
				if !ok {
					return -1
				}
				return m.maxExpand(s+1, p, ep)
			case '-':
				for {
					if r := m.match(s, ep+1); r >= 0 {
						return r
					}
					m.t.Step(1)
					if !m.single(s, p, ep) {
						return -1
					}
					s++
				}
			}
		}
		if !ok {
			return -1
		}
		s++
		p = ep
	}
}

func (m *matcher) maxExpand(s, p, ep int) int {
	i := 0
	for m.single(s+i, p, ep) {
		i++
	}
	m.t.Step(i / 4)
	for ; i >= 0; i-- {
		if r := m.match(s+i, ep+1); r >= 0 {
			return r
		}
	}
	return -1
}

func (m *matcher) startCapture(s, p, what int) int {
	if m.level >= maxCaptures {
		m.t.Fail("too many captures")
	}
	m.capture[m.level].start, m.capture[m.level].len = s, what
	m.level++
	r := m.match(s, p)
	if r < 0 {
		m.level--
	}
	return r
}

func (m *matcher) endCapture(s, p int) int {
	l := -1
	for i := m.level - 1; i >= 0; i-- {
		if m.capture[i].len == capOpen {
			l = i
			break
		}
	}
	if l < 0 {
		m.t.Fail("invalid pattern capture")
	}
	m.capture[l].len = s - m.capture[l].start
	r := m.match(s, p)
	if r < 0 {
		m.capture[l].len = capOpen
	}
	return r
}

func (m *matcher) backReference(s int, c byte) int {
	l := int(c) - '1'
	if l < 0 || l >= m.level || m.capture[l].len == capOpen {
		m.t.Fail("invalid capture index")
	}
	if m.capture[l].len < 0 {
		return -1
	}
	part := m.src[m.capture[l].start : m.capture[l].start+m.capture[l].len]
	m.t.Step(len(part) / 16)
	if len(m.src)-s >= len(part) && m.src[s:s+len(part)] == part {
		return s + len(part)
	}
	return -1
}

// get returns capture i; of a pattern without any, the whole match from s to e.
func (m *matcher) get(i, s, e int) Value {
	if i >= m.level {
		if i != 0 {
			m.t.Fail("invalid capture index")
		}
		return m.t.NewString(m.src[s:e])
	}
	c := m.capture[i]
	switch c.len {
	case capPosition:
		return Int(c.start + 1)
	case capOpen:
		m.t.Fail("unfinished capture")
	}
	return m.t.NewString(m.src[c.start : c.start+c.len])
}

// captures returns all captures; whole stands for none of them when it is set.
func (m *matcher) captures(out []Value, s, e int, whole bool) []Value {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		out = append(out, m.get(i, s, e))
	}
	return out
}
