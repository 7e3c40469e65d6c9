// Package daemontest builds kafka-cache once for a test binary and runs it as
// processes, the way its users do: by its options, its exit codes, what it
// prints, the Redis protocol and its HTTP API.
//
// A test binary that was built with -race runs daemons with the race detector;
// what that finds fails the test that had started the daemon.
package daemontest
