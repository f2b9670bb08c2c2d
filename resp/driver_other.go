//go:build !linux

package resp

// newDriver returns the driver for plain TCP connections.
func newDriver(s *Server, cfg *Config) (driver, error) { return newGoroutineDriver(s), nil }
