// Package geohash is the arithmetic of positions on the globe as Redis does it:
// scores for sorted sets, the cells that cover a search, distances.
//
// All of it is done in Redis's order, so that scores and coordinates come out
// equal to the last bit. Go may fuse x*y+z into one rounding on some processors; a
// conversion to float64 around each product forbids it, and keeps the nodes of a
// mixed cluster in agreement.
package geohash
