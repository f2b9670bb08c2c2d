package command

func hrandfield(r *Read) {
	if len(r.Args) == 2 {
		h, ok := r.hash()
		switch {
		case !ok:
		case h == nil:
			r.Reply.Null()
		default:
			field, _ := h.At(r.Rand.Intn(h.Len()))
			r.Reply.Bulk(field)
		}
		return
	}
	count, withValues, ok := r.randomCount("withvalues")
	if !ok {
		return
	}
	h, ok := r.hash()
	if !ok {
		return
	}
	if h == nil || count == 0 {
		r.Reply.Array(0)
		return
	}
	f := fieldReply{r.Reply, withValues}
	n := h.Len()
	if count >= int64(n) {
		f.begin(n)
		for field, value := range h.All() {
			f.add(field, value)
		}
		return
	}
	at := h.Picker()
	f.begin(int(max(count, -count)))
	draw(r.Rand, n, count, func(i int) { f.add(at(i)) })
}

// fieldReply replies fields, with their values in pairs where the protocol has
// room for that.
type fieldReply struct {
	Reply
	withValues bool
}

func (f fieldReply) begin(n int) {
	if f.withValues && !f.RESP3() {
		n *= 2
	}
	f.Array(n)
}

func (f fieldReply) add(field, value []byte) {
	if f.withValues && f.RESP3() {
		f.Array(2)
	}
	f.Bulk(field)
	if f.withValues {
		f.Bulk(value)
	}
}
