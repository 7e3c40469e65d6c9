// Package registry has the encodings whose values begin with the id of a schema in a schema registry, as Confluent's serializers write them: a
// byte 0, the id in four bytes, and the payload. Clients see and send plain JSON.
//
//	"avro"         the payload is Avro's binary encoding; a write is encoded with the latest schema of the subject TOPIC-value
//	"json-schema"  the payload is JSON; a write is validated against the latest schema of the subject TOPIC-value
//
// docs/encodings.md says how Avro's types look in JSON.
//
// A registry that is out of reach makes nothing invalid: what needs it fails with codec.ErrUnavailable, and is tried again. Only an id that the
// registry itself says it does not have, repeatedly, and bytes that are not of their schema are codec.ErrInvalid. Schemas are looked up once, outside of any lock,
// and kept; ids that are known need no registry.
package registry
