package keyspace

// Rand is splitmix64: the randomness of SPOP and its like, a pure function of
// the seed in the log entry, so that every node draws the same.
type Rand struct{ state uint64 }

// NewRand returns a generator that starts from seed.
func NewRand(seed uint64) Rand { return Rand{seed} }

// Uint64 draws 64 bits.
func (r *Rand) Uint64() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Intn draws from [0, n). n must be positive.
func (r *Rand) Intn(n int) int { return int(r.Uint64() % uint64(n)) }

// Float64 draws from [0, 1).
func (r *Rand) Float64() float64 { return float64(r.Uint64()>>11) / (1 << 53) }
