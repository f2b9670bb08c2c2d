// Package cluster runs real processes of the real binary on loopback, for the
// integration tests, the torture program and the benchmark: it starts nodes,
// kills, pauses and restarts them, puts a network between them that can be cut,
// and speaks just enough RESP to ask them things. It knows only TCP and the
// binary; it imports none of the product's packages.
package cluster
