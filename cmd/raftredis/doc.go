// Command raftredis is a node of a replicated cache that any Redis client can
// use. This package parses options, builds the three parts (resp, store,
// raftnode), joins them with channels, and is the only code that may exit.
package main
