// Package position says where in a topic's log a reader is.
//
// A [Position] names one incarnation of a topic (its topic id, KIP-516) and, for some or all of its partitions, the next
// offset to read. It prints and parses as a token that clients carry between instances.
package position
