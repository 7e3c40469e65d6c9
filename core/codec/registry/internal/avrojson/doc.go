// Package avrojson goes between Avro's binary encoding and plain JSON: unions are bare values, bytes are base64, and logical types are what people
// write (docs/encodings.md has the table). What it makes is a function of its input alone, in the order of the schema and of the input, and
// neither direction panics or takes unbounded memory, whatever the bytes.
//
// The schema itself is parsed by github.com/twmb/avro. Its own JSON is the specification's: numbers for timestamps, characters for bytes, map
// entries in an order of chance.
package avrojson
