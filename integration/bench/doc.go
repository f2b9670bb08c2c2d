// Command bench measures raftredis beside redis-server on one machine, in one
// sitting: it starts every system, lets redis-benchmark (or a probe of its own)
// run against each in turn, round after round, and writes medians and ratios
// to BENCHMARKS.md. Runs alternate because a machine's speed drifts by more
// than the differences that are of interest; only ratios within one round mean
// anything.
//
//	go run ./integration/bench -rounds 5 -out BENCHMARKS.md
package main
