//go:build !linux

package driver

// NewEpoll returns the driver of goroutines: there is no epoll here.
func NewEpoll(o Options, _ int) (Driver, error) { return NewGoroutines(o), nil }
