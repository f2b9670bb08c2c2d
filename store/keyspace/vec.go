package keyspace

// chunkLen is the number of items that are copied together when a vec is
// written to after a freeze: large enough that the directory of a million keys
// stays small (it is copied under the write lock), small enough that the copy
// of one chunk is below a microsecond. One less than a power of two, because the
// allocator puts a word in front of what has pointers: so 63 keys fill 4096 bytes
// and 64 would take 4864.
const chunkLen = 63

type chunk[T any] struct {
	epoch uint64 // the vec's epoch in which this chunk became private to it
	items []T
}

// vec is a dense, chunked, copy-on-write vector: the one mechanism by which a
// snapshot sees a frozen state while writers go on. freeze copies only the
// directory of chunks; a chunk is copied by the first write that touches it
// afterwards.
type vec[T any] struct {
	chunks []chunk[T]
	n      int
	epoch  uint64
}

// at returns item i for reading only.
func (v *vec[T]) at(i int) *T { return &v.chunks[uint(i)/chunkLen].items[uint(i)%chunkLen] }

// mut returns item i for writing.
func (v *vec[T]) mut(i int) *T { return &v.own(i / chunkLen).items[i%chunkLen] }

// own makes chunk c private to v and returns it.
func (v *vec[T]) own(c int) *chunk[T] {
	ch := &v.chunks[c]
	if ch.epoch != v.epoch {
		// Room for a whole chunk, unless this is the first of a small vec.
		items := make([]T, len(ch.items), max(cap(ch.items), 4))
		copy(items, ch.items)
		*ch = chunk[T]{epoch: v.epoch, items: items}
	}
	return ch
}

func (v *vec[T]) push(x T) {
	c := v.n / chunkLen
	switch {
	case c == len(v.chunks):
		capacity := chunkLen
		if c == 0 {
			capacity = 4 // small collections are the common ones
		}
		v.chunks = append(v.chunks, chunk[T]{epoch: v.epoch, items: append(make([]T, 0, capacity), x)})
	default:
		ch := v.own(c)
		if len(ch.items) == cap(ch.items) {
			grown := make([]T, len(ch.items), min(2*cap(ch.items), chunkLen))
			copy(grown, ch.items)
			ch.items = grown
		}
		ch.items = append(ch.items, x)
	}
	v.n++
}

// pop removes the last item.
func (v *vec[T]) pop() {
	v.n--
	c := v.n / chunkLen
	if v.n%chunkLen == 0 {
		v.chunks[c] = chunk[T]{}
		v.chunks = v.chunks[:c]
		return
	}
	ch := v.own(c)
	var zero T
	ch.items[len(ch.items)-1] = zero
	ch.items = ch.items[:len(ch.items)-1]
}

// freeze returns the vector as it is now. The result must not be written to; it
// costs a copy of the directory, 32 bytes for each chunkLen items.
func (v *vec[T]) freeze() vec[T] {
	frozen := vec[T]{chunks: append([]chunk[T](nil), v.chunks...), n: v.n, epoch: v.epoch}
	v.epoch++
	return frozen
}

// fork is freeze the other way round: it returns the vector that may go on
// changing, and v is the frozen one. It does not write to v at all, not even to
// its directory, because a snapshot may be reading v at this moment.
func (v *vec[T]) fork() vec[T] {
	return vec[T]{chunks: append([]chunk[T](nil), v.chunks...), n: v.n, epoch: v.epoch + 1}
}
