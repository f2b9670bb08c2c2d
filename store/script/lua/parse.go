package lua

import "fmt"

// The syntax tree. Names are resolved while it is made.
type (
	expr interface{}
	stmt interface{}

	eConst  struct{ v Value }
	eVararg struct{}
	eLocal  struct{ v *local }
	eUpval  struct {
		index int
		name  string
	}
	eGlobal struct {
		name string
		line int
	}
	eIndex struct {
		obj, key expr
		line     int
	}
	eCall struct {
		fn   expr
		self string // the method's name, "" for a plain call
		args []expr
		line int
	}
	eFunc  struct{ f *function }
	eTable struct {
		array  []expr
		fields []field // in order of source, array items among them as a nil key
		line   int
	}
	field struct {
		key, val expr
	}
	eBinary struct {
		op   token
		a, b expr
		line int
	}
	eUnary struct {
		op   token
		a    expr
		line int
	}
	eParen struct{ a expr } // cuts several values to one

	sLocal struct {
		vars  []*local
		exprs []expr
	}
	sAssign struct {
		targets []expr
		exprs   []expr
	}
	sCall  struct{ call *eCall }
	sDo    struct{ body *block }
	sWhile struct {
		cond expr
		body *block
	}
	sRepeat struct {
		body *block
		cond expr
	}
	sIf struct {
		conds  []expr
		blocks []*block // one more than conds with an else
	}
	sFor struct {
		v                 *local
		start, stop, step expr
		body              *block
		line              int
	}
	sForIn struct {
		vars  []*local
		exprs []expr
		body  *block
		line  int
		base  int // three slots: the iterator, the state and the control
	}
	sFunc struct { // local function
		v *local
		f *function
	}
	sReturn struct {
		exprs []expr
	}
	sBreak struct{}
)

type block struct{ stmts []stmt }

// local is a local variable. Captured ones live in a cell of their own.
type local struct {
	name     string
	slot     int
	captured bool
}

// function is a function's source.
type function struct {
	parent   *function
	line     int // 0: the main chunk
	params   []*local
	vararg   bool
	body     *block
	slots    int
	active   []*local
	upvals   []upvalue
	loops    int
	nextSlot int
	arg      *local // 'arg', of vararg functions but the main chunk
	needsArg bool   // '...' is not used, so 'arg' is a table, not nil
}

type upvalue struct {
	name  string
	local *local // of the parent, or
	index int    // the parent's upvalue
}

const (
	maxLocals = 200
	maxUpvals = 60
	maxNest   = 200
	maxLinks  = 100_000
)

type parser struct {
	lexer
	f     *function
	depth int
	links int // of the chains that what is parsed now is part of
}

func parse(src, chunk string) (f *function, err error) {
	p := &parser{lexer: lexer{src: src, chunk: chunk, line: 1, lastLine: 1}}
	defer func() {
		if r := recover(); r != nil {
			s, ok := r.(*SyntaxError)
			if !ok {
				panic(r)
			}
			err = s
		}
	}()
	p.f = &function{vararg: true}
	p.next()
	p.f.body = p.block()
	if p.tok != tEOS {
		p.expected(tEOS)
	}
	return p.f, nil
}

func (p *parser) expected(t token) { p.errorNear("'" + t.String() + "' expected") }

func (p *parser) check(t token) {
	if p.tok != t {
		p.expected(t)
	}
}

func (p *parser) accept(t token) bool {
	if p.tok == t {
		p.next()
		return true
	}
	return false
}

func (p *parser) need(t token) {
	p.check(t)
	p.next()
}

func (p *parser) match(what, who token, where int) {
	if p.accept(what) {
		return
	}
	if where == p.line {
		p.expected(what)
	}
	p.errorNear(fmt.Sprintf("'%s' expected (to close '%s' at line %d)", what, who, where))
}

func (p *parser) name() string {
	if p.tok != tName {
		p.errorNear("'<name>' expected")
	}
	s := p.str
	p.next()
	return s
}

func (p *parser) enter() {
	if p.depth++; p.depth > maxNest {
		p.fail("chunk has too many syntax levels", "")
	}
}
func (p *parser) leave() { p.depth-- }

// link counts an operator or a suffix of a chain, like those of a+b+c and a.b.c: each
// makes the tree deeper, which Lua's own compiler does not mind and a tree does.
func (p *parser) link() {
	if p.links++; p.links > maxLinks {
		p.fail("chunk has too many syntax levels", "")
	}
}

func (p *parser) limit(limit int, what string) {
	if p.f.line == 0 {
		p.fail(fmt.Sprintf("main function has more than %d %s", limit, what), "")
	}
	p.fail(fmt.Sprintf("function at line %d has more than %d %s", p.f.line, limit, what), "")
}

func (p *parser) slot() int {
	s := p.f.nextSlot
	p.f.nextSlot++
	p.f.slots = max(p.f.slots, p.f.nextSlot)
	return s
}

// newLocal makes a variable that is in scope after declare.
func (p *parser) newLocal(name string, pending int) *local {
	if len(p.f.active)+pending+1 > maxLocals {
		p.limit(maxLocals, "local variables")
	}
	return &local{name: name, slot: p.slot()}
}

func (p *parser) declare(vars ...*local) { p.f.active = append(p.f.active, vars...) }

func (p *parser) scope() (restore func()) {
	n, slot := len(p.f.active), p.f.nextSlot
	f := p.f
	return func() { f.active, f.nextSlot = f.active[:n], slot }
}

func (f *function) findLocal(name string) *local {
	for i := len(f.active) - 1; i >= 0; i-- {
		if f.active[i].name == name {
			return f.active[i]
		}
	}
	return nil
}

func (p *parser) findUpval(f *function, name string) int {
	for i, u := range f.upvals {
		if u.name == name {
			// The same name may mean another variable by now.
			if f.parent != nil {
				if v := f.parent.findLocal(name); v != nil && v != u.local || v == nil && u.local != nil {
					continue
				}
			}
			return i
		}
	}
	if f.parent == nil {
		return -1
	}
	u := upvalue{name: name}
	if v := f.parent.findLocal(name); v != nil {
		v.captured = true
		u.local = v
	} else if u.index = p.findUpval(f.parent, name); u.index < 0 {
		return -1
	}
	if len(f.upvals) >= maxUpvals {
		p.f = f // the one that the message is about
		p.limit(maxUpvals, "upvalues")
	}
	f.upvals = append(f.upvals, u)
	return len(f.upvals) - 1
}

func (p *parser) resolve(name string, line int) expr {
	if v := p.f.findLocal(name); v != nil {
		return &eLocal{v}
	}
	if i := p.findUpval(p.f, name); i >= 0 {
		return &eUpval{i, name}
	}
	return &eGlobal{name, line}
}

func (p *parser) blockEnd() bool {
	switch p.tok {
	case tElse, tElseif, tEnd, tUntil, tEOS:
		return true
	}
	return false
}

// block is a chunk in a scope of its own.
func (p *parser) block() *block {
	defer p.scope()()
	return p.chunkBody()
}

func (p *parser) chunkBody() *block {
	b := &block{}
	p.enter()
	for last := false; !last && !p.blockEnd(); {
		var s stmt
		links := p.links
		s, last = p.statement()
		p.links = links
		b.stmts = append(b.stmts, s)
		p.accept(';')
	}
	p.leave()
	return b
}

func (p *parser) statement() (stmt, bool) {
	line := p.line
	switch p.tok {
	case tIf:
		return p.ifStatement(line), false
	case tWhile:
		p.next()
		cond := p.expr()
		p.need(tDo)
		body := p.loop()
		p.match(tEnd, tWhile, line)
		return &sWhile{cond, body}, false
	case tDo:
		p.next()
		body := p.block()
		p.match(tEnd, tDo, line)
		return &sDo{body}, false
	case tFor:
		return p.forStatement(line), false
	case tRepeat:
		p.next()
		restore := p.scope()
		p.f.loops++
		body := p.chunkBody()
		p.match(tUntil, tRepeat, line)
		cond := p.expr()
		p.f.loops--
		restore()
		return &sRepeat{body, cond}, false
	case tFunction:
		p.next()
		target := p.resolve(p.name(), line)
		self := false
		for p.tok == '.' || p.tok == ':' {
			self = p.tok == ':'
			p.next()
			target = &eIndex{target, &eConst{String(p.name())}, p.lastLine}
			if self {
				break
			}
		}
		f := p.body(self, line)
		return &sAssign{[]expr{target}, []expr{&eFunc{f}}}, false
	case tLocal:
		p.next()
		if p.accept(tFunction) {
			v := p.newLocal(p.name(), 0)
			p.declare(v)
			return &sFunc{v, p.body(false, p.line)}, false
		}
		var names []string
		for {
			names = append(names, p.name())
			if !p.accept(',') {
				break
			}
		}
		s := &sLocal{}
		if p.accept('=') {
			s.exprs = p.exprList()
		}
		for i, n := range names {
			s.vars = append(s.vars, p.newLocal(n, i))
		}
		p.declare(s.vars...)
		return s, false
	case tReturn:
		p.next()
		s := &sReturn{}
		if !p.blockEnd() && p.tok != ';' {
			s.exprs = p.exprList()
		}
		return s, true
	case tBreak:
		p.next()
		if p.f.loops == 0 {
			p.errorNear("no loop to break")
		}
		return &sBreak{}, true
	}
	e := p.suffixed()
	if c, ok := e.(*eCall); ok {
		return &sCall{c}, false
	}
	return p.assignment([]expr{e}), false
}

func (p *parser) assignment(targets []expr) stmt {
	switch targets[len(targets)-1].(type) {
	case *eLocal, *eUpval, *eGlobal, *eIndex:
	default:
		p.errorNear("syntax error")
	}
	if p.accept(',') {
		if len(targets) >= maxNest {
			p.fail("chunk has too many syntax levels", "")
		}
		return p.assignment(append(targets, p.suffixed()))
	}
	p.need('=')
	return &sAssign{targets, p.exprList()}
}

func (p *parser) ifStatement(line int) stmt {
	s := &sIf{}
	for {
		p.next() // if, elseif
		s.conds = append(s.conds, p.expr())
		p.need(tThen)
		s.blocks = append(s.blocks, p.block())
		if p.tok != tElseif {
			break
		}
	}
	if p.accept(tElse) {
		s.blocks = append(s.blocks, p.block())
	}
	p.match(tEnd, tIf, line)
	return s
}

func (p *parser) loop() *block {
	p.f.loops++
	b := p.block()
	p.f.loops--
	return b
}

func (p *parser) forStatement(line int) stmt {
	p.next()
	defer p.scope()()
	first := p.name()
	switch p.tok {
	case '=':
		p.next()
		s := &sFor{line: line}
		s.start = p.expr()
		p.need(',')
		s.stop = p.expr()
		if p.accept(',') {
			s.step = p.expr()
		}
		p.need(tDo)
		p.slot()
		p.slot()
		p.slot()
		s.v = p.newLocal(first, 3)
		p.declare(s.v)
		s.body = p.loop()
		p.match(tEnd, tFor, line)
		return s
	case ',', tIn:
		names := []string{first}
		for p.accept(',') {
			names = append(names, p.name())
		}
		p.need(tIn)
		s := &sForIn{line: p.line}
		s.exprs = p.exprList()
		p.need(tDo)
		s.base = p.slot()
		p.slot()
		p.slot()
		for i, n := range names {
			s.vars = append(s.vars, p.newLocal(n, 3+i))
		}
		p.declare(s.vars...)
		s.body = p.loop()
		p.match(tEnd, tFor, line)
		return s
	}
	p.errorNear("'=' or 'in' expected")
	return nil
}

func (p *parser) body(self bool, line int) *function {
	f := &function{parent: p.f, line: line}
	p.f = f
	p.need('(')
	if self {
		f.params = append(f.params, p.newLocal("self", 0))
	}
	if p.tok != ')' {
		for {
			switch p.tok {
			case tName:
				f.params = append(f.params, p.newLocal(p.name(), len(f.params)))
			case tDots:
				p.next()
				f.vararg = true
			default:
				p.errorNear("<name> or '...' expected")
			}
			if f.vararg || !p.accept(',') {
				break
			}
		}
	}
	p.declare(f.params...)
	if f.vararg {
		// What Lua 5.0 had, Lua 5.1 still makes of a function that does not use '...'.
		f.arg, f.needsArg = p.newLocal("arg", 0), true
		p.declare(f.arg)
	}
	p.need(')')
	f.body = p.chunkBody()
	p.match(tEnd, tFunction, line)
	p.f = f.parent
	return f
}
