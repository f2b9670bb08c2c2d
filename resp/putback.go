package resp

import (
	"bytes"
	"slices"
	"strings"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// putBack returns what an attempt has taken for a client that is gone to where
// it was taken from. Commands that moved it somewhere have lost nothing.
func (r *waitRoom) putBack(w *waiter) {
	args := undo(w.cmd.name, w.argv, w.enc.buf)
	if args == nil {
		return
	}
	spec := r.srv.opts.Table.Lookup(args[0])
	if spec == nil {
		return
	}
	batch := &store.Batch{}
	batch.Write(w.db, spec, args)
	reply := &encoder{}
	r.srv.store.Submit(batch, reply, func() {
		if reply.errs > 0 {
			r.srv.log.Warn("put back what was taken for a client that is gone: " + strings.TrimSpace(string(reply.buf)))
		}
	})
}

// undo returns the command that undoes a pop, given its reply; nil if there is
// nothing to undo.
func undo(name string, argv [][]byte, reply []byte) [][]byte {
	flat := flatten(reply)
	if len(flat) < 2 {
		return nil
	}
	key, elements := flat[0], flat[1:]
	switch name {
	case "blpop":
		return [][]byte{[]byte("lpush"), key, elements[0]}
	case "brpop":
		return [][]byte{[]byte("rpush"), key, elements[0]}
	case "blmpop":
		push := "rpush"
		if n, ok := command.ParseInt(argv[2]); ok && command.EqualFold(argv[3+n], "left") {
			push = "lpush"
		}
		slices.Reverse(elements) // the one that was popped last is the nearest to the rest
		return append([][]byte{[]byte(push), key}, elements...)
	case "bzpopmin", "bzpopmax", "bzmpop":
		if len(elements)%2 != 0 {
			return nil
		}
		args := [][]byte{[]byte("zadd"), key}
		for i := 0; i < len(elements); i += 2 {
			args = append(args, elements[i+1], elements[i])
		}
		return args
	default:
		return nil
	}
}

// flatten returns the values of a reply of nested arrays, nil if it is none.
func flatten(reply []byte) (flat [][]byte) {
	for first := true; len(reply) > 0; first = false {
		line, rest, ok := bytes.Cut(reply, []byte("\r\n"))
		if !ok || len(line) == 0 || first && line[0] != '*' {
			return nil
		}
		reply = rest
		switch line[0] {
		case '*':
		case '$':
			n, ok := command.ParseInt(line[1:])
			if !ok || n < 0 || int(n)+2 > len(reply) {
				return nil
			}
			flat = append(flat, reply[:n])
			reply = reply[n+2:]
		default: // a double of RESP3
			flat = append(flat, line[1:])
		}
	}
	return flat
}
