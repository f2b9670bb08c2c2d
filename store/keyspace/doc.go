// Package keyspace holds plain data structures with Redis semantics: sixteen
// databases of keys, each with a value, a deadline and a version. It knows no
// clock, no lock, no log and no protocol. Everything in it is a deterministic
// function of the calls made to it: the same calls give the same contents, in
// the same order, on every node and across a snapshot.
//
// The package is not safe for concurrent use; the store holds its RWMutex
// around every call. The one exception is a Frozen capture, which may be
// encoded without any lock while the live keyspace goes on changing.
package keyspace
