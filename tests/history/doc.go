// Package history records what concurrent clients of three kafka-cache instances were told, while instances and brokers are
// killed, stopped and cut off, and has porcupine decide whether a cache that is true to its log can have told it.
//
// A run ([Run]) is a real Kafka, three instances with data directories that are each other's peers, with proxies before them
// and before the brokers, and clients that speak RESP to all. What the clients do and which faults come is a [Plan], a function of the seed alone. Every command and its reply is an
// [Event] with the monotonic times of its call and return. When all is healed, one more instance starts from nothing, all keys are
// read on all of them, and the topic is read with franz-go, apart from the code under test: the [Log] is the truth of which writes
// there were, and in which order.
//
// # The model
//
// Each key is checked on its own. Its versions, in the log's order, are 1 to n; version 0 is the key that was never written. The
// state is how many of them have been written, and for each instance the newest version that it is known to have shown or applied:
//
//   - a write appends its version, which must be the next. Acknowledged, it does so between its call and its return, and must be in
//     the log; with an unknown outcome, and in the log, at any time after its call; refused as surely not written, it must not be there.
//   - a read on an instance returns a version that is written and is not older than what the instance has shown: monotonic reads
//     (also across its restarts), no value that nobody wrote, no deleted key back.
//   - applied, an acknowledged write, a WAIT, a KAFKA.WAIT or a KAFKA.POSITION say that the instance has reached a position: from then
//     on it shows no version below it. A WAIT that counts all instances says so of each, a KAFKA.SYNC of its own. That is read-your-writes, by reply, by WAIT
//     and by token across instances.
//
// Three things are looked at apart from the search for an order, and make one impossible: a WAIT that counts so many instances that one of them, by
// what it showed later, did not have the writes; a KAFKA.SYNC whose position is below a write that had been acknowledged before it was called; and a read
// under KAFKA.FRESH that does not show what had been acknowledged so much earlier.
//
// Values are unique, so the log gives each its offset. Tombstones have no value: those whose offset no reply told are taken, in the
// log's order, by deletes whose offset is not known, and porcupine looks for which.
//
// Reads that follow on the same connection, in one pipeline, must show what the command before them promised, whatever the clocks say.
package history
