// Package kafka reads a topic's partitions, looks things up, commits group offsets and produces, over sarama's protocol
// layer. It is the only package that imports sarama.
//
// A [Client] answers look-ups. A [Fetcher] reads one topic and hands over what it read as a [Batch] a partition, with the
// position after it. A [Producer] writes records and says for each one whether it is in the log, is not, or may be;
// [Transactions] writes several that belong together, and says the same of all of them.
// Each of the four has connections of its own: sarama's Broker holds a lock while it waits for a response, so that a
// look-up would otherwise wait behind a fetch that waits for records.
//
// Nothing here starts a goroutine or touches the network before it is asked for something, nothing waits longer than its
// context or the time-outs in [Config] allow, and nothing is left running after Close or Run has returned.
package kafka
