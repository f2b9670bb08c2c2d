// Command torture breaks a real cluster on purpose while clients use it, and
// checks what they saw: registers, counters and appends for linearizability
// (porcupine), pipelines and local reads for what they promise, keys with a
// deadline for being seen neither too long nor too short, caches on the client's
// side for holding nothing that is stale, and at the end the
// state digests of all nodes for being equal.
//
//	go run ./integration/torture -duration 10m -seed 1
//
// With -upgrade-from the nodes begin with an older program, change between that and the
// newer one for half of the time, and then go on with the newer one:
//
//	go run ./integration/torture -upgrade-from first
//
// A history that fails is saved with its seed and porcupine's picture of it.
package main
