package raftnode

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// sealed is the form of the small files beside the log: what they say, with a
// checksum. It is that of the bytes, so that a newer version's file, with fields that
// this one does not know, is not taken for a damaged one.
type sealed struct {
	Content json.RawMessage `json:"content"`
	CRC     uint32          `json:"crc"` // CRC-32C
}

func seal(v any) ([]byte, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(sealed{content, crc32.Checksum(content, walTable())})
	return append(b, '\n'), err
}

// unseal fills v in. An error is an errDamaged.
func unseal(b []byte, v any) error {
	var s sealed
	err := json.Unmarshal(b, &s)
	switch {
	case err != nil:
	case crc32.Checksum(s.Content, walTable()) != s.CRC:
		return fmt.Errorf("%w: wrong checksum", errDamaged)
	default:
		err = json.Unmarshal(s.Content, v)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}
