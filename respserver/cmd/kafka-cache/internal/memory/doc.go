// Package memory finds the limit that the process runs under and tells the Go runtime what is left of it for Go, since the
// largest part of a cache's memory is not in Go's heap.
package memory
