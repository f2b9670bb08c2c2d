package resp

import "github.com/raftredis/raftredis/resp/wire"

const (
	// vainAhead is how many commands of a pipeline are looked at before the first one
	// waits for a barrier, and maxPeeked how many arguments one may have.
	vainAhead = 64
	maxPeeked = 64
)

// vain answers a command that comes to nothing: behind a barrier, so that what was
// acknowledged anywhere before the command came is known here. A pipeline of them waits
// for one. Without a barrier, for want of a leader, the command waits as every write does.
func (c *conn) vain(cm *cmd, argv [][]byte, end int64) (done, wait bool) {
	covered, doubtful := end <= c.coveredTo, cm.spec.Unchanged != nil
	if !covered && doubtful && !c.doubt.look() {
		return false, false
	}
	c.beginRead()
	if covered {
		c.last = cm
		done = c.barrierErr == nil && c.readNow(cm, argv)
		if !done && doubtful {
			c.doubt.gone(false) // a round was waited for, and another one begins
		}
		return done, false
	}
	wait = c.reader.Vain(c.db, cm.spec, argv)
	if doubtful {
		wait = c.doubt.gone(wait && c.restVain(end))
	}
	if wait {
		c.barrier()
	}
	return false, wait
}

// doubt is what a connection's calls lead to expect of the next one. Barriers beside
// entries cost more than the entries with all of them, up to where most calls need none;
// and where none comes to nothing, to look is for nothing. So the first call that changes
// something makes a connection doubt, and look less and less often. (Of who finds a queue
// empty nothing is expected but that: it asks for little else.)
type doubt struct {
	skip  int // calls that are not to be looked at
	last  int // what skip was at first
	proof int // how many calls in a row must come to nothing before one is believed
}

const (
	mostSkip  = 31
	mostProof = 4
)

// look reports whether to look at a call.
func (d *doubt) look() bool {
	if d.skip == 0 {
		return true
	}
	d.skip--
	return false
}

// gone takes in whether a call seems to come to nothing, and reports whether to go by that.
func (d *doubt) gone(vain bool) bool {
	switch {
	case !vain:
		d.last = min(2*d.last+1, mostSkip)
		d.skip, d.proof = d.last, mostProof
	case d.proof > 0:
		d.last = 0
		d.proof--
	default:
		return true
	}
	return false
}

// restVain reports whether none of the commands that have come behind end, which is a
// place in the input, needs an entry: if one does, those in front of it are in that entry
// for nothing, and a barrier would be one more round to wait for. It is a guess that
// nothing but speed depends on: it does not follow what the commands do to each other,
// and of what it cannot see it expects the best.
func (c *conn) restVain(end int64) bool {
	b := c.in[c.w-int(c.total-end) : c.w]
	lim := wire.FrameLimits{Bulk: int(c.srv.config().MaxBulkLen)}
	argv, vain := c.peeked[:0], true
	for i := 0; i < vainAhead && len(b) > 0 && b[0] == '*' && vain; i++ {
		var f wire.Frame
		n, _, err := f.Next(b, lim)
		if err != nil || n == 0 || f.Args() == 0 || f.Args() > maxPeeked {
			break
		}
		var ok bool
		if argv, ok = f.SplitArray(b[:n], argv); !ok || len(argv) == 0 {
			break
		}
		b = b[n:]
		if cm, _ := c.srv.lookup(argv); cm != nil && cm.spec.Write != nil && cm.spec.Read == nil && cm.spec.ArityOK(len(argv)) {
			vain = c.reader.Vain(c.db, cm.spec, argv)
		}
	}
	clear(argv[:cap(argv)]) // they point into the input
	c.peeked = argv[:0]
	return vain
}
