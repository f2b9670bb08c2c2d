package raftnode

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
)

// plainStreams has the streams of h, which go on for as long as two members are connected,
// sent without HTTP's chunks. A chunk is a few bytes, but net/http makes one of every two
// kilobytes and writes its head, its contents and its end on their own: a round with four
// hundred requests in it was three system calls for each follower, and woke it three times.
// A body without chunks has a length or ends with its connection. These end with it anyway, but then it
// is to be told that they were broken off, as when the last chunk is missing: that is how a member
// learns that its leader's process is gone. So they have a length that none reaches. Every client
// of HTTP/1.1 reads that, those of earlier releases as well.
func plainStreams(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &plainStream{ResponseWriter: w}
		defer s.close()
		h.ServeHTTP(s, r)
	})
}

// streamBuffer holds what most rounds send to a member, so that it leaves in one piece.
const streamBuffer = 64 << 10

// plainStream is an answer whose status is OK on a connection of its own. Any other answer
// is HTTP's.
type plainStream struct {
	http.ResponseWriter
	conn net.Conn // nil as long as it is HTTP's
	out  *bufio.Writer
}

// WriteHeader implements http.ResponseWriter.
func (s *plainStream) WriteHeader(status int) {
	if status != http.StatusOK {
		s.ResponseWriter.WriteHeader(status)
		return
	}
	conn, _, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil { // the connection is broken, or is one that has no end of its own
		s.ResponseWriter.WriteHeader(status)
		return
	}
	s.conn, s.out = conn, bufio.NewWriterSize(conn, streamBuffer)
	// An error of these comes again with the first message.
	_, _ = fmt.Fprintf(s.out, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	s.Header().Set("Connection", "close")
	s.Header().Set("Content-Length", strconv.FormatInt(math.MaxInt64, 10))
	_ = s.Header().Write(s.out)
	_, _ = io.WriteString(s.out, "\r\n")
}

// Write implements io.Writer.
func (s *plainStream) Write(b []byte) (int, error) {
	if s.conn == nil {
		return s.ResponseWriter.Write(b)
	}
	return s.out.Write(b)
}

// Flush implements http.Flusher. An error is that of the next Write.
func (s *plainStream) Flush() {
	if s.conn == nil {
		_ = http.NewResponseController(s.ResponseWriter).Flush()
		return
	}
	_ = s.out.Flush()
}

// close ends the connection, if it is the stream's: whoever serves it has left. What was not
// flushed is lost, as messages may be, and nobody waits for the other end to take it.
func (s *plainStream) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
}
