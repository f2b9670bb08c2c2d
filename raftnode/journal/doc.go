// Package journal is a log of records in files that are written over and over: a
// write allocates nothing and changes no file's size, so a sync of it is a write of
// data and nothing else. What is in a record is the caller's business.
//
// A [Writer] appends records, each durable or not when Append returns, to the newest
// of several segments. A [Scan] is what one segment was found to hold, and says of its
// end whether a crash has left it so or damage. DESIGN.md has the format and its reasons.
package journal
