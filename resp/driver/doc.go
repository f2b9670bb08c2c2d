// Package driver moves bytes between sockets and connections (Conn), which are state
// machines without input or output of their own: event loops over epoll for plain TCP
// on Linux (NewEpoll), a goroutine for each connection elsewhere and for TLS
// (NewGoroutines).
//
// Everything about a connection happens on its driver's goroutine: the loop's, or the
// connection's own. Others reach it by its Link.
//
// Goroutines: one for each loop; or one for each connection, and another for as long as
// its client does not take what is sent. Driver.Stop ends the loops, and waits for the
// connections, which are killed by whoever knows them.
//
// Locks: epollLoop.mu (its inbox) is held for a few instructions, and nothing else is
// taken under it.
package driver
