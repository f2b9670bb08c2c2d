package commit

import "io"

// Entry is one committed log entry. Data is nil for the entries that are
// raft's own business (the empty entry of a new term, membership changes): the
// state machine still has to count them, because its applied index is an index
// into the same log.
type Entry struct {
	Index uint64
	Term  uint64
	Data  []byte
}

// Batch is what travels on commitC: committed, durable entries in log order
// without a gap. A nil *Batch means "load the snapshot": the receiver replaces
// its whole state with what Snapshotter.Load returns.
type Batch struct {
	// Entries are to be applied in order. An entry at or below the receiver's
	// applied index is to be skipped.
	Entries []Entry

	// CaptureC, if not nil, asks for a picture of the state right after Entries.
	// The receiver sends exactly one Capture and never blocks on it (the channel
	// has room for one).
	CaptureC chan<- Capture

	// ApplyDoneC is closed by the receiver once Entries are applied and their
	// proposers have been answered.
	ApplyDoneC chan<- struct{}
}

// Capture is the state at one index, frozen. Writing it out needs no lock and
// runs beside further applies.
type Capture struct {
	// Index is the applied index that the picture was taken at.
	Index uint64

	// Write streams the body of the snapshot: versioned, checksummed, binary
	// safe. It must be called at most once; not calling it is fine.
	Write func(w io.Writer) error

	// Release, if not nil, says that it is not needed any more, whether it was written or
	// not: until then its owner keeps what has changed since.
	Release func()
}

// Snapshot is a stored snapshot, opened for reading.
type Snapshot struct {
	Index uint64
	Term  uint64
	Body  io.ReadCloser
}

// Snapshotter gives the store the snapshot that raft itself loaded: one source
// for both, so that state and log can never disagree (defect R11 of
// raftexample). It is handed over once on snapshotterReady.
type Snapshotter interface {
	// Load opens the snapshot that raft's log now starts from. It is called for
	// every nil batch, and answers nil without an error if there is none.
	Load() (*Snapshot, error)
}
