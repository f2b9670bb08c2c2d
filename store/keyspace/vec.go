package keyspace

const (
	// chunkLen is the number of items that are copied together when a vec is
	// written to after a freeze. Few, because while a snapshot of a million keys is
	// written every chunk that holds a key that is overwritten is there twice. 18
	// keys of 56 bytes, and the word that the allocator puts in front of what has
	// pointers, fill 1024 bytes.
	chunkLen = 18
	// pageLen is the number of chunks that a page lists. A freeze copies 32 bytes
	// for each pageLen*chunkLen items, under the write lock; the first write to a
	// page after it copies 32 bytes for each of its chunks, a microsecond.
	pageLen = 256
)

type chunk[T any] struct {
	epoch uint64 // the vec's epoch in which this chunk became private to it
	items []T
}

type page[T any] struct {
	epoch  uint64 // the same, of the list
	chunks []chunk[T]
}

// vec is a dense, chunked, copy-on-write vector: the one mechanism by which a
// snapshot sees a frozen state while writers go on. freeze copies only the list
// of pages; a page and a chunk are copied by the first write that touches them
// afterwards.
type vec[T any] struct {
	pages []page[T]
	n     int
	epoch uint64
}

// at returns item i for reading only.
func (v *vec[T]) at(i int) *T {
	c := uint(i) / chunkLen
	return &v.pages[c/pageLen].chunks[c%pageLen].items[uint(i)%chunkLen]
}

// mut returns item i for writing.
func (v *vec[T]) mut(i int) *T { return &v.own(i / chunkLen).items[i%chunkLen] }

// ownPage makes page p private to v and returns it.
func (v *vec[T]) ownPage(p int) *page[T] {
	pg := &v.pages[p]
	if pg.epoch != v.epoch {
		chunks := make([]chunk[T], len(pg.chunks), cap(pg.chunks))
		copy(chunks, pg.chunks)
		*pg = page[T]{epoch: v.epoch, chunks: chunks}
	}
	return pg
}

// own makes chunk c private to v and returns it.
func (v *vec[T]) own(c int) *chunk[T] {
	ch := &v.ownPage(c / pageLen).chunks[c%pageLen]
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
	case v.n%chunkLen == 0:
		capacity := chunkLen
		if c == 0 {
			capacity = 4 // small collections are the common ones
		}
		if c%pageLen == 0 {
			v.pages = append(v.pages, page[T]{epoch: v.epoch})
		}
		pg := v.ownPage(c / pageLen)
		pg.chunks = append(pg.chunks, chunk[T]{epoch: v.epoch, items: append(make([]T, 0, capacity), x)})
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
	if v.n%chunkLen != 0 {
		ch := v.own(c)
		var zero T
		ch.items[len(ch.items)-1] = zero
		ch.items = ch.items[:len(ch.items)-1]
		return
	}
	last := c / pageLen
	if c%pageLen == 0 {
		v.pages[last] = page[T]{}
		v.pages = v.pages[:last]
		return
	}
	pg := v.ownPage(last)
	pg.chunks[c%pageLen] = chunk[T]{}
	pg.chunks = pg.chunks[:c%pageLen]
}

// freeze returns the vector as it is now. The result must not be written to.
func (v *vec[T]) freeze() vec[T] {
	frozen := vec[T]{pages: append([]page[T](nil), v.pages...), n: v.n, epoch: v.epoch}
	v.epoch++
	return frozen
}

// fork is freeze the other way round: it returns the vector that may go on
// changing, and v is the frozen one. It does not write to v at all, not even to
// its list of pages, because a snapshot may be reading v at this moment.
func (v *vec[T]) fork() vec[T] {
	return vec[T]{pages: append([]page[T](nil), v.pages...), n: v.n, epoch: v.epoch + 1}
}
