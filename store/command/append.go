package command

// Append is append for bytes that may be very many. A goroutine cannot be interrupted
// within a copy, nor can anything that wants to stop all of them, and copying half a
// gigabyte takes longer than a heartbeat may be late.
func Append(b, s []byte) []byte {
	const step = 1 << 20
	if len(s) <= step {
		return append(b, s...)
	}
	if cap(b)-len(b) < len(s) {
		b = append(make([]byte, 0, len(b)+len(s)+64), b...) // and room for what ends it
	}
	for len(s) > 0 {
		n := min(len(s), step)
		b = append(b, s[:n]...)
		s = s[n:]
	}
	return b
}

// CloneArgs copies arguments out of a buffer that is somebody else's: a connection's
// input, or a request.
func CloneArgs(argv [][]byte) [][]byte {
	n := 0
	for _, a := range argv {
		n += len(a)
	}
	own, buf := make([][]byte, len(argv)), make([]byte, 0, n)
	for i, a := range argv {
		start := len(buf)
		buf = Append(buf, a)
		own[i] = buf[start:len(buf):len(buf)]
	}
	return own
}
