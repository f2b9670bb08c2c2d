// Package command declares every data command once, in a Spec, and says what
// the command does to a keyspace. Everything else that has to know about a
// command is derived from its Spec: routing, arity errors, COMMAND and its
// subcommands, ACL categories, whether it may stand in a transaction, the
// table in docs/differences.md, the differential test's cases.
//
// A command is a pure function of the keyspace and of what its Call carries:
// arguments, a time and a random seed, all three of which come out of the log.
// It must not look at a clock, at global randomness, at the order of a Go map
// or at anything else that could differ between two nodes that apply the same
// entry.
package command
