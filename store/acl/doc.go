// Package acl is Redis's access control lists, as 7.0 has them: users, the rules
// that make them, and what they may do.
//
// Users is state: the machine holds it, log entries change it (Change), snapshots
// carry it. It says nothing about the commands that a program happens to have; a
// Policy is what a User means given those, and is what checks a call. Both never
// change once made, so they are read without a lock.
//
// Everything here is a pure function of its arguments.
package acl
