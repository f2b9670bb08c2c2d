package command

import (
	"fmt"

	"github.com/raftredis/raftredis/store/keyspace"
)

// readArgs are the arguments of XREAD and XREADGROUP.
type readArgs struct {
	block    int64 // ms, -1 without BLOCK
	count    int   // 0: all
	group    []byte
	consumer []byte
	noAck    bool
	keysAt   int // argument of the first key
	keys     int
}

func (a *readArgs) key(i int) int { return a.keysAt + i }
func (a *readArgs) id(i int) int  { return a.keysAt + a.keys + i }

// parseRead parses all but the IDs. err is the error to reply, if any.
func parseRead(argv [][]byte, group, inScript bool) (a readArgs, err string) {
	a.block = -1
	for i := 1; i < len(argv) && a.keysAt == 0; i++ {
		more := len(argv) - i - 1
		switch arg := argv[i]; {
		case EqualFold(arg, "block") && more > 0 && inScript:
			return a, fmt.Sprintf("ERR %s command is not allowed with BLOCK option from scripts", argv[0])
		case EqualFold(arg, "block") && more > 0:
			i++
			ms, ok := ParseInt(argv[i])
			if !ok {
				return a, "ERR timeout is not an integer or out of range"
			}
			if ms < 0 {
				return a, "ERR timeout is negative"
			}
			a.block = min(ms, maxTimeout)
		case EqualFold(arg, "count") && more > 0:
			i++
			n, ok := ParseInt(argv[i])
			if !ok {
				return a, ErrNotInteger
			}
			a.count = int(max(n, 0))
		case EqualFold(arg, "streams") && more > 0:
			if more%2 != 0 {
				return a, "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
			}
			a.keysAt, a.keys = i+1, more/2
		case EqualFold(arg, "group") && more >= 2:
			if !group {
				return a, "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
			}
			a.group, a.consumer = argv[i+1], argv[i+2]
			i += 2
		case EqualFold(arg, "noack"):
			if !group {
				return a, "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
			}
			a.noAck = true
		default:
			return a, ErrSyntax
		}
	}
	switch {
	case a.keysAt == 0:
		return a, ErrSyntax
	case group && a.group == nil:
		return a, "ERR Missing GROUP option for XREADGROUP"
	}
	return a, ""
}

// readBlock is how XREAD and XREADGROUP wait.
func readBlock(group bool) *Block {
	b := &Block{
		Kind: keyspace.Stream,
		Timeout: func(argv [][]byte) (int64, bool, string) {
			a, err := parseRead(argv, group, false)
			return a.block, err == "" && a.block >= 0, err
		},
		Keys: func(argv [][]byte) [][]byte {
			a, _ := parseRead(argv, group, false)
			return argv[a.keysAt : a.keysAt+a.keys]
		},
	}
	if group {
		b.Line = func(argv [][]byte) string {
			a, _ := parseRead(argv, group, false)
			return string(a.group)
		}
	}
	return b
}

// looksAt reports whether a call looks at its i-th stream: see Call.Ready.
func (c *Call) looksAt(a readArgs, i int) bool {
	return c.Ready == nil || string(c.Args[a.key(i)]) == string(c.Ready)
}

// blockedCount is what a client gets at most that had to wait and gave no
// COUNT.
const blockedCount = 1000

// nothingToRead replies that there is nothing, unless the client waits.
func (c *Call) nothingToRead(a readArgs) {
	if a.block < 0 || !c.WouldBlock() {
		c.Reply.NullArray()
	}
}

// replyStreams begins the reply of n streams, replyStream that of one.
func (c *Call) replyStreams(n int) {
	if c.Reply.RESP3() {
		c.Reply.Map(n)
	} else {
		c.Reply.Array(n)
	}
}

func (c *Call) replyStream(key []byte) {
	if !c.Reply.RESP3() {
		c.Reply.Array(2)
	}
	c.Reply.Bulk(key)
}

func xread(r *Read) {
	a, err := parseRead(r.Args, false, r.InScript)
	if err != "" {
		r.Reply.Error(err)
		return
	}
	if r.Ready != nil && a.count == 0 {
		a.count = blockedCount
	}
	ids := make([]keyspace.StreamID, a.keys)
	streams := make([]*keyspace.StreamView, a.keys)
	for i := range ids {
		if !r.looksAt(a, i) {
			continue
		}
		s, wrong := r.DB.StreamAt(r.Args[a.key(i)])
		if wrong != nil && r.Ready == nil {
			r.Fail(wrong)
			return
		}
		streams[i] = s
		switch arg := r.Args[a.id(i)]; {
		case string(arg) == "$":
			if s != nil {
				ids[i] = s.Last()
			}
		case string(arg) == ">":
			r.Reply.Error("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
			return
		default:
			var ok bool
			if ids[i], ok = r.streamID(a.id(i)); !ok {
				return
			}
		}
	}
	ready := 0
	for i, s := range streams {
		r.DB.Lookup(r.Args[a.key(i)], s != nil) // Redis looks every key up once more
		switch {
		case s == nil:
		case r.Ready != nil && (s.Last().Compare(ids[i]) <= 0 || ready > 0): // what was added may be deleted by now
			streams[i] = nil
		case r.Ready == nil && (s.Len() == 0 || s.Top().Compare(ids[i]) <= 0):
			streams[i] = nil
		default:
			ready++
		}
	}
	if ready == 0 {
		r.fixLast(a, ids)
		r.nothingToRead(a)
		return
	}
	r.replyStreams(ready)
	for i, s := range streams {
		if s == nil {
			continue
		}
		r.replyStream(r.Args[a.key(i)])
		start, _ := ids[i].Next()
		r.replyEntries(s, keyspace.StreamRange{Start: start, End: keyspace.MaxStreamID()}, a.count)
	}
}

// fixLast puts the last ID of today in the place of each "$": a call that is
// made again must mean by it what it meant the first time.
func (r *Read) fixLast(a readArgs, ids []keyspace.StreamID) {
	fixed := make([][]byte, len(r.Args))
	copy(fixed, r.Args)
	for i, id := range ids {
		if string(fixed[a.id(i)]) == "$" {
			fixed[a.id(i)] = id.Append(nil)
		}
	}
	r.Args = fixed
}

// groupRead is what XREADGROUP found in one stream.
type groupRead struct {
	key     []byte
	entries []keyspace.StreamEntry
	deleted []bool // of each entry, whether nothing but its ID is left; nil: none
}

func xreadgroup(w *Write) {
	a, err := parseRead(w.Args, true, w.InScript)
	if err != "" {
		w.Reply.Error(err)
		return
	}
	if w.Ready != nil && a.count == 0 {
		a.count = blockedCount
	}
	ids := make([]keyspace.StreamID, a.keys)
	for i := range ids {
		if !w.looksAt(a, i) {
			continue
		}
		if !w.checkGroupRead(a, i) {
			return
		}
		switch arg := w.Args[a.id(i)]; {
		case string(arg) == "$":
			w.Reply.Error("ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.")
			return
		case string(arg) == ">":
			ids[i] = keyspace.MaxStreamID() // Redis, too, takes the highest ID to mean this
		default:
			var ok bool
			if ids[i], ok = w.streamID(a.id(i)); !ok {
				return
			}
		}
	}
	var reads []groupRead
	for i, id := range ids {
		if !w.looksAt(a, i) {
			continue
		}
		if read, ok := w.groupRead(a, w.Args[a.key(i)], id); ok {
			reads = append(reads, read)
			if w.Ready != nil {
				break // a key may be named twice
			}
		}
	}
	if len(reads) == 0 {
		w.nothingToRead(a)
		return
	}
	w.replyStreams(len(reads))
	for i := range reads {
		w.replyGroupRead(&reads[i])
	}
}

// checkGroupRead checks that stream i and the group are there. If not, it has
// written the error.
func (w *Write) checkGroupRead(a readArgs, i int) bool {
	key := w.Args[a.key(i)]
	s, wrong := w.DB.StreamAt(key)
	found := false
	if s != nil {
		_, found = s.Group(a.group)
	}
	switch {
	case found:
		return true
	case w.Ready != nil && s == nil:
		w.Reply.Error("UNBLOCKED the stream key no longer exists")
	case w.Ready != nil:
		w.Reply.Error("NOGROUP the consumer group this client was blocked on no longer exists")
	case wrong != nil:
		w.Fail(wrong)
	default:
		w.Reply.Error("NOGROUP No such key '" + cstring(key) + "' or consumer group '" + cstring(a.group) + "' in XREADGROUP with GROUP option")
	}
	return false
}

// groupRead delivers from one stream. ok is false if there is nothing new; then
// nothing has changed.
func (w *Write) groupRead(a readArgs, key []byte, id keyspace.StreamID) (read groupRead, ok bool) {
	v, err := w.DB.StreamAt(key)
	if err != nil || v == nil {
		return read, false // not after checkGroupRead
	}
	view, _ := v.Group(a.group)
	fresh := id == keyspace.MaxStreamID()
	switch {
	case !fresh:
	case w.Ready != nil && v.Last().Compare(view.Last()) <= 0: // what was added may be deleted by now
		return read, false
	case w.Ready == nil && (v.Len() == 0 || v.Top().Compare(view.Last()) <= 0):
		return read, false
	}
	s, err := w.DB.StreamForGroups(key)
	if err != nil {
		return read, false
	}
	g, _ := s.GroupForUpdate(a.group)
	w.see(key, g, a.consumer)
	read.key = key
	if fresh {
		w.deliver(a, s, g, &read)
	} else {
		w.deliverAgain(a, s, g, id, &read)
	}
	return read, true
}

// deliver delivers what no consumer of the group has seen.
func (w *Write) deliver(a readArgs, s *keyspace.StreamObject, g *keyspace.Group, read *groupRead) {
	start, _ := g.Last().Next()
	s.Visit(keyspace.StreamRange{Start: start, End: keyspace.MaxStreamID()}, func(e *keyspace.StreamEntry) bool {
		read.entries = append(read.entries, *e)
		return len(read.entries) != a.count
	})
	for i := range read.entries {
		id := read.entries[i].ID
		g.Advance(id)
		if !a.noAck {
			g.SetPending(keyspace.Pending{ID: id, Delivered: w.Now, Count: 1, Consumer: string(a.consumer)})
		}
	}
}

// deliverAgain delivers what is pending for the consumer above an ID.
func (w *Write) deliverAgain(a readArgs, s *keyspace.StreamObject, g *keyspace.Group, above keyspace.StreamID, read *groupRead) {
	start, _ := above.Next()
	var again []keyspace.Pending
	g.EachPendingOf(string(a.consumer), start, func(p keyspace.Pending) bool {
		e, ok := s.Entry(p.ID)
		if !ok {
			e.ID = p.ID
		} else {
			p.Delivered, p.Count = w.Now, p.Count+1
			again = append(again, p)
		}
		read.entries, read.deleted = append(read.entries, e), append(read.deleted, !ok)
		return len(read.entries) != a.count
	})
	for _, p := range again {
		g.SetPending(p)
	}
}

func (w *Write) replyGroupRead(read *groupRead) {
	w.replyStream(read.key)
	w.Reply.Array(len(read.entries))
	for i := range read.entries {
		if e := &read.entries[i]; read.deleted == nil || !read.deleted[i] {
			w.replyEntry(e)
		} else {
			w.Reply.Array(2)
			w.replyStreamID(e.ID)
			w.Reply.NullArray()
		}
	}
}
