// Package codec holds the encodings between what clients see and send (the decoded side) and what is in the log (the
// encoded side), for keys and for values.
//
// A [Codec] is strict on the way into the log and, where the encoding allows it, keeps bytes verbatim on the way out.
// Codecs are stateless and safe for concurrent use.
package codec
