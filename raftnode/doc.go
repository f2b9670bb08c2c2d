// Package raftnode turns proposals into an ordered, durable, snapshot-bounded
// stream of opaque bytes. It is etcd's raft library with a log, etcd's snapshot
// descriptors and peer transport around it; it knows nothing about Redis.
//
// # Channels
//
// The shape is that of etcd's raftexample. The caller makes proposeC and
// confChangeC and closes the former to stop the node. New returns the others:
//
//	proposeC          *commit.Proposal   in    received promptly, unless MaxPendingBytes wait
//	confChangeC       *commit.ConfChange in    each is answered on its own ResultC
//	commitC           *commit.Batch      out   nil: load the snapshot; closed after the node has stopped
//	errorC            error              out   at most one, then closed
//	snapshotterReady  commit.Snapshotter out   exactly one, once the node is in a cluster
//
// A batch on commitC is committed by the cluster and durable on this node. Indexes
// rise by one from batch to batch, without gaps, except that a nil may jump ahead.
//
// # Goroutines
//
//	raft       owns core: RawNode and everything that decides. Never waits for
//	           disk, network or store.
//	formation  before there is a raft goroutine: brings the cluster about.
//	storage    the only writer of the log: appends, syncs, delivers what had to
//	           wait for that.
//	changes    adds peers to and removes them from the transport, which may block.
//	spare      makes the log's next segment.
//	body       one per snapshot being written; one per snapshot being sent.
//	purge      removes files that are not needed any more.
//	reserve    looks at the space on the disk.
//	announce   tells the cluster this node's addresses.
//	confchange takes membership changes in; one more goroutine per change.
//	forward    one per large request that is being brought to the leader.
//	watch      hears from the transport that this member was removed.
//	sync       with Durability EverySec only: syncs the log once a second.
//
// Others reach the raft goroutine through the inbox (never blocks); it reaches the
// storage goroutine through the storageQueue (never blocks), and the store through
// commitC in a select (never waits for it).
//
// # The steps of a Ready
//
// core.ready does, in this order:
//
//  1. SoftState: note leader and role; tell lock-free readers.
//  2. HardState: note term, vote and commit. It is written in step 6.
//  3. ReadStates: answer the reads in flight, send the next.
//  4. Entries: measure them for the snapshot trigger; a leader learns the indexes
//     of what it has proposed.
//  5. Messages to other members: send at once. raft has already put aside what must
//     not be said before the disk has it: votes given and acknowledgements are in
//     the Responses of step 6. Votes asked for are put there, too: see
//     behindOwnVote.
//  6. MsgStorageAppend: queue for the storage goroutine, which (a) writes a snapshot
//     of the leader, (b) writes entries, then hard state, (c) syncs, (d) appends to
//     the log in memory, (e) delivers the Responses. A message that only moves
//     the commit index is held back until there is something to write.
//  7. MsgStorageApply: apply membership changes here and now; queue the entries for
//     commitC. When the store closes ApplyDoneC, the Responses are stepped.
//
// Steps 6 and 7 never wait for each other: raft hands out for applying only what it
// knows to be durable on this node.
package raftnode
