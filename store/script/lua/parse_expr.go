package lua

func (p *parser) exprList() []expr {
	list := []expr{p.expr()}
	for p.accept(',') {
		list = append(list, p.expr())
	}
	return list
}

func (p *parser) primary() expr {
	switch p.tok {
	case '(':
		line := p.line
		p.next()
		e := p.expr()
		p.match(')', '(', line)
		return &eParen{e}
	case tName:
		line := p.line
		return p.resolve(p.name(), line)
	}
	p.errorNear("unexpected symbol")
	return nil
}

func (p *parser) suffixed() expr {
	e := p.primary()
	for ; ; p.link() {
		switch p.tok {
		case '.':
			p.next()
			line := p.line
			e = &eIndex{e, &eConst{String(p.name())}, line}
		case '[':
			p.next()
			k := p.expr()
			line := p.line
			p.need(']')
			e = &eIndex{e, k, line}
		case ':':
			p.next()
			name := p.name()
			e = p.call(e, name)
		case '(', tString, '{':
			e = p.call(e, "")
		default:
			return e
		}
	}
}

func (p *parser) call(fn expr, self string) expr {
	c := &eCall{fn: fn, self: self, line: p.line}
	switch p.tok {
	case '(':
		if p.line != p.lastLine {
			p.errorNear("ambiguous syntax (function call x new statement)")
		}
		line := p.line
		p.next()
		if p.tok != ')' {
			c.args = p.exprList()
		}
		p.match(')', '(', line)
	case tString:
		c.args = []expr{&eConst{String(p.str)}}
		p.next()
	case '{':
		c.args = []expr{p.table()}
	default:
		p.errorNear("function arguments expected")
	}
	return c
}

func (p *parser) table() expr {
	line := p.line
	t := &eTable{line: line}
	p.need('{')
	for p.tok != '}' {
		switch {
		case p.tok == tName && p.ahead == nil && p.peek() == '=':
			k := p.name()
			p.next()
			t.fields = append(t.fields, field{&eConst{String(k)}, p.expr()})
		case p.tok == '[':
			p.next()
			k := p.expr()
			p.need(']')
			p.need('=')
			t.fields = append(t.fields, field{k, p.expr()})
		default:
			e := p.expr()
			t.array = append(t.array, e)
			t.fields = append(t.fields, field{nil, e})
		}
		if !p.accept(',') && !p.accept(';') {
			break
		}
	}
	p.match('}', '{', line)
	return t
}

func (p *parser) simple() expr {
	var e expr
	switch p.tok {
	case tNumber:
		e = &eConst{Number(p.num)}
	case tString:
		e = &eConst{String(p.str)}
	case tNil:
		e = &eConst{}
	case tTrue:
		e = &eConst{Bool(true)}
	case tFalse:
		e = &eConst{Bool(false)}
	case tDots:
		if !p.f.vararg {
			p.errorNear("cannot use '...' outside a vararg function")
		}
		p.f.needsArg = false
		e = &eVararg{}
	case '{':
		return p.table()
	case tFunction:
		p.next()
		return &eFunc{p.body(false, p.line)}
	default:
		return p.suffixed()
	}
	p.next()
	return e
}

// priority of the binary operators, left and right.
func priority(t token) (left, right int) {
	switch t {
	case '+', '-':
		return 6, 6
	case '*', '/', '%':
		return 7, 7
	case '^':
		return 10, 9
	case tConcat:
		return 5, 4
	case tEq, tNe, '<', '>', tLe, tGe:
		return 3, 3
	case tAnd:
		return 2, 2
	case tOr:
		return 1, 1
	}
	return 0, 0
}

const unaryPriority = 8

func (p *parser) expr() expr { return p.subExpr(0) }

func (p *parser) subExpr(limit int) expr {
	p.enter()
	defer p.leave()
	var e expr
	switch p.tok {
	case tNot, '-', '#':
		op := p.tok
		p.next()
		a := p.subExpr(unaryPriority)
		e = fold(&eUnary{op, a, p.lastLine})
	default:
		e = p.simple()
	}
	for ; ; p.link() {
		op := p.tok
		left, right := priority(op)
		if left <= limit {
			return e
		}
		p.next()
		b := p.subExpr(right)
		e = &eBinary{op, e, b, p.lastLine}
	}
}

// fold makes a negative constant of a negated one.
func fold(u *eUnary) expr {
	if c, ok := u.a.(*eConst); ok && u.op == '-' {
		if n, ok := c.v.AsNumber(); ok {
			return &eConst{Number(neg(n))}
		}
	}
	return u
}
