package store

import (
	"context"
	"encoding/hex"

	"github.com/zeebo/xxh3"
)

// Digest returns a digest of the whole state and the applied index that it was
// taken at: members that are at the same index have the same digest. The lock is
// held only for freezing the state.
func (s *Store) Digest(ctx context.Context) (index uint64, digest string, err error) {
	// Between two entries, hence by the apply loop.
	c := make(chan *capture, 1)
	select {
	case s.captureC <- c:
	case <-ctx.Done():
		return 0, "", ctx.Err()
	case <-s.stopC:
		return 0, "", ErrStopped
	}
	picture := <-c
	return picture.index, picture.digest(), nil
}

func (c *capture) digest() string {
	h := xxh3.New()
	c.encode(func(b []byte) { _, _ = h.Write(b) }) // a hash never fails
	sum := h.Sum128().Bytes()
	return hex.EncodeToString(sum[:])
}
