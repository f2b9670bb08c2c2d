// Package commit holds the types that travel on the channels between main's
// three parts: proposals and membership changes on their way into the raft
// node (proposeC, confChangeC), and ordered batches on their way out of it
// (commitC). It also declares what the other parts may ask of the raft node
// beside that (View, Cluster). It is a leaf: it imports only the standard library, so that the
// store and the raft node can share these types without knowing each other.
package commit
