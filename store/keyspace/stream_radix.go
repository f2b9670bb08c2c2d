package keyspace

// RadixNodes returns how many nodes Redis's radix tree of the stream has. XINFO
// STREAM tells it; there is no such tree here, but the number follows from the
// IDs of the nodes.
func (s *StreamView) RadixNodes() int {
	if s.nodes.Len() == 0 {
		return 1 // the root
	}
	keys := make([][16]byte, 0, s.nodes.Len())
	s.nodes.Scan(func(n *streamNode) bool {
		keys = append(keys, n.id.big())
		return true
	})
	return radixNodes(keys, 0)
}

// radixNodes counts the nodes for sorted keys whose first depth bytes are equal
// and behind us: one where they part, one for the bytes before that if there are
// any, one at the end of a key.
func radixNodes(keys [][16]byte, depth int) int {
	first, last := keys[0], keys[len(keys)-1]
	fork := depth
	for fork < len(first) && first[fork] == last[fork] {
		fork++
	}
	nodes := 1
	if fork > depth {
		nodes++
	}
	if fork == len(first) {
		return nodes
	}
	for len(keys) > 0 {
		n := 1
		for n < len(keys) && keys[n][fork] == keys[0][fork] {
			n++
		}
		nodes += radixNodes(keys[:n], fork+1)
		keys = keys[n:]
	}
	return nodes
}
