package raftnode

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestPlainStreams reads a stream as members of any release do, with an HTTP client, while it
// is being written.
func TestPlainStreams(t *testing.T) {
	turnC, servedC := make(chan struct{}), make(chan error, 1)
	pieces := [][]byte{[]byte("small"), bytes.Repeat([]byte("large"), streamBuffer), nil, []byte("last")}
	srv := httptest.NewServer(plainStreams(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Server-Version", "1")
		if r.URL.Path == "/short" {
			w.WriteHeader(http.StatusOK)
			if _, err := w.Write(pieces[0]); err != nil {
				t.Error(err)
			}
			http.NewResponseController(w).Flush()
			return
		}
		if r.URL.Path != "/stream" {
			http.Error(w, "no such stream", http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusOK)
		flusher, ok := w.(http.Flusher)
		if !ok {
			t.Error("a stream cannot be flushed")
			return
		}
		flusher.Flush()
		for _, piece := range pieces {
			<-turnC
			if n, err := w.Write(piece); n != len(piece) || err != nil {
				t.Errorf("write %d bytes: %d, %v", len(piece), n, err)
			}
			flusher.Flush()
		}
		<-turnC // the client has left
		for {
			if _, err := w.Write(pieces[1]); err != nil {
				servedC <- err
				return
			}
			flusher.Flush()
		}
	})))
	defer srv.Close()

	resp, err := http.Get(srv.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Server-Version") != "1" || len(resp.TransferEncoding) > 0 {
		t.Errorf("answered %s with %v, encoded as %v", resp.Status, resp.Header, resp.TransferEncoding)
	}
	for _, piece := range pieces {
		turnC <- struct{}{}
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(resp.Body, got); err != nil || !bytes.Equal(got, piece) {
			t.Fatalf("read %d bytes: %v", len(piece), err)
		}
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	turnC <- struct{}{}
	if err := <-servedC; err == nil {
		t.Error("nobody hears that the client has left")
	}

	// One that ends has been broken off, however orderly.
	resp, err = http.Get(srv.URL + "/short")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); !bytes.Equal(got, pieces[0]) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", got, err)
	}
	_ = resp.Body.Close()

	resp, err = http.Get(srv.URL + "/other")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusNotFound || string(body) != "no such stream\n" || err != nil {
		t.Errorf("answered %s: %q, %v", resp.Status, body, err)
	}
}
