package keyspace

import (
	"encoding/binary"
	"errors"
)

// rdbFunction2 stands before the source of each library.
const rdbFunction2 = 245

// DumpFunctions returns sources of libraries in Redis's serialization, with its
// footer: FUNCTION DUMP.
func DumpFunctions(sources [][]byte) []byte {
	var w rdbWriter
	for _, s := range sources {
		w.byte(rdbFunction2)
		w.len(uint64(len(s)))
		w.buf = append(w.buf, s...)
	}
	b := binary.LittleEndian.AppendUint16(w.buf, rdbVersion)
	return binary.LittleEndian.AppendUint64(b, rdbChecksum(b))
}

// Why a dump has no functions that can be loaded, as FUNCTION RESTORE says it.
var (
	ErrDumpNoFunction = errors.New("given type is not a function")
	ErrDumpNoSource   = errors.New("Failed loading library payload")
)

// ParseFunctions reads what DumpFunctions wrote, or Redis. The error is
// ErrDumpChecksum, ErrDumpNoFunction or ErrDumpNoSource.
func ParseFunctions(payload []byte) (sources [][]byte, err error) {
	n := len(payload) - rdbFooter
	if n < 0 || binary.LittleEndian.Uint16(payload[n:]) > rdbVersion ||
		binary.LittleEndian.Uint64(payload[n+2:]) != rdbChecksum(payload[:n+2]) {
		return nil, ErrDumpChecksum
	}
	for r := (rdbReader{buf: payload[:n]}); len(r.buf) > 0; {
		if r.byte() != rdbFunction2 {
			return nil, ErrDumpNoFunction
		}
		s := r.own()
		if r.bad {
			return nil, ErrDumpNoSource
		}
		sources = append(sources, s)
	}
	return sources, nil
}
