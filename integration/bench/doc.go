// Command bench measures raftredis beside redis-server on one machine, in one
// sitting: it starts every system, lets redis-benchmark (or a probe of its own)
// run against each in turn, round after round, and writes medians and ratios
// to BENCHMARKS.md. Runs alternate because a machine's speed drifts by more
// than the differences that are of interest; only ratios within one round mean
// anything.
//
// With -baseline each row has another binary of raftredis beside this one, in the
// same rounds. What many independent clients see is measured at a fixed rate, by a
// generator of its own (openloop).
//
//	go run ./integration/bench -rounds 5 -out BENCHMARKS.md
package main
