package store

import (
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
)

// Batch is what one connection's pipeline asks for between two waits: writes,
// and whatever stands behind them and must be answered in its place. The zero
// value is ready, and a Batch is meant to be used again and again.
//
// The writes are encoded into the request as they come. What this node has to
// do beside them when the request is applied (run a read, answer a PING) is the
// plan, which never leaves the node.
type Batch struct {
	request []byte // room for the head, then the encoded ops
	plan    []step
	args    []byte // arguments of the plan's reads
	ops     int    // commands, as the client counts them

	// Observe, if not nil, hears of every command of the batch that has been run on
	// this node, right after its reply: see Observer. It stays when the batch is
	// reset.
	Observe Observer
	writes  bool
	blocked bool
	failure Error // of the last Submit

	// While submitted the batch is also its own entry in the registry of
	// requests in flight, so that a write needs no allocation for one.
	flight
}

// Observer is told of a command that has been run, and how long it took on this
// node: the time for which it held the state, not what its client waited. After
// the commands of a transaction, or instead of them if a watched key had changed,
// it is told of the whole with a nil spec. A negative took is a write that came to
// nothing (see Err) and has been answered with that. It is called under the store's lock, so
// it must be quick and must not call the store; argv is valid until it returns.
type Observer func(db int, spec *command.Spec, argv [][]byte, took time.Duration)

// observe tells the observer of a command that has run since the watch's last
// lap.
func (b *Batch) observe(w *stopwatch, db int, spec *command.Spec, argv [][]byte) {
	if b.Observe != nil {
		b.Observe(db, spec, argv, w.lap())
	}
}

// observeExec tells the observer of a transaction that began at started.
func (b *Batch) observeExec(w *stopwatch, started time.Duration) {
	if b.Observe != nil {
		w.start()
		b.Observe(0, nil, nil, w.last-started)
	}
}

// answerFailed answers a write that came to nothing.
func (b *Batch) answerFailed() {
	b.reply.Error(string(b.err))
	if b.Observe != nil {
		b.Observe(0, nil, nil, -1)
	}
}

// Err says why none of the batch's writes has been applied, or that nobody knows
// whether they have been (ErrUnknown); "" if all have. It is for who submitted the
// batch, once that is done.
func (b *Batch) Err() Error { return b.failure }

// flight is a submitted batch's state, guarded by inflight.mu except for what
// never changes in flight.
type flight struct {
	seq      uint64
	size     int   // what it counts for against Config.MaxPendingBytes
	sent     int64 // for the first time; this and the next three in µs of clock.mono
	resent   int64 // for the last time
	deadline int64
	backoff  int64
	proposal *commit.Proposal
	reply    command.Reply
	done     func()
	err      Error // set when it is given up
}

// step is one part of a plan.
type step struct {
	kind  stepKind
	db    int
	n     int // writes: how many; exec: how many steps follow that are its commands
	spec  *command.Spec
	args  int // reads and execReads: where in Batch.args
	local func(command.Reply)
}

type stepKind uint8

const (
	stepWrites    stepKind = iota // the next n ops of the request
	stepExec                      // the next op of the request, and the n steps that follow
	stepExecWrite                 // within a stepExec: its next command
	stepExecRead                  // a transaction without a write: the n steps that follow
	stepRead
	stepLocal
	stepBlock    // the next op of the request, which may end without a reply
	stepGreeting // of a request without contents: fails like a write
)

// Limits that keep a Batch that was big once from holding its memory forever.
const (
	keepRequest = 4 << 10
	keepArgs    = 4 << 10
	keepPlan    = 64
)

// Reset empties the batch. It must not be in flight.
func (b *Batch) Reset() {
	if cap(b.request) > keepRequest {
		b.request = nil
	}
	if cap(b.args) > keepArgs {
		b.args = nil
	}
	if cap(b.plan) > keepPlan {
		b.plan = nil
	}
	clear(b.plan)
	b.request, b.args, b.plan = b.request[:0], b.args[:0], b.plan[:0]
	b.ops, b.writes, b.blocked = 0, false, false
}

// Expect says that commands of about n bytes in all are coming, so that room for
// them is made at once. The caller has received that much: it is no promise.
func (b *Batch) Expect(n int) {
	if len(b.request) == 0 && cap(b.request) < n {
		b.request = make([]byte, 0, n+maxRequestHead)
	}
}

// Len returns the number of commands in the batch; a transaction is one.
func (b *Batch) Len() int { return b.ops }

// Bytes returns how much the batch holds.
func (b *Batch) Bytes() int { return len(b.request) + len(b.args) }

// HasWrites reports whether anything in the batch has to go through the log.
func (b *Batch) HasWrites() bool { return b.writes }

// requestBody makes sure that the room for the head is there.
func (b *Batch) requestBody() {
	if len(b.request) == 0 {
		b.request = append(b.request, make([]byte, maxRequestHead)...)
	}
	b.writes = true
}

// Write adds a command that writes. argv is copied. It is looked up again, by
// name, where it is applied.
func (b *Batch) Write(db int, _ *command.Spec, argv [][]byte) {
	b.requestBody()
	b.request = append(b.request, opHead(opWrite, db))
	b.request = appendArgs(b.request, argv)
	b.addWrite()
	b.ops++
}

// addWrite plans one more op of the request. Runs of them are one step.
func (b *Batch) addWrite() {
	if last := len(b.plan) - 1; last >= 0 && b.plan[last].kind == stepWrites {
		b.plan[last].n++
		return
	}
	b.plan = append(b.plan, step{kind: stepWrites, n: 1})
}

// WriteBlocking adds a write command that may find nothing to take and wants to
// wait then (command.Spec.Block). It must be the last of the batch. If it finds
// nothing it changes nothing and replies nothing, and Blocked says so once the
// batch is done; the caller waits (see Notify, which it should ask for before it
// submits) and then submits the command once more, with again set.
func (b *Batch) WriteBlocking(db int, _ *command.Spec, argv [][]byte, again bool) {
	kind := opWrite
	if again {
		kind = opAgain
	}
	b.requestBody()
	b.request = append(b.request, opHead(kind, db))
	b.request = appendArgs(b.request, argv)
	b.plan = append(b.plan, step{kind: stepBlock})
	b.ops++
}

// Blocked reports whether the batch's last command ended without a reply.
func (b *Batch) Blocked() bool { return b.blocked }

// Read adds a command that reads and that stands behind a write: it runs on
// this node between its neighbours, and does not go into the log. argv is
// copied.
func (b *Batch) Read(db int, spec *command.Spec, argv [][]byte) {
	b.addRead(db, spec, argv)
	b.ops++
}

func (b *Batch) addRead(db int, spec *command.Spec, argv [][]byte) {
	b.plan = append(b.plan, step{kind: stepRead, db: db, spec: spec, args: len(b.args)})
	b.args = appendArgs(b.args, argv)
}

// Local adds something that is answered without data, in its place.
func (b *Batch) Local(answer func(command.Reply)) {
	b.plan = append(b.plan, step{kind: stepLocal, local: answer})
	b.ops++
}

// Queued is one command of a transaction: a read, a write, or something that is
// answered without data (Local is set).
type Queued struct {
	DB    int
	Spec  *command.Spec
	Argv  [][]byte
	Local func(command.Reply)
}

// Exec adds a transaction. All its commands run with nothing in between, or,
// if a watched key has changed, none does. The reply is an array of their
// replies or the null array. The marks should be fresh (Reader.Unchanged): one
// that is old may be taken for changed. Keys and arguments are copied.
func (b *Batch) Exec(watched []Watched, cmds []Queued) {
	writes := 0
	for i := range cmds {
		if cmds[i].Local == nil && cmds[i].Spec.IsWrite() {
			writes++
		}
	}
	if writes > 0 {
		b.requestBody()
		b.request = append(b.request, opHead(opExec, 0))
		b.request = appendWatched(b.request, watched)
		b.request = appendUvarint(b.request, uint64(writes))
		b.plan = append(b.plan, step{kind: stepExec, n: len(cmds)})
	} else {
		// Nothing to replicate: what it reads is this node's state, as for any read.
		b.plan = append(b.plan, step{kind: stepExecRead, n: len(cmds), args: len(b.args)})
		b.args = appendWatched(b.args, watched)
	}
	for i := range cmds {
		switch q := &cmds[i]; {
		case q.Local != nil:
			b.plan = append(b.plan, step{kind: stepLocal, local: q.Local})
		case q.Spec.IsWrite():
			b.request = append(b.request, byte(q.DB))
			b.request = appendArgs(b.request, q.Argv)
			b.plan = append(b.plan, step{kind: stepExecWrite})
		default:
			b.addRead(q.DB, q.Spec, q.Argv)
		}
	}
	b.ops++
}

// expire asks for those of the keys to be deleted whose deadline has passed.
func (b *Batch) expire(db int, keys []string) {
	b.requestBody()
	b.request = append(b.request, opHead(opExpire, db))
	b.request = appendUvarint(b.request, uint64(len(keys)))
	for _, key := range keys {
		b.request = appendUvarint(b.request, uint64(len(key)))
		b.request = append(b.request, key...)
	}
	b.addWrite()
}

// seal puts the head right before the ops and returns the whole request, which
// is a part of the batch's own memory.
func (b *Batch) seal(h requestHead) []byte {
	b.requestBody()
	var room [maxRequestHead]byte
	head := appendRequestHead(room[:0], h)
	start := maxRequestHead - len(head)
	copy(b.request[start:], head)
	return b.request[start:]
}

func appendWatched(b []byte, watched []Watched) []byte {
	b = appendUvarint(b, uint64(len(watched)))
	for i := range watched {
		b = append(b, byte(watched[i].DB))
		b = appendBytes(b, watched[i].Key)
		b = appendUvarint(b, uint64(watched[i].Mark))
	}
	return b
}
