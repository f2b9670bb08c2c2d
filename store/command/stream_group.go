package command

import (
	"strings"

	"github.com/raftredis/raftredis/store/keyspace"
)

const errXGroupNoKey = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically."

// noGroup is the error of most commands that find no group.
func noGroup(key, group []byte) string {
	return "NOGROUP No such key '" + cstring(key) + "' or consumer group '" + cstring(group) + "'"
}

// noGroupForKey is the error of those that have found the key.
func noGroupForKey(key, group []byte) string {
	return "NOGROUP No such consumer group '" + cstring(group) + "' for key name '" + cstring(key) + "'"
}

// subcommandSyntax replies that the arguments of a subcommand are wrong.
func (c *Call) subcommandSyntax() {
	sub := cstring(c.Args[1])
	if len(sub) > 128 {
		sub = sub[:128]
	}
	c.Reply.Error("ERR unknown subcommand or wrong number of arguments for '" + sub + "'. Try " + strings.ToUpper(cstring(c.Args[0])) + " HELP.")
}

// groupOptions parses what follows the ID of XGROUP CREATE and SETID. If ok is
// false it has written the error.
func (w *Write) groupOptions(create bool) (mkStream bool, read int64, ok bool) {
	read = keyspace.EntriesReadUnknown
	for i := 5; i < len(w.Args); i++ {
		switch {
		case create && w.Is(i, "mkstream"):
			mkStream = true
		case w.Is(i, "entriesread") && i+1 < len(w.Args):
			i++
			if read, ok = w.Int(i); !ok {
				return false, 0, false
			}
			if read < keyspace.EntriesReadUnknown {
				w.Reply.Error("ERR value for ENTRIESREAD must be positive or -1")
				return false, 0, false
			}
		default:
			w.subcommandSyntax()
			return false, 0, false
		}
	}
	return mkStream, read, true
}

// xgroupStream returns the stream that a subcommand of XGROUP is about. If s is
// nil it has written the error.
func (w *Write) xgroupStream() (s *keyspace.StreamView) {
	s, err := w.DB.StreamAt(w.Args[2])
	switch {
	case err != nil:
		w.Fail(err)
	case s == nil:
		w.Reply.Error(errXGroupNoKey)
	}
	return s
}

// xgroup returns the group that a subcommand of XGROUP is about. If ok is false
// it has written the error.
func (w *Write) xgroup() (g keyspace.GroupView, ok bool) {
	s := w.xgroupStream()
	if s == nil {
		return g, false
	}
	if g, ok = s.Group(w.Args[3]); !ok {
		w.Reply.Error(noGroupForKey(w.Args[2], w.Args[3]))
	}
	return g, ok
}

// groupForUpdate returns a group that is known to exist for changing.
func (w *Write) groupForUpdate(key, group []byte) (*keyspace.StreamObject, *keyspace.Group, bool) {
	s, err := w.DB.StreamForGroups(key)
	if err != nil || s == nil {
		w.Reply.Error(noGroup(key, group))
		return nil, nil, false
	}
	g, ok := s.GroupForUpdate(group)
	if !ok {
		w.Reply.Error(noGroup(key, group))
	}
	return s, g, ok
}

func xgroupCreate(w *Write) {
	mkStream, read, ok := w.groupOptions(true)
	if !ok {
		return
	}
	s, err := w.DB.StreamAt(w.Args[2])
	switch {
	case err != nil:
		w.Fail(err)
		return
	case s == nil && !mkStream:
		w.Reply.Error(errXGroupNoKey)
		return
	case len(w.Args) > 8:
		w.subcommandSyntax()
		return
	}
	var id keyspace.StreamID
	if string(w.Args[4]) != "$" {
		if id, ok = w.streamID(4); !ok {
			return
		}
	} else if s != nil {
		id = s.Last()
	}
	if s != nil {
		if _, exists := s.Group(w.Args[3]); exists {
			w.Reply.Error("BUSYGROUP Consumer Group name already exists")
			return
		}
	}
	var o *keyspace.StreamObject
	if s == nil {
		o, err = w.DB.StreamForUpdate(w.Args[2], true)
	} else {
		o, err = w.DB.StreamForGroups(w.Args[2])
	}
	if err != nil {
		w.Fail(err)
		return
	}
	o.CreateGroup(w.Args[3], id, read)
	w.event(keyspace.EventStream, "xgroup-create", w.Args[2])
	w.OK()
}

func xgroupSetID(w *Write) {
	_, read, ok := w.groupOptions(false)
	if !ok {
		return
	}
	if _, ok = w.xgroup(); !ok {
		return
	}
	if len(w.Args) > 7 {
		w.subcommandSyntax()
		return
	}
	id, ok := parseStreamID(w.Args[4], 0, false)
	last := string(w.Args[4]) == "$"
	if !ok && !last {
		w.Reply.Error(errStreamID)
		return
	}
	s, g, ok := w.groupForUpdate(w.Args[2], w.Args[3])
	if !ok {
		return
	}
	if last {
		id = s.Last()
	}
	g.SetLast(id, read)
	w.event(keyspace.EventStream, "xgroup-setid", w.Args[2])
	w.OK()
}

func xgroupDestroy(w *Write) {
	s := w.xgroupStream()
	if s == nil {
		return
	}
	if _, ok := s.Group(w.Args[3]); !ok {
		w.Reply.Int(0)
		return
	}
	o, err := w.DB.StreamForGroups(w.Args[2])
	if err != nil {
		w.Fail(err)
		return
	}
	w.IntBool(o.DeleteGroup(w.Args[3]))
	w.event(keyspace.EventStream, "xgroup-destroy", w.Args[2])
	w.DB.Signal(w.Args[2]) // who waits in the group has to hear that it is gone
}

func xgroupCreateConsumer(w *Write) {
	view, ok := w.xgroup()
	if !ok {
		return
	}
	if _, exists := view.Consumer(w.Args[4]); exists {
		w.Reply.Int(0)
		return
	}
	_, g, ok := w.groupForUpdate(w.Args[2], w.Args[3])
	if !ok {
		return
	}
	w.IntBool(g.CreateConsumer(w.Args[4], w.Now))
	w.event(keyspace.EventStream, "xgroup-createconsumer", w.Args[2])
}

func xgroupDelConsumer(w *Write) {
	view, ok := w.xgroup()
	if !ok {
		return
	}
	if _, exists := view.Consumer(w.Args[4]); !exists {
		w.Reply.Int(0)
		return
	}
	_, g, ok := w.groupForUpdate(w.Args[2], w.Args[3])
	if !ok {
		return
	}
	pending, _ := g.DeleteConsumer(w.Args[4])
	w.event(keyspace.EventStream, "xgroup-delconsumer", w.Args[2])
	w.Reply.Int(int64(pending))
}

func xack(w *Write) {
	view, found, ok := w.View().group()
	if !ok {
		return
	}
	if !found {
		w.Reply.Int(0)
		return
	}
	ids, ok := w.streamIDs(3)
	if !ok {
		return
	}
	for len(ids) > 0 { // what changes nothing does not touch the key
		if _, pending := view.Find(ids[0]); pending {
			break
		}
		ids = ids[1:]
	}
	if len(ids) == 0 {
		w.Reply.Int(0)
		return
	}
	_, g, ok := w.groupForUpdate(w.Args[1], w.Args[2])
	if !ok {
		return
	}
	done := 0
	for _, id := range ids {
		if g.Acknowledge(id) {
			done++
		}
	}
	w.Reply.Int(int64(done))
}

// see notes that a consumer of the group has been heard of, and tells if it is new.
func (w *Write) see(key []byte, g *keyspace.Group, consumer []byte) {
	if g.See(consumer, w.Now) {
		w.event(keyspace.EventStream, "xgroup-createconsumer", key)
	}
}

// group finds the group that is named by the first two arguments. If ok is false
// the key is of another type, and group has written the error.
func (r *Read) group() (g keyspace.GroupView, found, ok bool) {
	s, err := r.DB.StreamAt(r.Args[1])
	if err != nil {
		r.Fail(err)
		return g, false, false
	}
	if s != nil {
		g, found = s.Group(r.Args[2])
	}
	return g, found, true
}
