// Package browser looks at the page of real nodes with a real browser, Chromium. It is a
// module of its own, so that what drives a browser is no requirement of raftredis.
package browser
