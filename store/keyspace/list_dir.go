package keyspace

// listDir is the directory of a list's nodes: a slice with room at both ends.
type listDir struct {
	nodes []*listNode
	head  int // nodes[:head] is room
}

func (d *listDir) len() int               { return len(d.nodes) - d.head }
func (d *listDir) at(i int) *listNode     { return d.nodes[d.head+i] }
func (d *listDir) set(i int, n *listNode) { d.nodes[d.head+i] = n }

// insert puts n before node i of [0, len].
func (d *listDir) insert(i int, n *listNode) {
	if i == 0 && d.len() > 0 {
		if d.head == 0 {
			room := d.len()/2 + 2
			nodes := make([]*listNode, room+d.len(), room+d.len()+2)
			copy(nodes[room:], d.nodes)
			d.nodes, d.head = nodes, room
		}
		d.head--
		d.nodes[d.head] = n
		return
	}
	d.nodes = append(d.nodes, nil)
	at := d.head + i
	copy(d.nodes[at+1:], d.nodes[at:])
	d.nodes[at] = n
}

// remove removes the nodes in [i, j).
func (d *listDir) remove(i, j int) {
	if i == j {
		return
	}
	if i == 0 {
		clear(d.nodes[d.head : d.head+j])
		d.head += j
	} else {
		n := copy(d.nodes[d.head+i:], d.nodes[d.head+j:])
		clear(d.nodes[d.head+i+n:])
		d.nodes = d.nodes[:d.head+i+n]
	}
	if d.len() == 0 {
		d.nodes, d.head = nil, 0
	} else if have := cap(d.nodes); have > 64 && d.len() < have/4 {
		d.nodes, d.head = append(make([]*listNode, 0, have/2), d.nodes[d.head:]...), 0
	} else if d.head > d.len()+16 && len(d.nodes) == cap(d.nodes) {
		// A queue: what was popped at the head makes room at the tail.
		d.nodes, d.head = append(make([]*listNode, 0, 2*d.len()+2), d.nodes[d.head:]...), 0
	}
}

func (d *listDir) fork() listDir {
	return listDir{nodes: append([]*listNode(nil), d.nodes[d.head:]...)}
}
