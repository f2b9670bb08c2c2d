// Package lua is Lua 5.1 for a state machine: the language and its base,
// string, table, math and coroutine libraries as far as Redis has them.
//
// It differs from other interpreters in three things. Steps and bytes are
// counted, every operation for what it costs, and a run that goes over its
// limit ends at the same step wherever it runs; nothing in it can catch that.
// Nothing depends on the machine: not an address, not the order of a map, not
// the last digit of a sine. And it is Lua 5.1 to the letter where scripts can
// see it: the layout of tables, and so the order of pairs and what '#' says, the
// texts of errors with the names of variables, the formats of numbers.
package lua
