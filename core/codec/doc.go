// Package codec holds the encodings between what clients see and send (the decoded side) and what is in the log (the
// encoded side), for keys and for values.
//
// A [Codec] is strict on the way into the log and, where the encoding allows it, keeps bytes verbatim on the way out.
// Codecs are safe for concurrent use; the built-in ones have no state. Others may be given to a topic in Go
// (cache.TopicConfig); [github.com/yolean/kafka-cache/core/codec/registry] has those of a schema registry.
//
// A [Typed] is the step between the decoded side and a Go type.
package codec
