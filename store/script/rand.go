package script

// rand48 is the generator behind Redis's math.random, drand48's.
type rand48 struct{ x uint64 }

const (
	randMultiplier = 0x5DEECE66D
	randIncrement  = 0xB
	randMax        = 0x7fffffff // REDIS_LRAND48_MAX
)

// seed is redisSrand48.
func (r *rand48) seed(s int32) { r.x = uint64(uint32(s))<<16 | 0x330E }

// next is redisLrand48: 31 bits.
func (r *rand48) next() int64 {
	r.x = (r.x*randMultiplier + randIncrement) & (1<<48 - 1)
	return int64(r.x >> 17)
}
