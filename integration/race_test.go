//go:build race

package integration

// raceDetector says that the tests, and so the binary, run under it.
const raceDetector = true
