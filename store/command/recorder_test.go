package command

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/raftredis/raftredis/store/cfloat"
)

// recorder is a Reply that keeps what it is told, to be printed as redis-cli
// prints it. It also checks that a handler writes exactly one whole reply.
type recorder struct {
	resp3 bool
	root  node
	open  []*node // aggregates that are being filled, the innermost last
}

var _ Reply = (*recorder)(nil)

type node struct {
	kind  byte // the type's first byte in RESP3
	text  string
	want  int // children to come, in all
	elems []*node
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

func (r *recorder) add(n *node) {
	parent := &r.root
	if len(r.open) > 0 {
		parent = r.open[len(r.open)-1]
	}
	parent.elems = append(parent.elems, n)
	if n.want > 0 {
		r.open = append(r.open, n)
		return
	}
	for len(r.open) > 0 {
		if last := r.open[len(r.open)-1]; len(last.elems) < last.want {
			return
		}
		r.open = r.open[:len(r.open)-1]
	}
}

func (r *recorder) Status(s string)     { r.add(&node{kind: '+', text: s}) }
func (r *recorder) Error(err string)    { r.add(&node{kind: '-', text: oneLine.Replace(err)}) }
func (r *recorder) Int(n int64)         { r.add(&node{kind: ':', text: strconv.FormatInt(n, 10)}) }
func (r *recorder) Bulk(b []byte)       { r.BulkString(string(b)) }
func (r *recorder) BulkString(s string) { r.add(&node{kind: '$', text: s}) }
func (r *recorder) Null()               { r.add(&node{kind: '_'}) }
func (r *recorder) NullArray()          { r.add(&node{kind: '_'}) }
func (r *recorder) Array(n int)         { r.add(&node{kind: '*', want: n}) }
func (r *recorder) Push(n int)          { r.aggregate('>', n) }
func (r *recorder) Set(n int)           { r.aggregate('~', n) }
func (r *recorder) Map(pairs int)       { r.aggregate('%', 2*pairs) }
func (r *recorder) RESP3() bool         { return r.resp3 }

func (r *recorder) aggregate(kind byte, n int) {
	if !r.resp3 {
		kind = '*'
	}
	r.add(&node{kind: kind, want: n})
}

func (r *recorder) scalar(kind byte, s string) {
	if !r.resp3 {
		kind = '$'
	}
	r.add(&node{kind: kind, text: s})
}

func (r *recorder) Double(f float64)       { r.scalar(',', string(cfloat.AppendDouble(nil, f))) }
func (r *recorder) Decimal(s string)       { r.scalar(',', s) }
func (r *recorder) BigNumber(s string)     { r.scalar('(', s) }
func (r *recorder) Verbatim(ext, s string) { r.scalar('=', s) }

func (r *recorder) Bool(b bool) {
	switch {
	case r.resp3 && b:
		r.add(&node{kind: '#', text: "true"})
	case r.resp3:
		r.add(&node{kind: '#', text: "false"})
	case b:
		r.Int(1)
	default:
		r.Int(0)
	}
}

// reply returns the one reply that was written.
func (r *recorder) reply() (*node, error) {
	switch {
	case len(r.root.elems) != 1:
		return nil, fmt.Errorf("%d replies instead of one", len(r.root.elems))
	case len(r.open) > 0:
		last := r.open[len(r.open)-1]
		return nil, fmt.Errorf("aggregate of %d has only %d elements", last.want, len(last.elems))
	}
	return r.root.elems[0], nil
}

// String prints the node as redis-cli would on a terminal.
func (n *node) String() string {
	var b strings.Builder
	n.print(&b, "")
	return b.String()
}

func (n *node) print(b *strings.Builder, indent string) {
	switch n.kind {
	case '+':
		b.WriteString(n.text + "\n")
	case '-':
		b.WriteString("(error) " + n.text + "\n")
	case ':':
		b.WriteString("(integer) " + n.text + "\n")
	case '$':
		b.WriteString(quote(n.text) + "\n")
	case '=':
		b.WriteString("(verbatim) " + quote(n.text) + "\n")
	case ',':
		b.WriteString("(double) " + n.text + "\n")
	case '(':
		b.WriteString("(big number) " + n.text + "\n")
	case '#':
		b.WriteString("(" + n.text + ")\n")
	case '_':
		b.WriteString("(nil)\n")
	default:
		n.printElems(b, indent)
	}
}

func (n *node) printElems(b *strings.Builder, indent string) {
	if len(n.elems) == 0 {
		b.WriteString(map[byte]string{'*': "(empty array)", '~': "(empty set)", '%': "(empty hash)", '>': "(empty push)"}[n.kind] + "\n")
		return
	}
	step, mark := 1, map[byte]string{'*': ")", '~': "~", '%': "#", '>': ">"}[n.kind]
	if n.kind == '%' {
		step = 2
	}
	width := len(strconv.Itoa(len(n.elems) / step))
	for i := 0; i < len(n.elems); i += step {
		if i > 0 {
			b.WriteString(indent)
		}
		label := fmt.Sprintf("%*d%s ", width, i/step+1, mark)
		b.WriteString(label)
		deeper := indent + strings.Repeat(" ", len(label))
		if step == 2 {
			b.WriteString(strings.TrimSuffix(n.elems[i].String(), "\n") + " => ")
			n.elems[i+1].print(b, deeper)
			continue
		}
		n.elems[i].print(b, deeper)
	}
}

// quote escapes as redis-cli does.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// splitArgs splits a line as redis-cli does: words, "with \x00 escapes", 'or
// not'.
func splitArgs(line string) ([][]byte, error) {
	var args [][]byte
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return args, nil
		}
		var arg []byte
		switch line[0] {
		case '"':
			prefix, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			s, err := strconv.Unquote(prefix)
			if err != nil {
				return nil, err
			}
			arg, line = []byte(s), line[len(prefix):]
		case '\'':
			end := strings.IndexByte(line[1:], '\'')
			if end < 0 {
				return nil, fmt.Errorf("%s: no closing quote", line)
			}
			arg, line = []byte(line[1:1+end]), line[end+2:]
		default:
			end := strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			arg, line = []byte(line[:end]), line[end:]
		}
		args = append(args, arg)
	}
}
