// Package committest is a cluster's log in memory, for the tests of those who send on
// proposeC and receive from commitC: the store and the front. There is no raft in it. A
// test says who leads, and the log is the one sequence of entries that all members get;
// everything else is real: members' stores seal the entries, run the real machine, and
// load the snapshots of each other's.
//
// What raft and a network can do to a store is at a test's command: to lose, double,
// delay and reorder requests (Faulty, Lose), to take none in (Elect, Allow), to bring
// entries late (Hold) or a snapshot in their place (Install), to confirm no reads and to
// have no room. What only raft can get wrong is tried on the simulated cluster of
// package raftnode, which has the same stores on top.
package committest
