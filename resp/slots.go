package resp

import "bytes"

// slots is how many hash slots Redis Cluster divides keys into. Here one shard has all.
const slots = 16384

// slotOf is the hash slot of a key: CRC-16 (XMODEM) of it or, if it has a {tag}, of that.
func slotOf(key []byte) int {
	if open := bytes.IndexByte(key, '{'); open >= 0 {
		if n := bytes.IndexByte(key[open+1:], '}'); n > 0 {
			key = key[open+1 : open+1+n]
		}
	}
	var crc uint16
	for _, b := range key {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slots
}
