package command

import "bytes"

func lpop(w *Write) { popCommand(w, true) }
func rpop(w *Write) { popCommand(w, false) }

func popCommand(w *Write, left bool) {
	if len(w.Args) > 3 {
		w.Reply.Error(ErrArity(map[bool]string{true: "lpop", false: "rpop"}[left]))
		return
	}
	many, count := len(w.Args) == 3, int64(1)
	if many {
		var ok bool
		if count, ok = w.notNegative(2, errNotPositive); !ok {
			return
		}
	}
	view, err := w.DB.ListAt(w.Args[1])
	switch {
	case err != nil:
		w.Fail(err)
	case view == nil && many:
		w.Reply.NullArray()
	case view == nil:
		w.Reply.Null()
	case count == 0:
		w.Reply.Array(0)
	case many:
		popMany(w, w.Args[1], left, count)
	default:
		popOne(w, w.Args[1], left)
	}
}

// errNotPositive is the error for a count that must not be negative. Redis means
// "not negative".
const errNotPositive = "ERR value is out of range, must be positive"

// popOne removes an element from a list that is there and replies it.
func popOne(w *Write, key []byte, left bool) {
	l, err := w.DB.ListForUpdate(key, false)
	if err != nil {
		w.Fail(err)
		return
	}
	if left {
		w.Reply.Bulk(l.PopFront())
	} else {
		w.Reply.Bulk(l.PopBack())
	}
	w.popped(key, left)
	if l.Len() == 0 {
		w.remove(key)
	}
}

// popMany removes up to count elements, at least one, from a list that is there
// and replies them.
func popMany(w *Write, key []byte, left bool, count int64) {
	l, err := w.DB.ListForUpdate(key, false)
	if err != nil {
		w.Fail(err)
		return
	}
	n := int(min(count, int64(l.Len())))
	if left {
		replyElements(w.Reply, &l.ListView, 0, n)
		l.Trim(n, l.Len()-n)
	} else {
		w.Reply.Array(n)
		i := 0
		for b := range l.Back(l.Len() - 1) {
			w.Reply.Bulk(b)
			if i++; i == n {
				break
			}
		}
		l.Trim(0, l.Len()-n)
	}
	w.popped(key, left)
	if l.Len() == 0 {
		w.remove(key)
	}
}

// side reads argument i, LEFT or RIGHT. If it is neither, side has written the
// error and the handler returns.
func (c *Call) side(i int) (left, ok bool) {
	switch {
	case c.Is(i, "left"):
		return true, true
	case c.Is(i, "right"):
		return false, true
	default:
		c.Reply.Error(ErrSyntax)
		return false, false
	}
}

func lmove(w *Write) {
	from, ok := w.side(3)
	if !ok {
		return
	}
	to, ok := w.side(4)
	if !ok {
		return
	}
	if !moveElement(w, w.Args[1], w.Args[2], from, to) {
		w.Reply.Null()
	}
}

func rpoplpush(w *Write) {
	if !moveElement(w, w.Args[1], w.Args[2], false, true) {
		w.Reply.Null()
	}
}

// moveElement takes an element from src to dst and replies it. It answers false, and
// has not replied, if src is not there.
func moveElement(w *Write, src, dst []byte, fromLeft, toLeft bool) bool {
	from, err := w.DB.ListAt(src)
	if from == nil && err == nil {
		return false
	}
	if err == nil {
		_, err = w.DB.ListAt(dst)
	}
	if err != nil {
		w.Fail(err)
		return true
	}
	// dst may be the same list: as it is there while the element moves, it keeps
	// its deadline even if that element is its only one.
	l, err := w.DB.ListForUpdate(src, false)
	if err != nil {
		w.Fail(err)
		return true
	}
	to, err := w.DB.ListForUpdate(dst, true)
	if err != nil {
		w.Fail(err)
		return true
	}
	var b []byte
	if fromLeft {
		b = l.PopFront()
	} else {
		b = l.PopBack()
	}
	w.Reply.Bulk(b)
	if l == to {
		b = bytes.Clone(b) // pushing it would overwrite it
	}
	if toLeft {
		to.PushFront(b, w.DB.Limits())
	} else {
		to.PushBack(b, w.DB.Limits())
	}
	w.pushed(dst, toLeft)
	w.popped(src, fromLeft)
	if l.Len() == 0 {
		w.remove(src)
	}
	return true
}

// popArgs are the arguments that LMPOP, and after its timeout BLMPOP, have from
// argument i on: numkeys key [key ...] LEFT | RIGHT [COUNT count].
type popArgs struct {
	keys  [][]byte
	left  bool
	count int64
}

func (c *Call) popArgs(i int) (a popArgs, ok bool) {
	keys, ok := c.positive(i, "ERR numkeys should be greater than 0")
	if !ok {
		return a, false
	}
	rest := int64(len(c.Args) - i - 1)
	if keys >= rest {
		c.Reply.Error(ErrSyntax)
		return a, false
	}
	a.keys = c.Args[i+1 : i+1+int(keys)]
	i += 1 + int(keys)
	if a.left, ok = c.side(i); !ok {
		return a, false
	}
	for i++; i < len(c.Args); i += 2 {
		if a.count != 0 || !c.Is(i, "count") || i+1 == len(c.Args) {
			c.Reply.Error(ErrSyntax)
			return a, false
		}
		if a.count, ok = c.positive(i+1, "ERR count should be greater than 0"); !ok {
			return a, false
		}
	}
	a.count = max(a.count, 1)
	return a, true
}

// positive returns argument i as a number above zero. text is the error for
// any that is not, and for what is no number either.
func (c *Call) positive(i int, text string) (int64, bool) {
	n, ok := ParseInt(c.Args[i])
	if !ok || n <= 0 {
		c.Reply.Error(text)
		return 0, false
	}
	return n, true
}

func lmpop(w *Write) {
	if a, ok := w.popArgs(1); ok && !popAny(w, a) {
		w.Reply.NullArray()
	}
}

// popAny pops from the first of the lists that is there and replies its key and
// the elements. It answers false, and has not replied, if none is.
func popAny(w *Write, a popArgs) bool {
	key, ok := firstList(w, a.keys)
	if ok && key != nil {
		w.Reply.Array(2)
		w.Reply.Bulk(key)
		popMany(w, key, a.left, a.count)
	}
	return key != nil || !ok
}

// firstList returns the first of keys that has a list, nil if none has. If one
// before that is of another type, firstList has written the error and ok is
// false.
func firstList(w *Write, keys [][]byte) (key []byte, ok bool) {
	for _, key := range w.waiting(keys) {
		switch l, err := w.DB.ListAt(key); {
		case err != nil:
			w.Fail(err)
			return nil, false
		case l != nil:
			return key, true
		}
	}
	return nil, true
}
