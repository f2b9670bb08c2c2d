package command

import (
	"errors"

	"github.com/raftredis/raftredis/store/keyspace"
)

// trimArgs are the options that XADD and XTRIM share, and those of XADD.
type trimArgs struct {
	keyspace.StreamTrim
	trim       bool
	noMkStream bool
	idAt       int // where XADD's ID is; the fields follow
	id         keyspace.StreamID
	auto       bool // the ID was "*"
	autoSeq    bool // it was "ms-*"
}

// parseTrim parses the options from argument 2 on, up to XADD's ID. If ok is
// false it has written the error.
func (w *Write) parseTrim(xadd bool) (a trimArgs, ok bool) {
	limitGiven := false
	fail := func(text string) (trimArgs, bool) {
		w.Reply.Error(text)
		return a, false
	}
	for i := 2; i < len(w.Args); i++ {
		more := len(w.Args) - 1 - i
		switch {
		case xadd && string(w.Args[i]) == "*":
			a.auto, a.idAt = true, i
		case (w.Is(i, "maxlen") || w.Is(i, "minid")) && more > 0:
			if a.trim {
				return fail("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
			}
			a.trim, a.ByID = true, w.Is(i, "minid")
			if next := string(w.Args[i+1]); more >= 2 && (next == "~" || next == "=") {
				a.Approx = next == "~"
				i++
			}
			i++
			if a.ByID {
				a.MinID, ok = w.streamID(i)
			} else {
				a.MaxLen, ok = w.Int(i)
			}
			if !ok {
				return a, false
			}
			if a.MaxLen < 0 {
				return fail("ERR The MAXLEN argument must be >= 0.")
			}
		case w.Is(i, "limit") && more > 0:
			i++
			if a.Limit, ok = w.Int(i); !ok {
				return a, false
			}
			if a.Limit < 0 {
				return fail("ERR The LIMIT argument must be >= 0.")
			}
			limitGiven = true
		case xadd && w.Is(i, "nomkstream"):
			a.noMkStream = true
		case xadd:
			if a.id, a.autoSeq, ok = parseNewStreamID(w.Args[i], 0, true); !ok {
				return fail(errStreamID)
			}
			a.idAt = i
		default:
			return fail(ErrSyntax)
		}
		if a.idAt > 0 {
			break
		}
	}
	switch {
	case a.Limit != 0 && !a.trim:
		return fail("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
	case !xadd && !a.trim:
		return fail("ERR syntax error, XTRIM must be called with a trimming strategy")
	case limitGiven && !a.Approx:
		return fail("ERR syntax error, LIMIT cannot be used without the special ~ option")
	case !limitGiven && a.Approx:
		a.Limit = defaultTrimLimit(w.DB.Limits().StreamNodeMaxEntries)
	}
	return a, true
}

// defaultTrimLimit bounds the work of an approximate trim to a hundred nodes.
func defaultTrimLimit(nodeEntries int64) int64 {
	const most = 1000000
	switch {
	case nodeEntries <= 0:
		return 10000
	case nodeEntries > most/100:
		return most
	default:
		return 100 * nodeEntries
	}
}

func xadd(w *Write) {
	a, ok := w.parseTrim(true)
	if !ok {
		return
	}
	var fields [][]byte
	if a.idAt > 0 {
		fields = w.Args[a.idAt+1:]
	}
	if len(fields) < 2 || len(fields)%2 == 1 {
		w.Reply.Error(ErrArity("xadd"))
		return
	}
	if !a.auto && !a.autoSeq && a.id.IsZero() {
		w.Reply.Error("ERR The ID specified in XADD must be greater than 0-0")
		return
	}
	v, ok := w.View().stream()
	switch {
	case !ok:
		return
	case v == nil && a.noMkStream:
		w.Reply.Null()
		return
	case v == nil:
		v = &keyspace.NewStream().StreamView
	}
	last := v.Last()
	if last == keyspace.MaxStreamID() {
		w.Reply.Error("ERR The stream has exhausted the last possible ID, unable to add more items")
		return
	}
	id := a.id
	switch {
	case a.auto:
		id = keyspace.StreamID{MS: uint64(w.Now)}
		if id.MS <= last.MS {
			id, _ = last.Next()
		}
	case a.autoSeq && id.MS == last.MS:
		// Where the second part is used up, Next goes on to the next millisecond,
		// but an ID of this one was asked for: id then stays 0-0 relative to it
		// and is refused as too low.
		if next, _ := last.Next(); next.MS == id.MS {
			id = next
		}
	}
	if err := v.CheckAdd(id, fields); err != nil {
		w.failAdd(err)
		return
	}
	s, ok := w.streamForUpdate()
	if !ok {
		return
	}
	if err := s.Add(id, fields, w.DB.Limits()); err != nil {
		w.failAdd(err)
		return
	}
	w.event(keyspace.EventStream, "xadd", w.Args[1])
	if a.trim && s.Trim(a.StreamTrim) > 0 {
		w.event(keyspace.EventStream, "xtrim", w.Args[1])
	}
	w.DB.Signal(w.Args[1])
	w.replyStreamID(id)
}

// streamForUpdate returns the stream at argument 1 for changing, a new one if there
// is none. If the key is of another type, it has written the error.
func (w *Write) streamForUpdate() (*keyspace.StreamObject, bool) {
	s, err := w.DB.StreamForUpdate(w.Args[1], true)
	if err != nil {
		w.Fail(err)
	}
	return s, err == nil
}

func (w *Write) failAdd(err error) {
	if errors.Is(err, keyspace.ErrStreamItemTooBig) {
		w.Reply.Error("ERR Elements are too large to be stored")
		return
	}
	w.Reply.Error("ERR The ID specified in XADD is equal or smaller than the target stream top item")
}

func xtrim(w *Write) {
	a, ok := w.parseTrim(false)
	if !ok {
		return
	}
	v, ok := w.View().stream()
	switch {
	case !ok:
		return
	case v == nil || !v.WouldTrim(a.StreamTrim):
		w.Reply.Int(0)
		return
	}
	if s, ok := w.streamForUpdate(); ok {
		w.Reply.Int(int64(s.Trim(a.StreamTrim)))
		w.event(keyspace.EventStream, "xtrim", w.Args[1])
	}
}

func xdel(w *Write) {
	v, ok := w.View().stream()
	switch {
	case !ok:
		return
	case v == nil:
		w.Reply.Int(0)
		return
	}
	ids, ok := w.streamIDs(2)
	if !ok {
		return
	}
	for len(ids) > 0 && !v.Exists(ids[0]) { // what changes nothing does not touch the key
		ids = ids[1:]
	}
	if len(ids) == 0 {
		w.Reply.Int(0)
		return
	}
	s, ok := w.streamForUpdate()
	if !ok {
		return
	}
	deleted := 0
	for _, id := range ids {
		if s.Delete(id) {
			deleted++
		}
	}
	w.event(keyspace.EventStream, "xdel", w.Args[1])
	w.Reply.Int(int64(deleted))
}

func xsetid(w *Write) {
	id, ok := w.streamID(2)
	if !ok {
		return
	}
	added, maxDeleted := int64(-1), keyspace.StreamID{}
	for i := 3; i < len(w.Args); i += 2 {
		more := i+1 < len(w.Args)
		switch {
		case w.Is(i, "entriesadded") && more:
			if added, ok = w.Int(i + 1); !ok {
				return
			}
			if added < 0 {
				w.Reply.Error("ERR entries_added must be positive")
				return
			}
		case w.Is(i, "maxdeletedid") && more:
			if maxDeleted, ok = w.streamID(i + 1); !ok {
				return
			}
			if id.Compare(maxDeleted) < 0 {
				w.Reply.Error("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
				return
			}
		default:
			w.Reply.Error(ErrSyntax)
			return
		}
	}
	v, ok := w.View().stream()
	switch {
	case !ok:
		return
	case v == nil:
		w.Reply.Error(ErrNoSuchKey)
		return
	case v.Len() > 0 && id.Compare(v.Top()) < 0:
		w.Reply.Error("ERR The ID specified in XSETID is smaller than the target stream top item")
		return
	case v.Len() > 0 && added != -1 && int64(v.Len()) > added:
		w.Reply.Error("ERR The entries_added specified in XSETID is smaller than the target stream length")
		return
	}
	s, err := w.DB.StreamForGroups(w.Args[1])
	if err != nil {
		w.Fail(err)
		return
	}
	s.SetLast(id, added, maxDeleted)
	w.event(keyspace.EventStream, "xsetid", w.Args[1])
	w.OK()
}
