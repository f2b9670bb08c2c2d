//go:build race

package keyspace

// poison overwrites memory that is freed, so that tests under the race detector
// see who still looks at it.
func poison(r *record, n int) {
	b := r.field(0, n)
	for i := range b {
		b[i] = 0xdb
	}
}
