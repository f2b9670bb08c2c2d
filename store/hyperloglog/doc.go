// Package hyperloglog is the sketch behind PFADD and PFCOUNT, in the form of bytes
// in which Redis keeps it.
package hyperloglog
