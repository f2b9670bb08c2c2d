package command

func blpop(w *Write) { blockingPop(w, true) }
func brpop(w *Write) { blockingPop(w, false) }

func blockingPop(w *Write, left bool) {
	if !w.timeout(-1) {
		return
	}
	key, ok := firstList(w, listsBeforeTimeout(w.Args))
	switch {
	case !ok:
	case key != nil:
		w.Reply.Array(2)
		w.Reply.Bulk(key)
		popOne(w, key, left)
	case !w.WouldBlock():
		w.Reply.NullArray()
	}
}

func blmpop(w *Write) {
	if !w.timeout(1) {
		return
	}
	if a, ok := w.popArgs(2); ok && !popAny(w, a) && !w.WouldBlock() {
		w.Reply.NullArray()
	}
}

func blmove(w *Write) {
	from, ok := w.side(3)
	if !ok {
		return
	}
	to, ok := w.side(4)
	if !ok || !w.timeout(5) {
		return
	}
	blockingMove(w, from, to)
}

func brpoplpush(w *Write) {
	if w.timeout(3) {
		blockingMove(w, false, true)
	}
}

func blockingMove(w *Write, fromLeft, toLeft bool) {
	if !moveElement(w, w.Args[1], w.Args[2], fromLeft, toLeft) && !w.WouldBlock() {
		w.Reply.Null()
	}
}

func listsBeforeTimeout(argv [][]byte) [][]byte { return argv[1 : len(argv)-1] }

func sourceList(argv [][]byte) [][]byte { return argv[1:2] }

func listsAfterNumber(argv [][]byte) [][]byte {
	n, ok := ParseInt(argv[2])
	if !ok || n < 0 || n > int64(len(argv)-3) {
		return nil
	}
	return argv[3 : 3+n]
}
