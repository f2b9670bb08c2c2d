package command

import "github.com/raftredis/raftredis/store/keyspace"

const (
	errHLLKind    = "WRONGTYPE Key is not a valid HyperLogLog string value."
	errHLLCorrupt = "INVALIDOBJ Corrupted HLL object detected"
)

// hllAt returns the HyperLogLog at key, nil if there is none. err is what to
// reply if it is something else.
func hllAt(v *keyspace.View, key []byte) (h hll, err string) {
	s, ok, wrongType := v.Get(key)
	switch {
	case wrongType != nil:
		return nil, wrongType.Error()
	case !ok:
		return nil, ""
	case !hll(s).valid():
		return nil, errHLLKind
	default:
		return s, ""
	}
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
		h, built = newHLL(), true
	}
	for _, element := range w.Args[2:] {
		index, count := hllPattern(element)
		if h.dense() {
			if count <= h.register(index) {
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
			h.setRegister(index, count)
			continue
		}
		was, ok := h.sparseRegister(index)
		if !ok {
			w.Reply.Error(errHLLCorrupt)
			return
		}
		if count <= was {
			continue
		}
		if !built {
			h, built = h.clone(), true
		}
		if h, ok = h.sparseSet(index, count, w.DB.Limits().HLLSparseMaxBytes); !ok {
			w.Reply.Error(errHLLCorrupt)
			return
		}
	}
	if built || inPlace {
		h.invalidate()
	}
	if built {
		setRaw(w.DB, key, h, keyspace.KeepTTL)
	}
	w.IntBool(built || inPlace)
}

// pfcount does not store the count that it has computed as Redis does: it only
// reads, and need not wait for the log.
func pfcount(r *Read) {
	if len(r.Args) == 2 {
		h, err := hllAt(r.DB, r.Args[1])
		switch {
		case err != "":
			r.Reply.Error(err)
			return
		case h == nil:
			r.Reply.Int(0)
			return
		}
		n, ok := h.cached()
		if !ok {
			var counts hllHistogram
			if !h.histogram(&counts) {
				r.Reply.Error(errHLLCorrupt)
				return
			}
			n = counts.cardinality()
		}
		r.Reply.Int(int64(n))
		return
	}
	var highest hllRegisters
	if _, ok := hllMergeAll(&r.Call, r.DB, &highest); !ok {
		return
	}
	var counts hllHistogram
	for _, n := range highest {
		counts[n]++
	}
	r.Reply.Int(int64(counts.cardinality()))
}

// hllMergeAll raises the registers to those of all keys that are arguments. If
// it answers false it has replied an error.
func hllMergeAll(c *Call, v *keyspace.View, highest *hllRegisters) (anyDense, ok bool) {
	for _, key := range c.Args[1:] {
		h, err := hllAt(v, key)
		if err != "" {
			c.Reply.Error(err)
			return false, false
		}
		if h == nil {
			continue
		}
		anyDense = anyDense || h.dense()
		if !h.mergeInto(highest) {
			c.Reply.Error(errHLLCorrupt)
			return false, false
		}
	}
	return anyDense, true
}

func pfmerge(w *Write) {
	var highest hllRegisters
	anyDense, ok := hllMergeAll(&w.Call, &w.DB.View, &highest)
	if !ok {
		return
	}
	lookups := w.DB.Lookups
	h, _ := hllAt(&w.DB.View, w.Args[1]) // it was just looked at
	w.DB.Lookups = lookups
	if h == nil {
		h = newHLL()
	} else {
		h = h.clone()
	}
	if anyDense {
		h, _ = h.toDense() // all have been found to be sound
	}
	for index, count := range highest {
		switch {
		case count == 0:
		case !h.dense():
			h, _ = h.sparseSet(index, count, w.DB.Limits().HLLSparseMaxBytes)
		case count > h.register(index):
			h.setRegister(index, count)
		}
	}
	h.invalidate()
	setRaw(w.DB, w.Args[1], h, keyspace.KeepTTL)
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
	wasDense := h.dense()
	switch {
	case w.Is(1, "encoding"):
		w.Reply.Status(map[bool]string{true: "dense", false: "sparse"}[wasDense])
	case w.Is(1, "decode"):
		if wasDense {
			w.Reply.Error("ERR HLL encoding is not sparse")
			return
		}
		w.Reply.Bulk(h.decode())
	case w.Is(1, "getreg"), w.Is(1, "todense"):
		if !wasDense {
			var ok bool
			if h, ok = h.toDense(); !ok {
				w.Reply.Error(errHLLCorrupt)
				return
			}
			setRaw(w.DB, key, h, keyspace.KeepTTL)
		}
		if w.Is(1, "todense") {
			w.IntBool(!wasDense)
			return
		}
		w.Reply.Array(hllCount)
		for i := range hllCount {
			w.Reply.Int(int64(h.register(i)))
		}
	default:
		w.Reply.Error("ERR Unknown PFDEBUG subcommand '" + string(w.Args[1]) + "'")
	}
}
