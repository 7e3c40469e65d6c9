// Package respserver answers the Redis protocol from a [cache.Cache]: database n is the n-th topic, reads are answered by the
// local store, writes are records in the log.
//
// A connection is one goroutine that owns all of its state: it parses what has arrived in place, runs the commands, and sends what
// they answered in one system call when the input runs dry. Replies that are not known yet (a write waits for Kafka and
// for being applied) are slots in the connection's ordered queue, which other goroutines complete; they wake the connection by ending its
// read. Nothing else ever writes to a connection, and nothing blocks on a peer that does not read: see outbound.
package respserver
