// Command cache replays traces on raftredis and on redis-server side by side, as a
// cache in front of a database: what is not there is read elsewhere and stored. It
// compares the hit ratios at the same number of keys that fit, and at the same
// maxmemory, and writes its table into BENCHMARKS.md between marks of its own.
//
//	go run ./integration/bench/cache -out BENCHMARKS.md
package main
