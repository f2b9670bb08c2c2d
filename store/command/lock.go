package command

// Locks are what Locks declares: SET NX with something to show for it.
func Locks() []*Spec {
	return []*Spec{{
		Name: "acquire", Arity: 4, Group: "raft", Since: "7.0.0", ACL: "string",
		Flags:      DenyOOM | Fast,
		Keys:       One(1, "OW INSERT"),
		Complexity: "O(1)",
		Summary:    "Set a key that does not exist, for so long, and return a number that is higher each time: a fencing token",
		Syntax:     "key value milliseconds",
		Write:      acquire,
	}}
}

// acquire is SET key value NX PX milliseconds, but for the reply: the place in the log
// at which the key was set, which is higher than that of whoever had it before. A
// resource that refuses lower numbers than it has seen keeps out a client which holds
// the lock no longer and does not know (M. Kleppmann, How to do distributed locking).
func acquire(w *Write) {
	deadline, ok := parseDeadline(&w.Call, 3, 1, true)
	switch {
	case !ok:
	case w.DB.Exists(w.Args[1]):
		w.Reply.Null()
	default:
		setUntil(w, w.Args[1], w.Args[2], deadline)
		w.Reply.Int(int64(w.DB.Revision()))
	}
}
