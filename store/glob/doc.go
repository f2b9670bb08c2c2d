// Package glob matches the patterns of KEYS, SCAN and CONFIG GET as Redis does,
// oddities included. No library does: they differ in what a class, a range, a
// backslash at the end or a byte that is no UTF-8 means, and which keys a pattern
// names is something that clients rely on.
package glob
