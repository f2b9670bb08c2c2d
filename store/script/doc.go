// Package script is the Lua engine: it runs the scripts of EVAL and the
// functions of FCALL, and knows nothing of keys.
//
// It is part of the state machine. Whatever it is given - source, [Env],
// [Limits] - decides every reply, every call of a command and the step at
// which a script is ended; there is no clock, no random source and no map
// iteration in it, and an [Engine] keeps nothing of one run for the next.
// Package lua beneath it is the language; DESIGN.md tells why it is our own.
package script
