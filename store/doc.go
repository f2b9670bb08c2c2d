// Package store is the shell around the state machine (package machine): it owns
// the lock around it, turns the writes of connections into requests on proposeC,
// has what comes back on commitC applied, and answers whoever asked.
//
// # The way of a write
//
// A connection collects a pipeline in a Batch and hands it to Submit. The outbox
// gives the request its number, remembers the batch and sends a commit.Proposal on
// proposeC; it never blocks. The leader's raft loop calls Seal with all the
// requests that wait at that moment and replicates the one entry that it
// returns. On every node the apply loop has the machine run the entry's requests in
// order, which drops those that its sessions show as applied already. On the node that
// the request came from, the replies go to the batch, with the reads that stood
// between the writes run in their places; on all others nobody listens.
//
// # Goroutines
//
// Start runs five: apply (the only one that changes the state), the outbox's retry
// (sends again and gives up), expire (proposes deletions while this node leads), giveUp (looks
// after members with blocked clients that are away, while this node leads), and one that ends after the node's first request, which fetches
// a stamp of the leader's clock. Another, sender, exists only while proposeC is
// full; RunLong, a script that takes long, is on its caller's. Close ends them all. The store closes none of the channels that it was
// given, and must be closed before anybody closes proposeC.
//
// # Locks
//
// Store.mu guards the machine: the apply loop writes under Lock, readers read
// under RLock. Each part has a lock of its own for what is its own, and says so where
// it is declared: the locks of outbox, barrier, indexWaits, room, blockedReads,
// absences, scripts and clock are leaves. Each may be taken under Store.mu, none is held
// while another one is taken or while a callback runs. outbox and barrier have no way to
// Store.mu at all. hub.mu, of the subscribers, is
// never taken under Store.mu, and is held while a Subscriber's functions run, which
// say so. Nobody waits for raft, a channel or a client while holding any of them.
package store
