package keyspace

// orderLen is how many keys a page of an order has: with its epoch a page then
// fills 1024 bytes, and that is what the first write to it after a freeze copies.
const orderLen = (1024 - 4) / 5

// keyOrder is a database's keys in the order that is state: see dict for why that is
// the order of insertion, with the last one in the place of one that was deleted.
// It is copied on write, page by page.
type keyOrder struct {
	pages []*orderPage
	n     int
	epoch uint32
}

type orderPage struct {
	epoch uint32 // the order's epoch in which the page became private to it
	refs  [orderLen][5]byte
}

func (o *keyOrder) at(i int) ref {
	b := &o.pages[uint(i)/orderLen].refs[uint(i)%orderLen]
	return ref(b[0]) | ref(b[1])<<8 | ref(b[2])<<16 | ref(b[3])<<24 | ref(b[4])<<32
}

func (o *keyOrder) set(i int, r ref) {
	p := o.pages[uint(i)/orderLen]
	if p.epoch != o.epoch {
		own := *p
		own.epoch = o.epoch
		p = &own
		o.pages[uint(i)/orderLen] = p
	}
	p.refs[uint(i)%orderLen] = [5]byte{byte(r), byte(r >> 8), byte(r >> 16), byte(r >> 24), byte(r >> 32)}
}

func (o *keyOrder) push(r ref) {
	if o.n%orderLen == 0 {
		o.pages = append(o.pages, &orderPage{epoch: o.epoch})
	}
	o.n++
	o.set(o.n-1, r)
}

func (o *keyOrder) pop() {
	o.n--
	if o.n%orderLen == 0 {
		o.pages[len(o.pages)-1] = nil
		o.pages = o.pages[:len(o.pages)-1]
	}
}

// freeze returns the order as it is now, which must not be written to.
func (o *keyOrder) freeze() keyOrder {
	frozen := keyOrder{append([]*orderPage(nil), o.pages...), o.n, o.epoch}
	o.epoch++
	return frozen
}
