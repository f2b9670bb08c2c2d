// Package library is the scripts and functions that a cluster has loaded. It is
// state: part of the snapshot and of the digest, changed by log entries alone, so
// that no member can lack what another one runs.
package library
