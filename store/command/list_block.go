package command

import "github.com/raftredis/raftredis/store/keyspace"

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

// How the commands above wait.
func blpopBlock() *Block {
	return &Block{Kind: keyspace.List, Timeout: timeoutAt(-1), Keys: listsBeforeTimeout, Undo: pushBack("lpush")}
}

func brpopBlock() *Block {
	return &Block{Kind: keyspace.List, Timeout: timeoutAt(-1), Keys: listsBeforeTimeout, Undo: pushBack("rpush")}
}

func blmoveBlock() *Block {
	return &Block{Kind: keyspace.List, Timeout: timeoutAt(-1), Keys: func(argv [][]byte) [][]byte { return argv[1:2] }}
}

func blmpopBlock() *Block {
	return &Block{
		Kind: keyspace.List, Timeout: timeoutAt(1),
		Keys: func(argv [][]byte) [][]byte {
			n, _ := ParseInt(argv[2])
			return argv[3 : 3+n]
		},
		Undo: func(argv [][]byte, reply *Recorded) [][]byte {
			push := "rpush"
			if n, _ := ParseInt(argv[2]); EqualFold(argv[3+n], "left") {
				push = "lpush"
			}
			return pushBack(push)(argv, reply)
		},
	}
}

func listsBeforeTimeout(argv [][]byte) [][]byte { return argv[1 : len(argv)-1] }

// pushBack puts what was popped back at the end that it was popped from.
func pushBack(push string) func([][]byte, *Recorded) [][]byte {
	return func(_ [][]byte, reply *Recorded) [][]byte {
		values := reply.Values()
		if len(values) < 2 {
			return nil
		}
		undo := [][]byte{[]byte(push), values[0]}
		for i := len(values) - 1; i > 0; i-- { // what was popped last is the nearest to the rest
			undo = append(undo, values[i])
		}
		return undo
	}
}
