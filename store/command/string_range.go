package command

import "github.com/raftredis/raftredis/store/keyspace"

// fits reports whether a string may be so long; if not, it has written the error.
func fits(c *Call, size, more int64) bool {
	if size > maxString || more > maxString || size+more > maxString {
		c.Reply.Error(errStringTooLong)
		return false
	}
	return true
}

func appendString(w *Write) {
	s, _, err := w.DB.Get(w.Args[1])
	switch {
	case err != nil:
		w.Fail(err)
		return
	case !fits(&w.Call, int64(len(s)), int64(len(w.Args[2]))):
		return
	}
	n, err := w.DB.Append(w.Args[1], w.Args[2])
	if err != nil {
		w.Fail(err)
		return
	}
	w.event(keyspace.EventString, "append", w.Args[1])
	w.Reply.Int(int64(n))
}

func strlen(r *Read) {
	s, _, err := r.DB.Get(r.Args[1])
	if err != nil {
		r.Fail(err)
		return
	}
	r.Reply.Int(int64(len(s)))
}

func setrange(w *Write) {
	offset, ok := w.Int(2)
	if !ok {
		return
	}
	if offset < 0 {
		w.Reply.Error("ERR offset is out of range")
		return
	}
	key, value := w.Args[1], w.Args[3]
	s, _, err := w.DB.Get(key)
	switch {
	case err != nil:
		w.Fail(err)
		return
	case len(value) == 0:
		w.Reply.Int(int64(len(s)))
		return
	case !fits(&w.Call, offset, int64(len(value))):
		return
	}
	buf, err := w.DB.StringForUpdate(key, int(offset)+len(value))
	if err != nil {
		w.Fail(err)
		return
	}
	copy(buf[offset:], value)
	w.event(keyspace.EventString, "setrange", key)
	w.Reply.Int(int64(len(buf)))
}

func getrange(r *Read) {
	start, ok := r.Int(2)
	if !ok {
		return
	}
	end, ok := r.Int(3)
	if !ok {
		return
	}
	s, _, err := r.DB.Get(r.Args[1])
	if err != nil {
		r.Fail(err)
		return
	}
	n := int64(len(s))
	if start < 0 && end < 0 && start > end {
		r.Reply.Bulk(nil)
		return
	}
	if start < 0 {
		start = max(0, n+start)
	}
	if end < 0 {
		end = max(0, n+end)
	}
	end = min(end, n-1)
	if start > end {
		r.Reply.Bulk(nil)
		return
	}
	r.Reply.Bulk(s[start : end+1])
}
