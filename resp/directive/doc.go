// Package directive has what a setting is: its name, who owns it, which values it
// takes, and the grammars of those values. Every owner lists what it owns; see
// DESIGN.md.
package directive
