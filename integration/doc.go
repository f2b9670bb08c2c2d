// Package integration runs the real binary in real processes and looks at it as
// a user does: over TCP, with redis-cli, redis-benchmark and the usual client
// libraries, and beside a real redis-server, whose replies it compares byte for
// byte. It imports none of the product's packages.
//
// Its tests are the package. What they share with the torture program and the
// benchmark, the processes and the network between them, is in cluster.
package integration
