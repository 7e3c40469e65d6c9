//go:build !unix

package kafka

// isReadable is not known here: a peer that has closed a connection is noticed when a response is read.
func isReadable(uintptr) bool { return false }
