package command

import (
	"github.com/raftredis/raftredis/store/hyperloglog"
	"github.com/raftredis/raftredis/store/keyspace"
)

const (
	errHLLKind    = "WRONGTYPE Key is not a valid HyperLogLog string value."
	errHLLCorrupt = "INVALIDOBJ Corrupted HLL object detected"
)

// hllAt returns the HyperLogLog at key, nil if there is none. err is what to
// reply if it is something else.
func hllAt(v *keyspace.View, key []byte) (h hyperloglog.Sketch, err string) {
	s, ok, wrongType := v.Get(key)
	switch {
	case wrongType != nil:
		return nil, wrongType.Error()
	case !ok:
		return nil, ""
	case !hyperloglog.Sketch(s).Valid():
		return nil, errHLLKind
	default:
		return s, ""
	}
}

// pfaddUnchanged is pfadd where no element makes a difference.
func pfaddUnchanged(r *Read) bool {
	h, err := hllAt(r.DB, r.Args[1])
	if err != "" || h == nil {
		return false
	}
	for _, element := range r.Args[2:] {
		index, count := hyperloglog.Pattern(element)
		if h.Dense() {
			if count > h.Register(index) {
				return false
			}
		} else if was, ok := h.SparseRegister(index); !ok || count > was {
			return false
		}
	}
	return r.none()
}

func pfadd(w *Write) {
	key := w.Args[1]
	h, err := hllAt(&w.DB.View, key)
	if err != "" {
		w.Reply.Error(err)
		return
	}
	// A sparse one is small and changes its length: it is copied and put back. A
	// dense one is changed in place. Neither happens before it must.
	var built, inPlace bool
	if h == nil {
		h, built = hyperloglog.New(), true
	}
	for _, element := range w.Args[2:] {
		index, count := hyperloglog.Pattern(element)
		if h.Dense() {
			if count <= h.Register(index) {
				continue
			}
			if !built && !inPlace {
				s, err := w.DB.StringForUpdate(key, len(h))
				if err != nil {
					w.Fail(err)
					return
				}
				h, inPlace = s, true
			}
			h.SetRegister(index, count)
			continue
		}
		was, ok := h.SparseRegister(index)
		if !ok {
			w.Reply.Error(errHLLCorrupt)
			return
		}
		if count <= was {
			continue
		}
		if !built {
			h, built = h.Clone(), true
		}
		if h, ok = h.SparseSet(index, count, w.DB.Limits().HLLSparseMaxBytes); !ok {
			w.Reply.Error(errHLLCorrupt)
			return
		}
	}
	if built || inPlace {
		h.Invalidate()
	}
	if built {
		setRaw(w.DB, key, h, keyspace.KeepTTL)
	}
	if built || inPlace {
		w.event(keyspace.EventString, "pfadd", key)
	}
	w.IntBool(built || inPlace)
}

// pfcount leaves it to pfcountCaching if there is a count to be kept, as Redis
// does: the bytes of the value change with it, and WATCH sees that.
func pfcount(r *Read) {
	if len(r.Args) > 2 {
		hllCountUnion(&r.Call, r.DB)
		return
	}
	h, err := hllAt(r.DB, r.Args[1])
	switch {
	case err != "":
		r.Reply.Error(err)
	case h == nil:
		r.Reply.Int(0)
	default:
		if n, ok := h.Cached(); ok {
			r.Reply.Int(int64(n))
			return
		}
		r.Defer()
	}
}

// pfcountCaching is PFCOUNT where it may write.
func pfcountCaching(w *Write) {
	read := w.View()
	pfcount(read)
	if !read.Deferred() {
		return
	}
	lookups := w.DB.Lookups
	h, _ := hllAt(&w.DB.View, w.Args[1]) // it was just looked at
	w.DB.Lookups = lookups
	var counts hyperloglog.Histogram
	if !h.Histogram(&counts) {
		w.Reply.Error(errHLLCorrupt)
		return
	}
	h, err := w.DB.StringForUpdate(w.Args[1], len(h))
	if err != nil {
		w.Fail(err)
		return
	}
	n := counts.Cardinality()
	h.Cache(n)
	w.Reply.Int(int64(n))
}

// hllCountUnion counts what is in any of the keys that are arguments.
func hllCountUnion(c *Call, v *keyspace.View) {
	var highest hyperloglog.Registers
	if _, ok := hllMergeAll(c, v, &highest); !ok {
		return
	}
	var counts hyperloglog.Histogram
	for _, n := range highest {
		counts[n]++
	}
	c.Reply.Int(int64(counts.Cardinality()))
}

// hllMergeAll raises the registers to those of all keys that are arguments. If
// it answers false it has replied an error.
func hllMergeAll(c *Call, v *keyspace.View, highest *hyperloglog.Registers) (anyDense, ok bool) {
	for _, key := range c.Args[1:] {
		h, err := hllAt(v, key)
		if err != "" {
			c.Reply.Error(err)
			return false, false
		}
		if h == nil {
			continue
		}
		anyDense = anyDense || h.Dense()
		if !h.MergeInto(highest) {
			c.Reply.Error(errHLLCorrupt)
			return false, false
		}
	}
	return anyDense, true
}

func pfmerge(w *Write) {
	var highest hyperloglog.Registers
	anyDense, ok := hllMergeAll(&w.Call, &w.DB.View, &highest)
	if !ok {
		return
	}
	lookups := w.DB.Lookups
	h, _ := hllAt(&w.DB.View, w.Args[1]) // it was just looked at
	w.DB.Lookups = lookups
	if h == nil {
		h = hyperloglog.New()
	} else {
		h = h.Clone()
	}
	if anyDense {
		h, _ = h.ToDense() // all have been found to be sound
	}
	for index, count := range highest {
		switch {
		case count == 0:
		case !h.Dense():
			h, _ = h.SparseSet(index, count, w.DB.Limits().HLLSparseMaxBytes)
		case count > h.Register(index):
			h.SetRegister(index, count)
		}
	}
	h.Invalidate()
	setRaw(w.DB, w.Args[1], h, keyspace.KeepTTL)
	w.event(keyspace.EventString, "pfadd", w.Args[1])
	w.OK()
}

func pfdebug(w *Write) {
	key := w.Args[2]
	h, err := hllAt(&w.DB.View, key)
	switch {
	case err != "":
		w.Reply.Error(err)
		return
	case h == nil:
		w.Reply.Error("ERR The specified key does not exist")
		return
	}
	wasDense := h.Dense()
	switch {
	case w.Is(1, "encoding"):
		w.Reply.Status(map[bool]string{true: "dense", false: "sparse"}[wasDense])
	case w.Is(1, "decode"):
		if wasDense {
			w.Reply.Error("ERR HLL encoding is not sparse")
			return
		}
		w.Reply.Bulk(h.Runs())
	case w.Is(1, "getreg"), w.Is(1, "todense"):
		if !wasDense {
			var ok bool
			if h, ok = h.ToDense(); !ok {
				w.Reply.Error(errHLLCorrupt)
				return
			}
			setRaw(w.DB, key, h, keyspace.KeepTTL)
		}
		if w.Is(1, "todense") {
			w.IntBool(!wasDense)
			return
		}
		w.Reply.Array(hyperloglog.Count)
		for i := range hyperloglog.Count {
			w.Reply.Int(int64(h.Register(i)))
		}
	default:
		w.Reply.Error("ERR Unknown PFDEBUG subcommand '" + string(w.Args[1]) + "'")
	}
}
