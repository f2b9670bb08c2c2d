// Package page is a node's page for people: what the node and its cluster are doing,
// live in a browser, and a look at keys. It is an http.Handler, with all of its files in
// the binary.
//
// The page knows nothing of the server that it shows. For each request it is a client of
// the node, over a pipe, in the name of who asks: what may be seen is what that user's ACL
// permits, and what is shown is what the node answers to any client. It sends a fixed set
// of commands, none of which writes.
//
// Goroutines: those of the requests. Locks: none; what is shared is atomic or a channel.
package page
